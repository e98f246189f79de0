"""Approval in Slack from the alert to the mail: real workflow, real doors, real database."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter

from adapters.chat.slack import Slack
from adapters.db.policies import PolicyStore
from adapters.db.sample_customers import load
from domain.message import Channel
from domain.policy import Policy
from domain.signal import Severity, Signal, SignalStatus
from runtime.servers import TemporalServer
from runtime.wiring import build_desk, build_steps, build_workers
from tests.activities.staff_world import SECRET, URL, policy_with, settings
from tests.adapters.chat.fake_slack import FakeSlack, fake_slack
from tests.gateway.slack_kit import SlackKit, slack_kit
from tests.gateway.staff_kit import Kit, staff_kit
from tests.workflows.world import QUEUES, Remembering


@pytest.fixture(scope="module")
def temporal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    server = TemporalServer(tmp_path_factory.mktemp("temporal"))
    server.start()
    yield server.address
    server.stop()


@dataclass
class Desk:
    """Everything from the alert to Slack and back."""

    staff: Kit
    slack: SlackKit
    api: FakeSlack
    mail: Remembering

    async def alert(self, **changes: Any) -> str:
        values: dict[str, Any] = {
            "source": "generic", "external_id": "a1", "dedup_key": "alert",
            "status": SignalStatus.FIRING, "title": "payments <!channel> fail",
            "components": ("payments",), "severity": Severity.P1, "customer_impact": True,
        }  # fmt: skip
        deps = self.slack.deps
        accepted = await deps.intake.receive(
            Signal.model_validate(values | changes), deps.policy, now=deps.now(),
            correlation_id="c", dry_run=False, policy_hash=deps.policy.hash,
        )  # fmt: skip
        assert accepted.incident_id is not None
        await deps.relay.relay_now(accepted.incident_id)
        return accepted.incident_id

    def buttons(self) -> dict[str, dict[str, Any]]:
        """What can be clicked now, on whatever card; the newest card wins."""
        return {
            element["action_id"].removeprefix("forewarn_"): json.loads(element["value"])
            for message in self.api.messages.values()
            for block in message.get("blocks") or []
            if block["type"] == "actions"
            for element in block["elements"]
        }

    async def click(self, user: str, action: str, reason: str = "") -> None:
        """Press the newest such button and wait until it is carried out."""
        await self.press(user, action, self.buttons()[action], reason)

    async def press(self, user: str, action: str, value: Any, reason: str = "") -> None:
        answer = await self.slack.click(user, action, value, reason)
        assert answer.status_code == 200
        await self.slack.delivery.run_once()

    async def until(self, what: str, look: Callable[[], Any]) -> None:
        for _ in range(1200):
            found = look()
            if isinstance(found, Awaitable):
                found = await found
            if found:
                return
            await asyncio.sleep(0.05)
        raise AssertionError(f"{what}: never seen; {self.api.texts()}")

    async def until_read(self, part: str) -> None:
        await self.until(part, lambda: any(part in text for text in self.api.texts()))


@asynccontextmanager
async def desk_on(engine: AsyncEngine, policy: Policy, address: str) -> AsyncIterator[Desk]:
    client = await Client.connect(address, data_converter=pydantic_data_converter)
    await load(engine, 12, 7, datetime.now(UTC))
    await PolicyStore(engine).save(policy, "test", datetime.now(UTC))
    senders = {c: Remembering(c) for c in (Channel.EMAIL, Channel.IN_APP, Channel.STATUS_PAGE)}

    def now() -> datetime:
        return datetime.now(UTC)

    with fake_slack() as api:
        desk = build_desk(engine, policy, Slack(settings(api)), URL, SECRET, now)
        steps = build_steps(engine, policy, senders, URL, SECRET, now, desk)
        async with AsyncExitStack() as stack:
            for worker in build_workers(client, steps, QUEUES):
                await stack.enter_async_context(worker)
            staff = await stack.enter_async_context(staff_kit(engine, policy, now(), client))
            slack = await stack.enter_async_context(slack_kit(staff.deps, api, policy))
            yield Desk(staff, slack, api, senders[Channel.EMAIL])


@pytest.fixture
async def desk(engine: AsyncEngine, policy: Policy, temporal: str) -> AsyncIterator[Desk]:
    async with desk_on(engine, policy_with(policy), temporal) as made:
        yield made


@pytest.mark.slow
async def test_from_suspicion_to_mail_by_clicks(desk: Desk) -> None:
    incident = await desk.alert(customer_impact=None)
    await desk.until("confirm", lambda: "confirm" in desk.buttons())
    await desk.click("U0COM", "confirm")
    await desk.until("approve", lambda: "approve" in desk.buttons())
    first = desk.buttons()["approve"]
    answer = await desk.staff.http.post(
        f"/api/incidents/{incident}/severity",
        json={"severity": "P2", "reason": "smaller"},
        headers=desk.staff.auth("responder"),
    )
    assert answer.status_code == 200, answer.text
    await desk.until("a new draft", lambda: desk.buttons().get("approve", first) != first)
    await desk.press("U0ADA", "approve", first)
    assert desk.mail.sent == []
    assert "Nothing was changed: draft 1 does not wait" in desk.slack.told()[-1]
    assert "The newest card shows what waits now" in desk.slack.told()[-1]
    second = desk.buttons()["approve"]
    await desk.click("U0ADA", "approve")
    await desk.until("mail", lambda: desk.mail.sent)
    await desk.until_read("Sent, approved by on-call manager")
    await desk.press("U0BOB", "approve", second)
    assert "draft 2 was already sent" in desk.slack.told()[-1]
    assert desk.buttons() == {}
    assert not any("<!channel" in text for text in desk.api.texts())


@pytest.mark.slow
async def test_four_eyes_are_two_people(engine: AsyncEngine, policy: Policy, temporal: str) -> None:
    async with desk_on(engine, policy_with(policy, four_eyes=True), temporal) as desk:
        incident = await desk.alert()
        await desk.until("approve", lambda: "approve" in desk.buttons())
        await desk.click("U0ADA", "approve")
        await desk.until_read("1 of 2 approvals: on-call manager")
        await desk.click("U0ADA", "approve")
        assert "another person must give the second approval" in desk.slack.told()[-1]
        assert desk.mail.sent == []
        page = await desk.staff.http.get(
            f"/api/incidents/{incident}", headers=desk.staff.auth("viewer")
        )
        assert page.json()["pending"]["approvals"] == 1
        await desk.click("U0BOB", "approve")
        await desk.until("mail", lambda: desk.mail.sent)
        await desk.until_read("Sent, approved by incident manager")


@pytest.mark.slow
async def test_reject_and_hand_over(desk: Desk) -> None:
    incident = await desk.alert()
    await desk.until("approve", lambda: "approve" in desk.buttons())
    answer = await desk.staff.http.post(
        f"/api/incidents/{incident}/hand-over",
        json={"role": "approver", "to": "incident manager"},
        headers=desk.staff.auth("approver"),
    )
    assert answer.status_code == 200, answer.text
    await desk.until_read("*Asked*: incident manager <@U0BOB>")
    shown = await desk.staff.http.get(
        f"/api/incidents/{incident}", headers=desk.staff.auth("viewer")
    )
    assert shown.json()["asked"] == {
        "approver": "incident manager", "commander": "on-call commander",
    }  # fmt: skip
    page = await desk.staff.http.get(
        f"/console/incidents/{incident}", headers=desk.staff.auth("approver")
    )
    assert "to approve: incident manager; commander: on-call commander" in page.text
    assert "Blast radius" in page.text
    await desk.click("U0BOB", "reject", reason="<b>wrong</b> & early")
    await desk.until_read("Rejected by incident manager: &lt;b&gt;wrong&lt;/b&gt; &amp; early")
    assert desk.mail.sent == []


@pytest.mark.slow
async def test_silence_is_reminded_and_escalated(
    engine: AsyncEngine, policy: Policy, temporal: str
) -> None:
    second = timedelta(seconds=1)
    soon = {"remind_after": second, "escalate_after": 2 * second}
    hasty = policy.model_copy(update={"approval": policy.approval.model_copy(update=soon)})
    async with desk_on(engine, policy_with(hasty), temporal) as desk:
        await desk.alert()
        await desk.until_read("<@U0ADA> (on-call manager): draft 1 still waits")
        await desk.until_read("Nobody answered. <@U0BOB> (incident manager): draft 1 waits")
        card, *replies = desk.api.messages
        assert {desk.api.messages[reply]["thread_ts"] for reply in replies} == {card}
        await desk.until_read("*Asked*: incident manager <@U0BOB>")
        await desk.click("U0BOB", "approve")
        await desk.until("mail", lambda: desk.mail.sent)
