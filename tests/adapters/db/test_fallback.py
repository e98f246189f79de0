"""Whom a channel cannot reach for good hears it on the next one, once, and hears the end there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.db.ledger import Ledger
from domain.message import Channel, Moment
from domain.policy import Policy
from domain.ports import BroadcastSpec, Outcome
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

EMAIL, IN_APP, SMS = Channel.EMAIL, Channel.IN_APP, Channel.SMS
ORDER = (IN_APP, SMS)
PENDING = ("pending", "")


class World:
    def __init__(self, engine: AsyncEngine, policy: Policy, now: datetime) -> None:
        self.engine, self.policy, self.now = engine, policy, now
        self.ledger = Ledger(engine)

    async def open(
        self, given: BroadcastSpec, fallbacks: Mapping[Channel, Sequence[Channel]] | None = None
    ) -> int:
        return await self.ledger.open(given, self.policy, self.now, EVERYTHING, fallbacks=fallbacks)

    async def send(
        self, broadcast: int, channel: Channel = EMAIL, fails: Sequence[str] = ()
    ) -> list[str]:
        """Send what is pending; returns who got it."""
        reached: list[str] = []
        while True:
            claim = await self.ledger.claim(broadcast, channel, 50, 30, self.now)
            if not claim.recipients:
                return sorted(reached)
            outcomes = []
            for r in claim.recipients:
                failed = r.contact_id in fails
                reached += [] if failed else [r.contact_id or ""]
                outcomes.append(
                    Outcome(
                        delivery_id=r.delivery_id,
                        fence=claim.fences[r.delivery_id],
                        state="failed" if failed else "sent",
                        reason="550 no such mailbox" if failed else None,
                        sent_at=None if failed else self.now,
                    )
                )
            await self.ledger.settle(outcomes, broadcast, self.now)

    async def fall_back(
        self, broadcast: int, given: BroadcastSpec, order: Sequence[Channel] = ORDER
    ) -> dict[Channel, int]:
        return await self.ledger.fall_back(broadcast, given, self.policy, EMAIL, order, self.now)

    async def on(self, broadcast: int, channel: Channel) -> dict[str, tuple[str, str]]:
        found = await rows(self.engine, broadcast)
        return {r: state for (c, r), state in found.items() if c == channel}


@pytest.fixture
async def world(engine: AsyncEngine, policy: Policy, now: datetime) -> World:
    await incident(engine, now)
    await customers(engine, now, 4)
    await audience(engine, now, range(4))
    return World(engine, policy, now)


async def test_failed_bounced_and_without_an_address_are_told_on_the_next_channel(
    world: World,
) -> None:
    await suppress(world.engine, world.now, "user1@example.com", "bounced")
    await run(world.engine, "UPDATE contacts SET email = '' WHERE id = 'con_2'")
    given = spec(world.now)
    first = await world.open(given, {EMAIL: ORDER})
    assert await world.send(first, fails=["con_0"]) == ["con_3"]

    assert await world.fall_back(first, given) == {IN_APP: 3}
    # Again, as after a worker's death: nothing is added, on no other channel either.
    assert await world.fall_back(first, given) == {IN_APP: 3}
    assert await world.send(first, IN_APP) == ["con_0", "con_1", "con_2"]
    assert await world.fall_back(first, given) == {}
    assert await world.on(first, SMS) == {}
    counts = await world.ledger.counts(first)
    assert counts[EMAIL].total == 4 and counts[IN_APP].sent == 3
    assert await world.ledger.finish(first, world.now)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE contacts SET channels = ARRAY['sms']",
        "INSERT INTO suppressions (channel, address, reason, at) SELECT 'email', email,"
        " 'unsubscribed', now() FROM contacts",
    ],
)
async def test_who_does_not_want_it_is_not_followed(world: World, statement: str) -> None:
    await run(world.engine, statement)
    given = spec(world.now)
    first = await world.open(given, {EMAIL: ORDER})
    assert await world.fall_back(first, given) == {}
    assert set(await rows(world.engine, first)) == {("email", f"con_{i}") for i in range(4)}


async def test_in_a_drill_the_ledger_says_where_it_would_have_gone(world: World) -> None:
    drill = spec(world.now, dry_run=True)
    await suppress(world.engine, world.now, "user1@example.com", "bounced")
    first = await world.open(drill, {EMAIL: ORDER})
    assert await world.fall_back(first, drill) == {}
    assert await world.on(first, IN_APP) == {"con_1": ("suppressed", "dry_run")}


async def test_preferences_and_refusals_hold_on_the_fallback_channel_too(world: World) -> None:
    await run(world.engine, "UPDATE contacts SET channels = ARRAY['email'] WHERE id = 'con_0'")
    await run(
        world.engine, "UPDATE contacts SET channels = ARRAY['email', 'sms'] WHERE id = 'con_1'"
    )
    await run(world.engine, "UPDATE contacts SET channels = ARRAY['email', 'sms'], phone = NULL"
              " WHERE id = 'con_2'")  # fmt: skip
    await run(world.engine, "UPDATE accounts SET segment = 'smb' WHERE id = 'acc_3'")
    await run(
        world.engine, "UPDATE contacts SET channels = ARRAY['email', 'sms'] WHERE id = 'con_3'"
    )
    given = spec(world.now)
    first = await world.open(given, {EMAIL: ORDER})
    await world.send(first, fails=[f"con_{i}" for i in range(4)])
    # One wants no banner but text messages; one wants neither, one has no telephone, and text
    # messages are for enterprise customers.
    assert await world.fall_back(first, given) == {SMS: 1}
    assert await world.on(first, SMS) == {"con_1": PENDING}
    assert await world.on(first, IN_APP) == {}


async def test_at_night_nobody_is_woken_instead(world: World) -> None:
    night = datetime(2026, 11, 21, 2, 0, tzinfo=UTC)
    given = spec(night, severity="P2")
    first = await world.open(given, {EMAIL: (SMS,)})
    await world.send(first, fails=["con_0"])
    world.now = night
    assert await world.fall_back(first, given, (SMS,)) == {}


async def test_a_message_is_not_told_twice_on_one_channel(world: World) -> None:
    given = spec(world.now, channels=(EMAIL, IN_APP))
    first = await world.open(given, {EMAIL: ORDER})
    await world.send(first, fails=["con_0"])
    assert await world.fall_back(first, given, (IN_APP,)) == {}
    assert await world.fall_back(first, given) == {SMS: 1}


async def test_what_goes_there_in_another_part_of_the_version_is_not_told_twice(
    world: World,
) -> None:
    await world.open(spec(world.now, n=1, version=9, hash="hash9", channels=(IN_APP,)))
    given = spec(world.now, n=2, version=9, hash="hash9")
    second = await world.open(given, {EMAIL: ORDER})
    await world.send(second, fails=["con_0"])
    assert await world.fall_back(second, given, (IN_APP,)) == {}


async def test_one_telephone_of_two_people_rings_once(world: World) -> None:
    await run(world.engine, "UPDATE contacts SET phone = '+15550000' WHERE id IN ('con_0','con_1')")
    given = spec(world.now)
    first = await world.open(given, {EMAIL: (SMS,)})
    await world.send(first, fails=["con_0", "con_1"])
    assert await world.fall_back(first, given, (SMS,)) == {SMS: 1}
    assert await world.fall_back(first, given, (SMS,)) == {SMS: 1}


async def test_a_fallback_that_fails_gives_way_to_the_next(world: World) -> None:
    given = spec(world.now)
    first = await world.open(given, {EMAIL: ORDER})
    await world.send(first, fails=["con_0"])
    assert await world.fall_back(first, given) == {IN_APP: 1}
    assert await world.send(first, IN_APP, fails=["con_0"]) == []
    assert await world.fall_back(first, given) == {SMS: 1}
    assert await world.send(first, SMS, fails=["con_0"]) == []
    assert await world.fall_back(first, given) == {}


async def test_newer_words_overtake_those_on_a_fallback_channel(world: World) -> None:
    given = spec(world.now)
    first = await world.open(given, {EMAIL: ORDER})
    await world.send(first, fails=["con_0", "con_1"])
    assert await world.fall_back(first, given) == {IN_APP: 2}
    update = spec(world.now, n=2, moment=Moment.UPDATE)
    second = await world.open(update, {EMAIL: ORDER})
    assert set((await world.on(first, IN_APP)).values()) == {("suppressed", "superseded")}
    # Found only after the newer message began: overtaken just the same.
    third = spec(world.now, n=3, moment=Moment.UPDATE)
    await world.send(second, fails=["con_0"])
    await world.open(third, {EMAIL: ORDER})
    assert await world.fall_back(second, update) == {IN_APP: 1}
    assert await world.send(second, IN_APP) == []
    assert set((await world.on(second, IN_APP)).values()) == {("suppressed", "superseded")}


@pytest.mark.parametrize("moment", [Moment.RESOLUTION, Moment.FALSE_ALARM, Moment.CORRECTION])
async def test_who_was_told_only_by_the_fallback_hears_the_end_there(
    world: World, moment: Moment
) -> None:
    given = spec(world.now)
    first = await world.open(given, {EMAIL: ORDER})
    await world.send(first, fails=["con_0"])
    await world.fall_back(first, given)
    await world.send(first, IN_APP)
    assert await world.ledger.closure_gaps(INCIDENT) == 4

    end = spec(world.now, n=2, moment=moment)
    last = await world.open(end, {EMAIL: ORDER})
    assert await world.on(last, IN_APP) == {"con_0": PENDING}
    assert set(await world.on(last, EMAIL)) == {"con_1", "con_2", "con_3"}
    await world.send(last)
    await world.send(last, IN_APP)
    assert await world.fall_back(last, end) == {}
    assert await world.ledger.closure_gaps(INCIDENT) == 0


async def test_an_end_that_cannot_be_mailed_is_told_elsewhere(world: World) -> None:
    first = await world.open(spec(world.now))
    await world.send(first)
    await suppress(world.engine, world.now, "user1@example.com", "bounced")
    end = spec(world.now, n=2, moment=Moment.RESOLUTION, channels=(EMAIL, IN_APP))
    last = await world.open(end, {EMAIL: ORDER})
    await world.send(last)
    assert await world.fall_back(last, end) == {IN_APP: 1}
    assert await world.send(last, IN_APP) == ["con_1"]


async def test_the_end_waits_for_its_own_part_of_the_version(world: World) -> None:
    given = spec(world.now)
    first = await world.open(given, {EMAIL: ORDER})
    await world.send(first, fails=["con_0"])
    await world.fall_back(first, given)
    await world.send(first, IN_APP)
    banner = spec(world.now, n=2, moment=Moment.RESOLUTION, channels=(IN_APP,))
    mail = spec(world.now, n=3, moment=Moment.RESOLUTION, version=2, hash="hash2")
    await world.open(banner)
    second = await world.open(mail, {EMAIL: ORDER})
    assert await world.on(second, IN_APP) == {}


async def test_a_message_that_expired_is_not_told_late(world: World) -> None:
    given = spec(world.now, expires_at=world.now + timedelta(minutes=1))
    first = await world.open(given, {EMAIL: ORDER})
    await world.send(first, fails=["con_0"])
    world.now += timedelta(minutes=2)
    assert await world.fall_back(first, given) == {IN_APP: 1}
    assert await world.send(first, IN_APP) == []
    assert await world.on(first, IN_APP) == {"con_0": ("suppressed", "expired")}


async def test_the_row_says_what_it_stands_in_for(world: World) -> None:
    given = spec(world.now)
    first = await world.open(given, {EMAIL: ORDER})
    await world.send(first, fails=["con_0"])
    await world.fall_back(first, given)
    claim = await world.ledger.claim(first, IN_APP, 50, 30, world.now)
    assert [r.reason for r in claim.recipients] == ["instead-of-email: uses payments"]
