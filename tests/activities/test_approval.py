"""Slack agrees with PostgreSQL: each question once, its end shown, nobody nagged about the past."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.approval import AT_ONCE, ApprovalActivities, TellStaffInput
from adapters.chat.slack import Slack, SlackSettings
from domain.errors import Transient
from domain.events import (
    AlertsReceived,
    Dismissed,
    Edited,
    FalseAlarmMarked,
    HandedOver,
    ImpactConfirmed,
    SeverityChanged,
)
from domain.policy import Policy
from domain.signal import Severity
from runtime.wiring import build_desk
from tests.activities.staff_world import INCIDENT, SECRET, URL, Office, policy_with
from tests.adapters.chat.fake_slack import FakeSlack, Say, fake_slack
from tests.domain.story import batch


@pytest.fixture
def api() -> Iterator[FakeSlack]:
    with fake_slack() as slack:
        yield slack


@pytest.fixture
def office(engine: AsyncEngine, policy: Policy, now: datetime, api: FakeSlack) -> Office:
    return Office(engine, policy_with(policy), now, api)


def shown(message: dict[str, Any]) -> str:
    """All that a person can read of a message."""
    parts = [message["text"]]
    for block in message.get("blocks") or []:
        texts = [block.get("text"), *block.get("elements", [])]
        parts += [t["text"] for t in texts if isinstance(t, dict) and isinstance(t["text"], str)]
    return "\n".join(parts)


def buttons(message: dict[str, Any]) -> list[str]:
    return [
        element["action_id"].removeprefix("forewarn_")
        for block in message.get("blocks") or []
        if block["type"] == "actions"
        for element in block["elements"]
    ]


def message(api: FakeSlack, index: int = -1) -> dict[str, Any]:
    return list(api.messages.values())[index]


async def test_a_draft_is_asked_once_with_its_blast_radius(office: Office, api: FakeSlack) -> None:
    await office.customers()
    await office.open(severity=Severity.P1)
    await office.tell_staff()
    assert api.methods() == ["chat.postMessage"]
    card = message(api)
    assert buttons(card) == ["approve", "reject"]
    assert office.state is not None and office.state.pending is not None
    value = json.loads(card["blocks"][-2]["elements"][0]["value"])
    assert value == {"incident": INCIDENT, "draft": 1, "hash": office.state.pending.hash}
    read = shown(card)
    for part in (
        "P1: first message waits for approval",
        "6 recipients in 6 accounts, of 6 accounts",
        "e-mail: 5 (1 opted out or not agreed not)",
        "pro 4, enterprise 2",
        "eu 3, us 3",
        "en 5, de 1",
        "15,000 a year, 1 accounts without a known value",
        "imported 2026-03-10 12:00 UTC, 2 h before",
        "***@example.com",
        "status page: everybody",
        "on-call manager <@U0ADA>",
        "also approves the fixed holding lines",
        "*e-mail · en*",
        "*e-mail · de*",
        f"<http://status.example/console/incidents/{INCIDENT}|",
    ):
        assert part in read, part
    assert "Older than" not in read
    assert "user1@example.com" not in json.dumps(card)
    assert "User 1" not in json.dumps(card)


async def test_without_a_channel_there_is_no_desk(engine: AsyncEngine, policy: Policy) -> None:
    slack = Slack(SlackSettings(approval_channel=None))
    assert build_desk(engine, policy, slack, URL, SECRET) is None


async def test_old_customer_data_warns(office: Office, api: FakeSlack, policy: Policy) -> None:
    await office.customers(imported=policy.audience.data_age_limit + timedelta(hours=1))
    await office.open(severity=Severity.P1)
    assert "Older than the" in shown(message(api))


async def test_a_decision_ends_the_card(office: Office, api: FakeSlack) -> None:
    await office.open(severity=Severity.P1)
    await office.decide("reject")
    card = message(api)
    assert buttons(card) == []
    assert "Rejected by on-call manager: too early" in shown(card)
    calls = len(api.calls)
    await office.tell_staff()
    assert len(api.calls) == calls, "what is over is not touched again"


async def test_an_approved_draft_shows_who_let_it_out(office: Office, api: FakeSlack) -> None:
    await office.open(severity=Severity.P1)
    await office.decide(by="incident manager")
    assert "Sent, approved by incident manager" in shown(message(api))
    assert buttons(message(api)) == []


async def test_a_replaced_draft_names_its_successor(office: Office, api: FakeSlack) -> None:
    await office.open(severity=Severity.P1)
    assert office.state is not None and office.state.pending is not None
    old = office.state.pending
    async with office.engine.begin() as conn:
        await conn.execute(
            text(
                "INSERT INTO drafts SELECT incident_id, 2, 'edit', moment, number, facts,"
                " audience_rule, 'beef', findings, state, 'bob', 1, created_at FROM drafts"
            )
        )
    await office.tell(Edited(draft=1, version=2, hash="beef", by="incident manager"))
    first, second = api.messages.values()
    assert "Superseded by version 2" in shown(first)
    assert (buttons(first), buttons(second)) == ([], ["approve", "reject"])
    assert "version 2, written by bob, hash beef" in shown(second)
    assert old.hash != "beef"


async def test_a_withdrawn_draft_learns_of_its_successor_later(
    office: Office, api: FakeSlack
) -> None:
    await office.open(severity=Severity.P1)
    await office.tell(SeverityChanged(by="on-call commander", severity=Severity.P2))
    first, second = api.messages.values()
    assert "Superseded by version 2" in shown(first)
    assert "P2" in shown(second)
    updates = [given["text"] for method, given in api.calls if method == "chat.update"]
    assert any("Taken back" in text for text in updates)


async def test_a_draft_ends_with_its_incident(office: Office, api: FakeSlack) -> None:
    await office.open(severity=Severity.P1)
    await office.tell(FalseAlarmMarked(by="on-call commander"))
    assert len(api.messages) == 1
    assert buttons(message(api)) == []
    assert "The incident is over" in shown(message(api))


async def test_a_suspicion_is_put_and_answered(office: Office, api: FakeSlack) -> None:
    await office.open(confirms=False)
    card = message(api)
    assert buttons(card) == ["confirm", "dismiss"]
    assert "<@U0COM>" in shown(card)
    await office.tell(Dismissed(by="on-call commander", reason="a test"))
    assert len(api.messages) == 1
    assert buttons(message(api)) == []
    assert "Dismissed by on-call commander: a test" in shown(message(api))


async def test_a_confirmed_suspicion_is_followed_by_the_draft(
    office: Office, api: FakeSlack
) -> None:
    await office.open(confirms=False, severity=Severity.P1)
    await office.tell(ImpactConfirmed(by="on-call commander"))
    first, second = api.messages.values()
    assert "Impact confirmed by on-call commander" in shown(first)
    assert buttons(second) == ["approve", "reject"]


async def test_a_suspicion_that_passes_says_so(office: Office, api: FakeSlack) -> None:
    await office.open(confirms=False)
    await office.tell(AlertsReceived(batch=batch(watermark=2, firing=0, confirms=False)))
    assert "every alert resolved" in shown(message(api))
    assert buttons(message(api)) == []


async def test_what_was_never_asked_is_not_shown_once_it_is_over(
    office: Office, api: FakeSlack
) -> None:
    api.next = [Say(503)]
    with pytest.raises(ApplicationError):
        await office.open(severity=Severity.P1)
    await office.decide("reject")
    assert api.messages == {}


async def test_silence_reminds_and_escalates_under_the_card(
    office: Office, api: FakeSlack, policy: Policy
) -> None:
    await office.open(severity=Severity.P1)
    card = next(iter(api.messages))
    await office.pass_time(policy.approval.remind_after)
    await office.pass_time(policy.approval.escalate_after)
    replies = [m for m in api.messages.values() if m.get("thread_ts")]
    assert [m["thread_ts"] for m in replies] == [card, card]
    assert "<@U0ADA>" in replies[0]["text"]
    assert "<@U0BOB> (incident manager): draft 1 waits" in replies[1]["text"]
    assert "incident manager <@U0BOB>" in shown(api.messages[card]), "the card says who is asked"
    await office.tell_staff()
    assert len(api.messages) == 3


async def test_nobody_is_reminded_of_what_is_decided(
    office: Office, api: FakeSlack, policy: Policy
) -> None:
    await office.open(severity=Severity.P1)
    api.next = [Say(500)]
    with pytest.raises(ApplicationError):
        await office.pass_time(policy.approval.remind_after)
    await office.decide()
    assert not any(m.get("thread_ts") for m in api.messages.values())


async def test_the_commander_hears_of_the_promise(
    office: Office, api: FakeSlack, policy: Policy
) -> None:
    await office.open(severity=Severity.P1)
    await office.decide()
    every = policy.severities[Severity.P1].update_every
    assert every is not None
    await office.pass_time(every - policy.promises.remind_before + timedelta(seconds=1))
    assert "<@U0COM>" in message(api)["text"]
    assert "promised an update by 2026-03-10 14:30 UTC" in message(api)["text"]


async def test_a_hand_over_shows_on_the_card(office: Office, api: FakeSlack) -> None:
    await office.open(severity=Severity.P1)
    await office.tell(HandedOver(by="on-call manager", role="approver", to="incident manager"))
    assert len(api.messages) == 1
    assert "*Asked*: incident manager <@U0BOB>" in shown(message(api))


async def test_four_eyes_are_counted_on_the_card(
    engine: AsyncEngine, policy: Policy, now: datetime, api: FakeSlack
) -> None:
    office = Office(engine, policy_with(policy, four_eyes=True), now, api)
    await office.open(severity=Severity.P1)
    assert "0 of 2 approvals" in shown(message(api))
    await office.decide()
    assert "1 of 2 approvals: on-call manager" in shown(message(api))
    assert buttons(message(api)) == ["approve", "reject"]
    await office.decide(by="incident manager")
    assert buttons(message(api)) == []
    assert len(api.messages) == 1


async def test_two_at_the_same_time_post_once(office: Office, api: FakeSlack) -> None:
    api.next = [Say(500)]
    with pytest.raises(ApplicationError):
        await office.open(confirms=False)
    api.slow = 0.2
    desks = [office.another_desk() for _ in range(4)]
    await asyncio.gather(*(desk.show(INCIDENT) for desk in desks))
    assert len(api.messages) == 1


async def test_a_slow_chat_does_not_fill_the_worker(office: Office, api: FakeSlack) -> None:
    api.next = [Say(500)]
    with pytest.raises(ApplicationError):
        await office.open(confirms=False)
    api.slow = 0.3
    calls = [office.desk.show(INCIDENT) for _ in range(AT_ONCE + 2)]
    results = await asyncio.gather(*calls, return_exceptions=True)
    put_off = [r for r in results if isinstance(r, Transient) and r.retry_after]
    assert len(put_off) == 2
    assert len(api.messages) == 1
    await office.tell_staff()


async def test_a_cancelled_call_lets_go_of_the_incident(office: Office, api: FakeSlack) -> None:
    api.next = [Say(500)]
    with pytest.raises(ApplicationError):
        await office.open(confirms=False)
    api.next = [Say(after=1.0)]
    task = asyncio.create_task(office.desk.show(INCIDENT))
    await asyncio.sleep(0.3)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with asyncio.timeout(5):
        await office.another_desk().show(INCIDENT)
    assert len(api.messages) == 1
    async with office.engine.connect() as conn:
        held = await conn.scalar(text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"))
    assert held == 0


async def test_a_deleted_card_is_let_go(office: Office, api: FakeSlack) -> None:
    await office.open(severity=Severity.P1)
    api.messages.clear()
    await office.decide()
    calls = len(api.calls)
    await office.tell_staff()
    assert len(api.calls) == calls


async def test_slacks_refusals_reach_temporal_in_its_own_terms(
    office: Office, api: FakeSlack
) -> None:
    await office.open(confirms=False)
    run = ActivityEnvironment().run
    tell = ApprovalActivities(office.desk).tell_staff
    await office.engine.dispose()
    async with office.engine.begin() as conn:
        await conn.execute(text("DELETE FROM staff_posts"))
    api.next = [Say(429, "{}", {"Retry-After": "21"})]
    with pytest.raises(ApplicationError) as caught:
        await run(tell, TellStaffInput(incident_id=INCIDENT))
    assert caught.value.next_retry_delay == timedelta(seconds=21)
    assert not caught.value.non_retryable
    api.next = [Say(200, '{"ok": false, "error": "channel_not_found"}')]
    with pytest.raises(ApplicationError) as caught:
        await run(tell, TellStaffInput(incident_id=INCIDENT))
    assert caught.value.non_retryable
    with pytest.raises(ApplicationError) as caught:
        await run(tell, TellStaffInput(incident_id="inc_unknown"))
    assert caught.value.non_retryable
    await run(ApprovalActivities(None).tell_staff, TellStaffInput(incident_id=INCIDENT))


@pytest.mark.parametrize(
    "title",
    [
        "<!channel> help",
        "<https://evil.example|click> & <@U0ADA>",
        "`rm` ```x``` *bold*",
        "a\nb" * 99,
    ],
)
async def test_a_title_stays_a_title(office: Office, api: FakeSlack, title: str) -> None:
    await office.open(title, severity=Severity.P1)
    await office.decide()
    for sent in [json.dumps(given, ensure_ascii=False) for _, given in api.calls]:
        assert "<!channel" not in sent
        assert "<https://evil" not in sent
        assert "& <@U0ADA>" not in sent
        assert "`" not in sent
    if "<!channel>" in title:
        assert "&lt;!channel&gt; help" in shown(message(api))


async def test_a_huge_draft_is_cut_with_a_note(office: Office, api: FakeSlack) -> None:
    await office.open(severity=Severity.P1)
    api.messages.clear()
    async with office.engine.begin() as conn:
        await conn.execute(text("DELETE FROM staff_posts"))
        await conn.execute(text("UPDATE draft_texts SET text = repeat('<&> long ', 5000)"))
        await conn.execute(
            text(
                "INSERT INTO draft_texts SELECT incident_id, version, channel, 'x' || n, subject,"
                " text, html FROM draft_texts, generate_series(1, 30) n WHERE locale = 'en'"
            )
        )
        await conn.execute(
            text(
                "UPDATE drafts SET findings = jsonb_agg FROM (SELECT jsonb_agg(jsonb_build_object("
                "'rule', 'r', 'where', repeat('w', 500), 'found', repeat('<', 5000),"
                " 'suggestion', 's')) FROM generate_series(1, 40)) f"
            )
        )
    await office.tell_staff()
    card = message(api)
    read = shown(card)
    assert len(card["blocks"]) <= 50
    assert "shortened; the whole text is in the console" in read
    assert "more texts are in the console" in read
    assert "and 35 more" in read
    assert buttons(card) == ["reject"], "a draft that breaks rules offers no approval"
    assert sum(len(t) for t in read) < 13_000
