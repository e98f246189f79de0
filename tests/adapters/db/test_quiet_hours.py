"""Quiet hours go by each reader's own clock, also on the days on which it is changed."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, time

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.db.ledger import Ledger
from domain.message import Channel, Moment
from domain.policy import Policy
from domain.policy_sections import QuietHours
from domain.ports import Outcome
from domain.signal import Severity
from tests.adapters.db.ledger_world import (
    EVERYTHING,
    audience,
    customers,
    incident,
    rows,
    run,
    spec,
)

SMS = Channel.SMS
ZONES = ("Europe/Berlin", "America/New_York", "Asia/Kolkata")
NIGHT = QuietHours(
    channels=(SMS,), begin=time(22), until=time(7), unless=(Severity.P1,)
)  # fmt: skip
NOON = QuietHours(channels=(SMS,), begin=time(12), until=time(13))


async def asleep(
    engine: AsyncEngine, policy: Policy, hours: QuietHours, now: datetime, severity: str = "P2"
) -> set[str]:
    """The zones whose readers are left alone at an instant."""
    await incident(engine, now)
    await customers(engine, now, len(ZONES))
    await audience(engine, now, range(len(ZONES)))
    for index, zone in enumerate(ZONES):
        await run(
            engine,
            "UPDATE contacts SET timezone = :zone WHERE id = :id",
            zone=zone,
            id=f"con_{index}",
        )
    quiet = policy.model_copy(update={"quiet_hours": hours})
    given = spec(now, channels=[SMS, Channel.EMAIL], severity=severity)
    opened = await Ledger(engine).open(given, quiet, now, EVERYTHING)
    found = await rows(engine, opened)
    assert {s for (c, _), s in found.items() if c == "email"} == {("pending", "")}
    return {
        ZONES[int(r.removeprefix("con_"))]
        for (c, r), s in found.items()
        if c == "sms" and s == ("suppressed", "quiet_hours")
    }


@pytest.mark.parametrize(
    ("at", "hours", "zones"),
    [
        # 21:59 and 22:00 in Berlin, in summer time.
        ("2026-07-01T19:59Z", NIGHT, {"Asia/Kolkata"}),
        ("2026-07-01T20:00Z", NIGHT, {"Asia/Kolkata", "Europe/Berlin"}),
        # In winter Berlin's evening comes an hour later by UTC.
        ("2026-12-01T20:59Z", NIGHT, {"Asia/Kolkata"}),
        ("2026-12-01T21:00Z", NIGHT, {"Asia/Kolkata", "Europe/Berlin"}),
        # The night of the change in Berlin, 29 March 2026: seven o'clock is five UTC, not six.
        ("2026-03-29T04:59Z", NIGHT, {"Europe/Berlin", "America/New_York"}),
        ("2026-03-29T05:00Z", NIGHT, {"America/New_York"}),
        # New York changed three weeks before: its night ends at eleven UTC.
        ("2026-03-29T10:59Z", NIGHT, {"America/New_York"}),
        ("2026-03-29T11:00Z", NIGHT, set()),
        # Hours within one day.
        ("2026-07-01T10:00Z", NOON, {"Europe/Berlin"}),
        ("2026-07-01T11:00Z", NOON, set()),
    ],
)
async def test_by_the_readers_own_clock(
    engine: AsyncEngine, policy: Policy, at: str, hours: QuietHours, zones: Iterable[str]
) -> None:
    now = datetime.fromisoformat(at).astimezone(UTC)
    assert await asleep(engine, policy, hours, now) == zones


async def test_a_full_outage_may_wake_them(engine: AsyncEngine, policy: Policy) -> None:
    midnight = datetime(2026, 7, 1, 23, tzinfo=UTC)
    assert await asleep(engine, policy, NIGHT, midnight, severity="P1") == set()


async def test_whoever_heard_the_start_hears_the_end(engine: AsyncEngine, policy: Policy) -> None:
    noon, midnight = datetime(2026, 7, 1, 10, tzinfo=UTC), datetime(2026, 7, 1, 23, tzinfo=UTC)
    quiet = policy.model_copy(update={"quiet_hours": NIGHT})
    await incident(engine, noon)
    await customers(engine, noon, 1)
    await audience(engine, noon, range(1))
    ledger = Ledger(engine)
    start = await ledger.open(spec(noon, channels=[SMS], severity="P2"), quiet, noon, EVERYTHING)
    claim = await ledger.claim(start, SMS, 50, 60, noon)
    sent = [
        Outcome(delivery_id=i, fence=f, state="sent", sent_at=noon) for i, f in claim.fences.items()
    ]
    await ledger.settle(sent, start, noon)
    for n, moment, expected in (
        (2, Moment.UPDATE, ("suppressed", "quiet_hours")),
        (3, Moment.RESOLUTION, ("pending", "")),
    ):
        given = spec(midnight, n=n, moment=moment, channels=[SMS], severity="P2")
        found = await rows(engine, await ledger.open(given, quiet, midnight, EVERYTHING))
        assert found["sms", "con_0"] == expected, moment


def test_the_shipped_policy_lets_people_sleep(policy: Policy) -> None:
    assert policy.quiet_hours is not None
    assert policy.quiet_hours.unless == (Severity.P1,)
