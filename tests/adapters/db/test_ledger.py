"""The ledger's promises: who gets a row, who may send it, and that it is settled once."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.db import ledger_sql as sql
from adapters.db.audit_verify import verify_log
from adapters.db.chain import CHAIN_LOCK
from adapters.db.ledger import Ledger
from adapters.db.switches import Switches
from domain.errors import BadInput, Refused, Transient
from domain.message import Channel, Moment
from domain.policy import Policy
from domain.ports import BroadcastSpec, Claim, Outcome
from tests.adapters.db.ledger_world import (
    EVERYTHING,
    INCIDENT,
    audience,
    customers,
    incident,
    rows,
    run,
    spec,
    suppress,
)

EMAIL = Channel.EMAIL
WAITING = """
    SELECT pid FROM pg_stat_activity
    WHERE datname = current_database() AND wait_event = 'advisory'
"""


class World:
    def __init__(self, engine: AsyncEngine, policy: Policy, now: datetime) -> None:
        self.engine, self.policy, self.now = engine, policy, now
        self.ledger = Ledger(engine)

    async def open(self, given: BroadcastSpec) -> int:
        return await self.ledger.open(given, self.policy, self.now, EVERYTHING)

    async def claim(
        self, broadcast: int, channel: Channel = EMAIL, limit: int = 50, lease: float = 60
    ) -> Claim:
        return await self.ledger.claim(broadcast, channel, limit, lease, self.now)

    async def settle(self, broadcast: int, claim: Claim, state: str = "sent", **more: Any) -> int:
        sent_at = self.now if state == "sent" else None
        outcomes = [
            Outcome(delivery_id=i, fence=f, state=state, sent_at=sent_at, **more)
            for i, f in claim.fences.items()
        ]
        return await self.ledger.settle(outcomes, broadcast, self.now)

    async def send_all(self, broadcast: int, channel: Channel = EMAIL) -> None:
        while (claim := await self.claim(broadcast, channel)).recipients:
            await self.settle(broadcast, claim)

    async def told(self, given: BroadcastSpec) -> int:
        broadcast = await self.open(given)
        for channel in given.channels:
            await self.send_all(broadcast, channel)
        return broadcast


@pytest.fixture
async def world(engine: AsyncEngine, policy: Policy, now: datetime) -> World:
    await incident(engine, now)
    await customers(engine, now, 3)
    await audience(engine, now, range(3))
    return World(engine, policy, now)


async def test_everybody_gets_exactly_one_row_per_channel(world: World) -> None:
    await run(world.engine, "UPDATE accounts SET slack_channel = 'C1' WHERE id = 'acc_0'")
    given = spec(world.now, channels=Channel)
    first = await world.open(given)
    again = await world.open(given)

    found = await rows(world.engine, first)
    assert again == first
    for channel in ("email", "in_app", "sms"):
        assert {r for c, r in found if c == channel} == {"con_0", "con_1", "con_2"}
    assert {r for c, r in found if c == "slack"} == {"acc_0"}
    assert not [r for c, r in found if c == "teams"]
    for channel in ("status_page", "social", "internal", "ticket"):
        assert {r for c, r in found if c == channel} == {"*"}
    assert {state for state, _ in found.values()} == {"pending"}


async def test_the_same_number_for_another_text_is_refused(world: World) -> None:
    await world.open(spec(world.now))
    with pytest.raises(Refused):
        await world.open(spec(world.now, version=9, hash="other"))


async def test_each_row_that_may_not_go_says_why(world: World) -> None:
    engine, now = world.engine, world.now
    await customers(engine, now, 1, channels=["in_app"], start=3)
    await customers(engine, now, 3, segment="smb", start=4)
    await audience(engine, now, range(7), id="aud_2")
    await suppress(engine, now, "USER0@example.com", "bounced")
    await run(engine, "UPDATE contacts SET email = '' WHERE id = 'con_1'")
    await run(engine, "UPDATE contacts SET email = 'User2@example.com' WHERE id = 'con_4'")

    found = await rows(
        engine, await world.open(spec(now, audience_id="aud_2", channels=[EMAIL, Channel.SMS]))
    )
    assert {r: s for (c, r), s in found.items() if c == "email"} == {
        "con_0": ("suppressed", "bounced"),
        "con_1": ("suppressed", "no_address"),
        "con_2": ("pending", ""),
        "con_3": ("suppressed", "preference"),
        "con_4": ("suppressed", "duplicate"),
        "con_5": ("pending", ""),
        "con_6": ("pending", ""),
    }
    assert found["sms", "con_5"] == ("suppressed", "segment")
    assert found["sms", "con_0"] == ("pending", "")


async def test_unconfigured_channels_and_dry_runs_send_nothing(world: World) -> None:
    given = spec(world.now, channels=[EMAIL, Channel.SMS], dry_run=True)
    broadcast = await world.ledger.open(given, world.policy, world.now, {EMAIL})
    found = await rows(world.engine, broadcast)
    assert found["email", "con_0"] == ("suppressed", "dry_run")
    assert found["sms", "con_0"] == ("suppressed", "not_configured")
    assert not (await world.claim(broadcast)).recipients


async def test_first_segments_are_claimed_first(world: World) -> None:
    await run(world.engine, "UPDATE accounts SET segment = 'smb' WHERE id = 'acc_0'")
    broadcast = await world.open(spec(world.now))
    claim = await world.claim(broadcast, limit=2)
    assert {r.contact_id for r in claim.recipients} == {"con_1", "con_2"}


async def test_two_claims_never_share_a_row(world: World) -> None:
    await customers(world.engine, world.now, 200, start=10)
    await audience(world.engine, world.now, range(10, 210), id="aud_2")
    broadcast = await world.open(spec(world.now, audience_id="aud_2"))
    claims = await asyncio.gather(*(world.claim(broadcast, limit=30) for _ in range(6)))
    ids = [i for claim in claims for i in claim.fences]
    assert len(ids) == len(set(ids)) == 180


async def test_a_stalled_workers_late_word_has_no_effect(world: World) -> None:
    broadcast = await world.open(spec(world.now))
    stalled = await world.claim(broadcast, lease=0)
    assert await world.ledger.recover_expired(broadcast, EMAIL, "resend", world.now) == 3
    second = await world.claim(broadcast)
    assert await world.settle(broadcast, stalled, "failed", reason="late") == 0
    assert await world.settle(broadcast, second) == 3
    assert await world.settle(broadcast, second, "failed", reason="twice") == 0

    counts = (await world.ledger.counts(broadcast))[EMAIL]
    assert (counts.sent, counts.failed, counts.resent) == (3, 0, 3)


@pytest.mark.parametrize("how", ["cancelled", "cut off"])
async def test_a_settlement_that_breaks_halfway_leaves_nothing_behind(
    world: World, how: str
) -> None:
    broadcast = await world.open(spec(world.now))
    claim = await world.claim(broadcast)
    async with world.engine.connect() as holder:
        await holder.execute(text("SELECT pg_advisory_lock(:key)"), {"key": CHAIN_LOCK})
        settling = asyncio.create_task(world.settle(broadcast, claim))
        waiting = None
        while waiting is None:
            async with world.engine.connect() as conn:
                waiting = await conn.scalar(text(WAITING))
        if how == "cancelled":
            settling.cancel()
        else:
            await run(world.engine, f"SELECT pg_terminate_backend({waiting})")
        with pytest.raises(asyncio.CancelledError if how == "cancelled" else Transient):
            await settling
        assert {state for state, _ in (await rows(world.engine, broadcast)).values()} == {"sending"}
        await holder.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": CHAIN_LOCK})
    assert await world.settle(broadcast, claim) == 3
    assert (await verify_log(world.engine)).ok


async def test_a_providers_words_may_hold_anything(world: World) -> None:
    broadcast = await world.open(spec(world.now))
    claim = await world.claim(broadcast)
    assert await world.settle(broadcast, claim, "failed", reason="no\x00 \ud800 %s :now") == 3
    assert (await verify_log(world.engine)).ok


async def test_a_lost_lease_is_held_where_policy_says_so(world: World) -> None:
    broadcast = await world.open(spec(world.now, channels=[Channel.SMS]))
    await world.claim(broadcast, Channel.SMS, lease=0)
    await world.ledger.recover_expired(broadcast, Channel.SMS, "hold", world.now)
    counts = (await world.ledger.counts(broadcast))[Channel.SMS]
    assert (counts.unknown, counts.pending, counts.resent) == (3, 0, 0)


async def test_a_live_lease_is_left_alone(world: World) -> None:
    broadcast = await world.open(spec(world.now))
    await world.claim(broadcast)
    assert await world.ledger.recover_expired(broadcast, EMAIL, "resend", world.now) == 0


async def test_put_off_rows_wait_for_their_time(world: World) -> None:
    broadcast = await world.open(spec(world.now))
    claim = await world.claim(broadcast)
    later = world.now + timedelta(minutes=1)
    await world.settle(broadcast, claim, "pending", retry_at=later, reason="451 busy")
    assert not (await world.claim(broadcast)).recipients
    assert (await world.ledger.remaining(broadcast, EMAIL)).next_at == later
    world.now = later
    again = await world.claim(broadcast)
    assert set(again.attempts.values()) == {1}


async def test_the_kill_switch_stops_claims(world: World) -> None:
    broadcast = await world.open(spec(world.now))
    switches = Switches(world.engine)
    await switches.pause("alice", world.now)
    claim = await world.claim(broadcast)
    assert claim.paused and not claim.recipients
    await switches.resume("alice", world.now)
    assert len((await world.claim(broadcast)).recipients) == 3


async def test_expired_words_are_dropped(world: World) -> None:
    broadcast = await world.open(spec(world.now))
    world.now += timedelta(hours=5)
    assert not (await world.claim(broadcast)).recipients
    assert set((await rows(world.engine, broadcast)).values()) == {("suppressed", "expired")}
    assert await world.ledger.finish(broadcast, world.now)


@pytest.mark.parametrize(("moment", "claimed"), [(Moment.UPDATE, 0), (Moment.RESOLUTION, 3)])
async def test_an_ended_incident_only_says_its_end(
    world: World, moment: Moment, claimed: int
) -> None:
    await world.told(spec(world.now))
    broadcast = await world.open(spec(world.now, n=2, moment=moment))
    await run(world.engine, "UPDATE incidents SET stage = 'resolved'")
    assert len((await world.claim(broadcast)).recipients) == claimed


async def test_a_newer_message_replaces_what_is_pending(world: World) -> None:
    first = await world.open(spec(world.now))
    claim = await world.claim(first, limit=1)
    second = await world.open(spec(world.now, n=2, moment=Moment.UPDATE))
    assert sorted(s for s, _ in (await rows(world.engine, first)).values()) == [
        "sending",
        "suppressed",
        "suppressed",
    ]
    # The one being sent fails for now: its old words must not follow the new ones.
    await world.settle(first, claim, "pending")
    assert not (await world.claim(first)).recipients
    assert set((await rows(world.engine, first)).values()) == {("suppressed", "superseded")}
    assert len((await world.claim(second)).recipients) == 3


async def test_the_staffs_copy_of_an_end_leaves_customers_rows_alone(world: World) -> None:
    first = await world.open(spec(world.now))
    await world.open(spec(world.now, n=2, moment=Moment.RESOLUTION, channels=[Channel.INTERNAL]))
    assert len((await world.claim(first)).recipients) == 3


async def test_the_end_goes_to_whoever_was_told_and_nobody_else(world: World) -> None:
    engine, now = world.engine, world.now
    first = await world.open(spec(now))
    claim = await world.claim(first)
    ids = list(claim.fences)
    states = dict(zip(ids, ["sent", "failed", "unknown"], strict=True))
    await world.ledger.settle(
        [Outcome(delivery_id=i, fence=claim.fences[i], state=s) for i, s in states.items()],
        first,
        now,
    )
    told = {r.contact_id for r in claim.recipients if states[r.delivery_id] != "failed"}
    # The audience has become somebody else entirely.
    await customers(engine, now, 1, start=50)
    await audience(engine, now, [50], id="aud_2")
    assert await world.ledger.closure_gaps(INCIDENT) == 2

    end = await world.open(
        spec(
            now,
            n=2,
            moment=Moment.RESOLUTION,
            audience_id="aud_2",
            channels=[EMAIL, Channel.SMS, Channel.STATUS_PAGE],
        )
    )
    assert {r for _, r in await rows(engine, end)} == told
    await world.send_all(end)
    assert await world.ledger.closure_gaps(INCIDENT) == 0


async def test_who_opted_out_meanwhile_counts_as_closed(world: World) -> None:
    await world.told(spec(world.now))
    await suppress(world.engine, world.now, "user0@example.com", "unsubscribed")
    await run(world.engine, "UPDATE contacts SET channels = '{in_app}' WHERE id = 'con_1'")
    await run(world.engine, "DELETE FROM contacts WHERE id = 'con_2'")
    end = await world.told(spec(world.now, n=2, moment=Moment.RESOLUTION))
    assert {r: s for (_, r), s in (await rows(world.engine, end)).items()} == {
        "con_0": ("suppressed", "unsubscribed"),
        "con_1": ("suppressed", "preference"),
        "con_2": ("sent", ""),
    }
    assert await world.ledger.closure_gaps(INCIDENT) == 0


@pytest.mark.parametrize(
    ("state", "expected"), [("sent", ("pending", "")), ("failed", ("suppressed", "not_told"))]
)
async def test_an_end_waits_for_the_fate_of_a_start_in_flight(
    world: World, state: str, expected: tuple[str, str]
) -> None:
    first = await world.open(spec(world.now))
    claim = await world.claim(first)
    end = await world.open(spec(world.now, n=2, moment=Moment.RESOLUTION))
    assert not (await world.claim(end)).recipients
    await world.settle(first, claim, state)
    await world.ledger.recover_expired(end, EMAIL, "resend", world.now)
    assert set((await rows(world.engine, end)).values()) == {expected}


async def test_a_start_lost_in_flight_is_not_repeated_after_the_end(world: World) -> None:
    first = await world.open(spec(world.now))
    await world.claim(first, lease=0)
    end = await world.open(spec(world.now, n=2, moment=Moment.RESOLUTION))
    await world.ledger.recover_expired(end, EMAIL, "resend", world.now)
    assert set((await rows(world.engine, first)).values()) == {("unknown", "lease_expired")}
    assert len((await world.claim(end)).recipients) == 3


async def test_updates_reach_the_audience_and_everyone_told(world: World) -> None:
    await world.told(spec(world.now))
    await customers(world.engine, world.now, 1, start=9)
    await audience(world.engine, world.now, [1, 9], id="aud_2")
    update = await world.open(spec(world.now, n=2, moment=Moment.UPDATE, audience_id="aud_2"))
    found = await rows(world.engine, update)
    assert {r for _, r in found} == {"con_0", "con_1", "con_2", "con_9"}
    claim = await world.claim(update)
    first = {r.contact_id: claim.first.get(r.delivery_id) for r in claim.recipients}
    assert first == {"con_0": 1, "con_1": 1, "con_2": 1, "con_9": None}


async def test_a_dry_run_closes_on_paper(world: World) -> None:
    await world.open(spec(world.now, dry_run=True))
    end = await world.open(spec(world.now, n=2, moment=Moment.RESOLUTION, dry_run=True))
    assert set((await rows(world.engine, end)).values()) == {("suppressed", "dry_run")}


async def test_executive_notes_have_one_row_and_replace_nothing(world: World) -> None:
    first = await world.open(spec(world.now, channels=[Channel.INTERNAL]))
    note = await world.open(
        spec(world.now, n=2, moment=Moment.EXECUTIVE, channels=[Channel.INTERNAL, EMAIL])
    )
    assert set(await rows(world.engine, note)) == {("internal", "*")}
    assert len((await world.claim(first, Channel.INTERNAL)).recipients) == 1


async def test_finish_waits_for_every_row(world: World) -> None:
    broadcast = await world.open(spec(world.now))
    claim = await world.claim(broadcast)
    assert not await world.ledger.finish(broadcast, world.now)
    await world.settle(broadcast, claim)
    assert await world.ledger.finish(broadcast, world.now)


async def test_pages_filter_and_go_on_where_they_ended(world: World) -> None:
    await world.open(spec(world.now, channels=[EMAIL, Channel.SMS]))
    first = await world.ledger.page(INCIDENT, limit=2, filters={"channel": "email"})
    rest = await world.ledger.page(INCIDENT, first.next, 2, {"channel": "email"})
    assert [d.contact_id for d in (*first.items, *rest.items)] == ["con_0", "con_1", "con_2"]
    assert rest.next is None
    with pytest.raises(BadInput, match="cursor"):
        await world.ledger.page(INCIDENT, cursor="x")
    summary = await world.ledger.incident_summary(INCIDENT)
    assert summary[EMAIL].pending == 3 and set(summary) == {EMAIL, Channel.SMS}


async def test_a_look_for_leases_reads_no_whole_ledger(
    engine: AsyncEngine, policy: Policy, now: datetime
) -> None:
    """Every round looks every few seconds, also in a broadcast to a million."""
    world = World(engine, policy, now)
    await incident(engine, now)
    await customers(engine, now, 3_000)
    await audience(engine, now, range(3_000))
    broadcast = await world.open(spec(world.now))
    await world.claim(broadcast, limit=50)
    parameters = world.ledger._gate(broadcast, EMAIL, world.now, 60) | {"resend": True}
    async with world.engine.connect() as conn:
        await conn.execute(text("ANALYZE deliveries"))
        for statement in (sql.RECOVER, sql.OLDER, sql.DOUBTS):
            plan = await conn.execute(text(f"EXPLAIN {statement.text}"), parameters)
            shown = "\n".join(plan.scalars())
            assert "Seq Scan on deliveries" not in shown, shown
