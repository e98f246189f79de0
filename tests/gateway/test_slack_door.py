"""What Slack delivers is checked, stored, acknowledged in time, and carried out once."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator, Iterator
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.policy import Policy
from runtime.servers import TemporalServer
from tests.activities.staff_world import policy_with
from tests.adapters.chat.fake_slack import TOKEN, FakeSlack, Say, fake_slack
from tests.gateway.slack_kit import LATER, SlackKit, click, slack_kit
from tests.gateway.staff_kit import Kit, make_incident, staff_kit, stand_in


@pytest.fixture(scope="module")
def temporal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    server = TemporalServer(tmp_path_factory.mktemp("temporal"))
    server.start()
    yield server.address
    server.stop()


@pytest.fixture
def api() -> Iterator[FakeSlack]:
    with fake_slack() as slack:
        yield slack


@pytest.fixture
async def staff(
    engine: AsyncEngine, policy: Policy, now: datetime, temporal: str
) -> AsyncIterator[Kit]:
    async with stand_in(temporal) as client, staff_kit(engine, policy, now, client) as made:
        yield made


@pytest.fixture
async def slack(staff: Kit, api: FakeSlack, policy: Policy) -> AsyncIterator[SlackKit]:
    async with slack_kit(staff.deps, api, policy_with(policy)) as made:
        yield made


@pytest.fixture
async def down(
    engine: AsyncEngine, policy: Policy, now: datetime, api: FakeSlack
) -> AsyncIterator[SlackKit]:
    """Temporal does not answer."""
    async with (
        staff_kit(engine, policy, now) as made,
        slack_kit(made.deps, api, policy_with(policy)) as kit,
    ):
        yield kit


async def button(kit: SlackKit, incident: str) -> dict[str, Any]:
    """What the buttons of the incident's first card carry."""
    async with kit.deps.engine.connect() as conn:
        found = await conn.scalar(
            text("SELECT hash FROM drafts WHERE incident_id = :id"), {"id": incident}
        )
    return {"incident": incident, "draft": 1, "hash": found}


async def test_a_click_is_stored_and_carried_out_as_the_staff_command(
    slack: SlackKit, staff: Kit
) -> None:
    incident = await make_incident(staff)
    answer = await slack.click("U0ADA", "approve", await button(slack, incident))
    assert (answer.status_code, answer.text) == (200, "")
    assert await staff.seen(incident) == [], "nothing is carried out while Slack waits"
    assert await slack.delivery.run_once() == 1
    assert await staff.seen(incident) == ["approve 1 by on-call manager as approver"]
    (action,) = await slack.actions()
    assert (action.state, action.incident_id, action.user_id) == ("done", incident, "U0ADA")
    assert action.told_at is not None
    assert slack.told() == [], "the card says it"
    assert await slack.delivery.run_once() == 0


async def test_the_same_delivery_is_one_action(slack: SlackKit, staff: Kit) -> None:
    incident = await make_incident(staff)
    value = await button(slack, incident)
    for _ in range(3):
        assert (await slack.click("U0ADA", "approve", value, ts="7.7")).status_code == 200
    assert len(await slack.actions()) == 1
    await slack.delivery.run_once()
    assert len(await staff.seen(incident)) == 1


async def test_a_second_click_is_answered_to_the_person(slack: SlackKit, staff: Kit) -> None:
    incident = await make_incident(staff)
    value = await button(slack, incident)
    await slack.click("U0ADA", "approve", value)
    staff.clock.forward(timedelta(seconds=1))
    await slack.click("U0BOB", "approve", value)
    await slack.delivery.run_once()
    assert await staff.seen(incident) == ["approve 1 by on-call manager as approver"]
    assert [a.state for a in await slack.actions()] == ["done", "refused"]
    (said,) = slack.told()
    assert said.startswith("U0BOB: Nothing was changed: already decided.")


async def test_reject_needs_and_carries_a_reason(slack: SlackKit, staff: Kit) -> None:
    incident = await make_incident(staff)
    value = await button(slack, incident)
    await slack.click("U0ADA", "reject", value)
    await slack.delivery.run_once()
    assert "Say why it is rejected" in slack.told()[0]
    assert await staff.seen(incident) == []
    await slack.click("U0ADA", "reject", value, reason="  wrong\n<@U1> ")
    kept = [action.payload.get("reason") for action in await slack.actions()]
    assert "wrong <@U1>" in kept
    await slack.delivery.run_once()
    assert await staff.seen(incident) == ["reject 1 by on-call manager as approver"]
    kept = [action.payload.get("reason") for action in await slack.actions()]
    assert kept == [None, None], "it stands on the timeline now"


@pytest.mark.parametrize(
    ("user", "action", "said"),
    [
        ("U0EVE", "approve", "this needs the role approver. These may: on-call manager"),
        ("U0COM", "approve", "this needs the role approver"),
        ("U0EVE", "confirm", "this needs the role responder. These may: on-call commander"),
        ("U0EVE", "dismiss", "this needs the role responder"),
        ("U9XYZ", "approve", "add your Slack id U9XYZ under `people.slack`"),
        ("U9XYZ", "confirm", "You are not known here"),
    ],
)
async def test_who_may_not_is_told_whom_to_ask(
    slack: SlackKit, staff: Kit, user: str, action: str, said: str
) -> None:
    incident = await make_incident(staff)
    await slack.click(user, action, await button(slack, incident))
    await slack.delivery.run_once()
    assert said in slack.told()[0]
    assert await staff.seen(incident) == []
    assert (await slack.actions())[0].state == "refused"


async def test_confirm_and_dismiss_are_the_commanders(slack: SlackKit, staff: Kit) -> None:
    incident = await make_incident(staff, draft=False)
    await slack.click("U0COM", "confirm", {"incident": incident})
    staff.clock.forward(timedelta(seconds=1))
    await slack.click("U0COM", "dismiss", {"incident": incident}, reason="a test")
    await slack.delivery.run_once()
    assert await staff.seen(incident) == ["confirm_impact ()", "dismiss"]


async def test_a_button_of_another_text_decides_nothing(slack: SlackKit, staff: Kit) -> None:
    incident = await make_incident(staff)
    value = await button(slack, incident)
    await slack.click("U0ADA", "approve", value | {"hash": "beef"})
    await slack.delivery.run_once()
    assert "draft 1 is not what this card showed" in slack.told()[0]
    assert await staff.seen(incident) == []


async def test_temporal_down_is_answered_stored_and_delivered_later(
    down: SlackKit, engine: AsyncEngine, policy: Policy, now: datetime, temporal: str
) -> None:
    async with (
        stand_in(temporal) as client,
        staff_kit(engine, policy, now, client) as back,
    ):
        incident = await make_incident(back)
        value = await button(down, incident)
        began = time.monotonic()
        assert (await down.click("U0ADA", "approve", value)).status_code == 200
        assert time.monotonic() - began < 3
        await down.delivery.run_once()
        (action,) = await down.actions()
        assert (action.state, action.attempts) == ("waiting", 1)
        (said,) = down.told()
        assert "kept, and it is carried out as soon as" in said
        assert await down.delivery.run_once() == 0, "not at once again"
        async with slack_kit(back.deps, down.api, policy_with(policy)) as later:
            back.clock.forward(LATER)
            await later.delivery.run_once()
        assert await back.seen(incident) == ["approve 1 by on-call manager as approver"]
        assert (await down.actions())[0].state == "done"


async def test_of_two_clicks_during_an_outage_the_first_decides(
    down: SlackKit, engine: AsyncEngine, policy: Policy, now: datetime, temporal: str
) -> None:
    async with (
        stand_in(temporal) as client,
        staff_kit(engine, policy, now, client) as back,
    ):
        incident = await make_incident(back)
        value = await button(down, incident)
        await down.click("U0ADA", "reject", value, reason="wrong")
        await down.delivery.run_once()
        back.clock.forward(timedelta(seconds=1))
        async with slack_kit(back.deps, down.api, policy_with(policy)) as later:
            await later.click("U0BOB", "approve", value)
            back.clock.forward(LATER)
            await later.delivery.run_once()
        assert await back.seen(incident) == ["reject 1 by on-call manager as approver"]
        assert [a.state for a in await down.actions()] == ["done", "refused"]


async def test_two_gateways_deliver_a_click_once(slack: SlackKit, staff: Kit) -> None:
    incident = await make_incident(staff)
    await slack.click("U0ADA", "approve", await button(slack, incident))
    async with slack_kit(staff.deps, slack.api, slack.deps.policy) as other:
        taken = await asyncio.gather(slack.delivery.run_once(), other.delivery.run_once())
    assert sorted(taken) == [0, 1]
    assert len(await staff.seen(incident)) == 1


async def test_a_gateway_that_died_after_the_command_does_not_blame_the_person(
    slack: SlackKit, staff: Kit, engine: AsyncEngine
) -> None:
    incident = await make_incident(staff)
    await slack.click("U0ADA", "approve", await button(slack, incident))
    await slack.delivery.run_once()
    async with engine.begin() as conn:
        await conn.execute(
            text(
                "UPDATE slack_actions SET state = 'waiting', outcome = NULL, told_at = NULL,"
                ' payload = payload || \'{"reason": "", "title": ""}\''
            )
        )
        await conn.execute(
            text("UPDATE drafts SET decided_by = 'on-call manager', decision = 'approved'")
        )
    staff.clock.forward(LATER)
    await slack.delivery.run_once()
    assert (await slack.actions())[0].state == "done"
    assert slack.told() == []
    assert len(await staff.seen(incident)) == 1


async def test_what_was_done_before_a_crash_is_not_done_again(
    slack: SlackKit, staff: Kit, engine: AsyncEngine
) -> None:
    incident = await make_incident(staff, draft=False)
    await slack.click("U0COM", "confirm", {"incident": incident})
    await slack.command("U0COM", "start dashboard is slow")
    await slack.delivery.run_once()
    async with engine.begin() as conn:
        await conn.execute(
            text(
                "UPDATE slack_actions SET state = 'waiting', outcome = NULL, told_at = NULL,"
                ' payload = payload || \'{"reason": "", "title": "dashboard is slow"}\''
            )
        )
    staff.clock.forward(LATER)
    assert await slack.delivery.run_once() == 2
    assert await staff.seen(incident) == ["confirm_impact ()"]
    async with engine.connect() as conn:
        assert await conn.scalar(text("SELECT count(*) FROM incidents")) == 2
    assert [a.state for a in await slack.actions()] == ["done", "done"]


async def test_an_answer_that_slack_does_not_take_is_given_again(
    slack: SlackKit, staff: Kit, api: FakeSlack
) -> None:
    incident = await make_incident(staff)
    await slack.click("U9XYZ", "approve", await button(slack, incident))
    api.next = [Say(429, "{}", {"Retry-After": "20"})]
    await slack.delivery.run_once()
    assert slack.told() == []
    assert await slack.delivery.run_once() == 0
    staff.clock.forward(timedelta(seconds=21))
    await slack.delivery.run_once()
    assert len(slack.told()) == 1


async def test_the_loop_runs_with_the_server(slack: SlackKit, staff: Kit) -> None:
    incident = await make_incident(staff)
    async with slack.app.router.lifespan_context(slack.app):
        await slack.click("U0ADA", "approve", await button(slack, incident))
        for _ in range(200):
            if await staff.seen(incident):
                break
            await asyncio.sleep(0.05)
        assert await staff.seen(incident) == ["approve 1 by on-call manager as approver"]


async def test_only_slack_is_let_in(down: SlackKit, caplog: pytest.LogCaptureFixture) -> None:
    body = click("U0ADA", "approve", {"incident": "inc_1", "draft": 1, "hash": "ab"})
    now = int(down.deps.now().timestamp())
    caplog.set_level(logging.DEBUG)
    answers = [
        await down.post("interactions", body, secret="another"),
        await down.post("interactions", body, at=now - 301),
        await down.post("interactions", body, headers={"X-Slack-Signature": "v0="}),
        await down.post("interactions", body, headers={"X-Slack-Request-Timestamp": str(now - 1)}),
        await down.post("commands", b"text=help", secret="another"),
        await down.http.post("/slack/interactions", content=body),
    ]
    assert [a.status_code for a in answers] == [401] * 6
    assert all(a.headers["content-type"] == "application/problem+json" for a in answers)
    assert await down.actions() == []
    assert "8f742231b10e8888abcd99" not in caplog.text
    assert (await down.post("interactions", body, at=now - 299)).status_code == 200


async def test_without_a_signing_secret_nobody_is(
    down: SlackKit, api: FakeSlack, policy: Policy
) -> None:
    async with slack_kit(
        down.deps, api, policy, signing_secret=None, approval_channel=None
    ) as shut:
        body = click("U0ADA", "approve", {"incident": "inc_1", "draft": 1, "hash": "ab"})
        assert (await shut.post("interactions", body)).status_code == 401
        assert (await shut.post("commands", b"text=help")).status_code == 401


def with_payload(change: dict[str, Any]) -> bytes:
    body = {"type": "block_actions", "user": {"id": "U0ADA"}, "channel": {"id": "C0APPROVE"}}
    return urlencode({"payload": json.dumps(body | change)}).encode()


def pressed(**element: Any) -> bytes:
    usual = {"action_id": "forewarn_approve", "action_ts": "1.1", "value": "{}"}
    return with_payload({"actions": [usual | element]})


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff\xfe",
        b"payload=%ff",
        b"payload=%00",
        b"payload",
        b"a=b",
        b"payload=",
        b"payload=null",
        b"payload=[]",
        b"payload=" + b"[" * 100_000,
        b"&".join(b"a%d=1" % i for i in range(200)),
        with_payload({"user": None}),
        with_payload({"user": {"id": "U0\x00"}}),
        with_payload({"type": None}),
        pressed(value="{"),
        pressed(value="{}"),
        pressed(value=json.dumps({"incident": "inc_1"})),
        pressed(value=json.dumps({"incident": "inc_1", "draft": 0, "hash": "ab"})),
        pressed(value=json.dumps({"incident": "inc_1", "draft": 2**40, "hash": "ab"})),
        pressed(value=json.dumps({"incident": "inc_1'; --", "draft": 1, "hash": "ab"})),
        pressed(value=json.dumps({"incident": "inc_1", "draft": 1, "hash": "a\x00"})),
        pressed(action_ts="\ud800"),
        pressed(value="x" * 3000),
    ],
    ids=range(23),
)
async def test_nonsense_gets_a_clear_refusal_and_leaves_nothing(
    down: SlackKit, body: bytes
) -> None:
    answer = await down.post("interactions", body)
    assert answer.status_code == 422, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["errors"][0]["field"]
    assert await down.actions() == []


async def test_what_asks_nothing_of_us_is_acknowledged(down: SlackKit) -> None:
    for body in (
        with_payload({"type": "view_closed"}),
        with_payload({"type": "message_action", "callback_id": "x"}),
        pressed(action_id="somebody_elses"),
    ):
        assert (await down.post("interactions", body)).status_code == 200
    json_body = await down.post("interactions", b"{}", headers={"Content-Type": "application/json"})
    assert json_body.status_code == 415
    large = await down.post("interactions", b"payload=" + b"x" * 1_100_000)
    assert large.status_code == 413
    assert await down.actions() == []


async def test_commands_help_list_and_start(slack: SlackKit, staff: Kit) -> None:
    answer = await slack.command("U0ADA", "list")
    assert answer.json() == {"response_type": "ephemeral", "text": "No incident is open."}
    incident = await make_incident(staff, title="<!channel> & co")
    listed = (await slack.command("U0EVE", "list")).json()["text"]
    assert (
        f"P2 <http://status.example/console/incidents/{incident}|&lt;!channel&gt; &amp; co>"
        in listed
    )
    assert "draft 1 waits" in listed
    for words in ("", "help", "frobnicate", "start", "start   "):
        assert "/forewarn start TITLE" in (await slack.command("U0ADA", words)).json()["text"]
    unknown = (await slack.command("U9XYZ", "list")).json()["text"]
    assert "You are not known here" in unknown
    forbidden = (await slack.command("U0EVE", "start payments fail")).json()["text"]
    assert "needs the role responder" in forbidden
    assert await slack.actions() == []


async def test_a_report_by_command_is_one_suspected_incident(
    slack: SlackKit, staff: Kit, engine: AsyncEngine
) -> None:
    for _ in range(2):
        answer = await slack.command("U0COM", "start payments: cards <b>fail</b>", trigger="1.2.3")
        assert answer.json()["text"].startswith("Taken: payments: cards &lt;b&gt;fail")
    await slack.delivery.run_once()
    async with engine.connect() as conn:
        (row,) = (await conn.execute(text("SELECT * FROM incidents"))).all()
    assert (row.title, row.components) == ("payments: cards <b>fail</b>", ["payments"])
    assert (row.stage, row.opened_by) == ("suspected", "on-call commander")
    (said,) = slack.told()
    assert said.startswith(
        f"U0COM: Reported as {row.id}: <http://status.example/console/incidents/"
    )
    assert "title" not in (await slack.actions())[0].payload


async def test_a_report_while_temporal_is_down_is_kept(down: SlackKit, engine: AsyncEngine) -> None:
    await down.command("U0ADA", "start everything is slow")
    await down.delivery.run_once()
    async with engine.connect() as conn:
        assert await conn.scalar(text("SELECT title FROM incidents")) == "everything is slow"
    assert len(down.told()) == 1


@pytest.mark.parametrize("body", [b"", b"text=list", b"text=list&user_id=U1;--&channel_id=C1"])
async def test_a_malformed_command_is_refused(down: SlackKit, body: bytes) -> None:
    answer = await down.post("commands", body)
    assert answer.status_code == 422
    assert answer.json()["errors"]


async def test_the_token_is_in_no_log(slack: SlackKit, staff: Kit, capfd: Any) -> None:
    incident = await make_incident(staff)
    slack.api.next = [Say(500, TOKEN)]
    await slack.click("U9XYZ", "approve", await button(slack, incident))
    await slack.delivery.run_once()
    out, err = capfd.readouterr()
    assert "slack_action_put_off" in out + err
    assert TOKEN not in out + err
