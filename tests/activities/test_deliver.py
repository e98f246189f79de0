"""Sending: nobody twice, nobody forgotten, and every failure told apart."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.deliver import OpenedBroadcast, SettleInput
from activities.round import IN_FLIGHT, Budget, DeliverInput, DeliverResult
from adapters.db.ledger import Ledger
from adapters.db.switches import Switches
from domain.errors import OutcomeUnknown, Permanent, Transient
from domain.message import Channel, Moment, OutboundMessage, message_key
from domain.policy import Policy
from domain.ports import BroadcastSpec, ChannelCounts
from tests.activities.delivery_world import (
    Behaviour,
    MovableClock,
    Provider,
    activities_of,
    unlimited,
)
from tests.adapters.db.ledger_world import (
    INCIDENT,
    audience,
    customers,
    incident,
    rows,
    run,
    spec,
)

EMAIL = Channel.EMAIL


class World:
    def __init__(self, engine: AsyncEngine, policy: Policy, now: datetime) -> None:
        self.engine = engine
        self.policy = unlimited(policy)
        self.clock = MovableClock(now)
        self.ledger = Ledger(engine)
        self.provider = Provider()

    async def customers(self, number: int) -> None:
        await incident(self.engine, self.clock.now)
        await customers(self.engine, self.clock.now, number)
        await audience(self.engine, self.clock.now, range(number))

    def worker(self, **options: float) -> Worker:
        return Worker(self, options)

    async def counts(self, opened: OpenedBroadcast, channel: Channel = EMAIL) -> ChannelCounts:
        return (await self.ledger.counts(opened.broadcast_id))[channel]


class Worker:
    def __init__(self, world: World, options: dict[str, float]) -> None:
        self.environment = ActivityEnvironment()
        senders = {world.provider.channel: world.provider}
        self.activities = activities_of(world.engine, world.policy, senders, world.clock, **options)

    async def open(self, given: BroadcastSpec) -> OpenedBroadcast:
        return await self.environment.run(self.activities.open_broadcast, given)

    async def deliver(
        self, opened: OpenedBroadcast, given: BroadcastSpec, probe: bool = False
    ) -> DeliverResult:
        channel = given.channels[0]
        work = DeliverInput(
            broadcast_id=opened.broadcast_id, spec=given, channel=channel, probe=probe
        )
        return await self.environment.run(self.activities.deliver, work)

    async def settle(self, opened: OpenedBroadcast) -> OpenedBroadcast:
        work = SettleInput(broadcast_id=opened.broadcast_id, incident_id=INCIDENT)
        return await self.environment.run(self.activities.settle_broadcast, work)


@pytest.fixture
def world(engine: AsyncEngine, policy: Policy, now: datetime) -> World:
    return World(engine, policy, now)


async def deliver_with(
    world: World, number: int, behaviour: Behaviour
) -> tuple[Worker, OpenedBroadcast, BroadcastSpec, DeliverResult]:
    await world.customers(number)
    world.provider.behaviour = behaviour
    worker, given = world.worker(), spec(world.clock.now)
    opened = await worker.open(given)
    return worker, opened, given, await worker.deliver(opened, given)


async def test_two_workers_send_everybody_one_message(world: World) -> None:
    await world.customers(230)
    world.provider.behaviour = lambda message, attempt: 0.002
    first, second, given = world.worker(), world.worker(), spec(world.clock.now)
    opened = await first.open(given)
    results = await asyncio.gather(first.deliver(opened, given), second.deliver(opened, given))

    assert all(r.done for r in results)
    assert world.provider.received == {f"con_{i}": 1 for i in range(230)}
    settled = (await first.settle(opened)).counts[EMAIL]
    assert (settled.sent, settled.resent, settled.total) == (230, 0, 230)
    # Both had a share, or this test proves nothing.
    assert min(r.counts.get("sent", 0) for r in results) > 0


async def test_a_stalled_worker_neither_sends_nor_settles_after_its_lease(world: World) -> None:
    await world.customers(3)
    given = spec(world.clock.now)
    release, hanging = asyncio.Event(), asyncio.Semaphore(0)
    stalled, fresh = world.worker(), world.worker()
    opened = await stalled.open(given)
    accept = world.provider.send

    async def stall(message: OutboundMessage) -> object:
        hanging.release()
        await release.wait()
        return await accept(message)

    world.provider.send = stall  # type: ignore[assignment]  # stands for a provider that hangs
    late = asyncio.create_task(stalled.deliver(opened, given))
    for _ in range(3):
        await hanging.acquire()
    # The database's clock decides that the lease is over.
    await run(world.engine, "UPDATE deliveries SET lease_until = now() - interval '1 second'")
    world.provider.send = accept  # type: ignore[method-assign]  # the provider is back
    assert (await fresh.deliver(opened, given)).done
    hashes = await sent_at(world.engine)
    world.clock.move(30)
    release.set()
    assert (await late).done

    counts = await world.counts(opened)
    assert (counts.sent, counts.resent) == (3, 3)
    # What the stalled worker had to say came too late and changed nothing.
    assert await sent_at(world.engine) == hashes


async def sent_at(engine: AsyncEngine) -> set[tuple[object, ...]]:
    async with engine.connect() as conn:
        found = await conn.execute(text("SELECT id, sent_at, fence, attempts FROM deliveries"))
        return {tuple(row) for row in found}


async def test_a_lease_that_has_run_out_is_not_sent_under(world: World) -> None:
    await world.customers(2)
    worker, given = world.worker(lease_seconds=5, round_seconds=0.5), spec(world.clock.now)
    opened = await worker.open(given)
    await worker.deliver(opened, given)
    assert not world.provider.accepted
    counts = await world.counts(opened)
    assert (counts.pending, counts.sending) == (2, 0)


async def test_a_refusal_for_good_is_recorded_in_the_providers_words(world: World) -> None:
    def refuse(message: OutboundMessage, attempt: int) -> Exception | None:
        bad = message.recipient.contact_id == "con_1"
        return Permanent("550 no such mailbox") if bad else None

    _, opened, _, result = await deliver_with(world, 3, refuse)
    assert result.done
    found = await rows(world.engine, opened.broadcast_id)
    assert found["email", "con_1"] == ("failed", "550 no such mailbox")
    assert world.provider.received == {"con_0": 1, "con_2": 1}


async def test_one_put_off_row_holds_up_nobody_and_is_tried_again(world: World) -> None:
    def busy(message: OutboundMessage, attempt: int) -> Exception | None:
        first = message.recipient.contact_id == "con_1" and attempt == 1
        return Transient("450 busy", retry_after=60) if first else None

    worker, opened, given, result = await deliver_with(world, 3, busy)
    assert not result.done and not result.outage
    assert result.retry_after == pytest.approx(60, abs=1)
    assert (await world.counts(opened)).sent == 2
    world.clock.move(61)
    assert (await worker.deliver(opened, given)).done
    assert world.provider.received == {"con_0": 1, "con_1": 1, "con_2": 1}


async def test_attempts_end_at_the_policys_limit(world: World) -> None:
    world.policy = unlimited(world.policy, max_attempts=3)
    worker, opened, given, result = await deliver_with(
        world, 1, lambda message, attempt: Transient("450 busy")
    )
    for _ in range(2):
        assert not result.done
        world.clock.move(600)
        result = await worker.deliver(opened, given)
    found = await rows(world.engine, opened.broadcast_id)
    assert found["email", "con_0"] == ("failed", "450 busy")
    assert world.provider.attempts.total() == 3


async def test_an_outage_is_noticed_after_one_batch_and_probed_with_one_row(world: World) -> None:
    worker, opened, given, result = await deliver_with(
        world, 200, lambda message, attempt: Transient("connection refused")
    )
    assert result.outage and result.retry_after is not None and result.retry_after > 0
    assert world.provider.attempts.total() <= IN_FLIGHT
    before = world.provider.attempts.total()
    assert (await worker.deliver(opened, given, probe=True)).outage
    assert world.provider.attempts.total() == before + 1
    world.provider.behaviour = None
    world.clock.move(600)
    assert (await worker.deliver(opened, given, probe=True)).done
    assert set(world.provider.received.values()) == {1}


@pytest.mark.parametrize(("policy_says", "sent", "unknown"), [("resend", 1, 0), ("hold", 0, 1)])
async def test_an_unknown_outcome_is_resent_or_held_as_policy_says(
    world: World, policy_says: str, sent: int, unknown: int
) -> None:
    world.policy = unlimited(world.policy, on_unknown={EMAIL: policy_says})

    def cut(message: OutboundMessage, attempt: int) -> Exception | None:
        return OutcomeUnknown("connection closed after the data") if attempt == 1 else None

    worker, opened, given, result = await deliver_with(world, 1, cut)
    world.clock.move(60)
    if not result.done:
        await worker.deliver(opened, given)
    counts = await world.counts(opened)
    assert (counts.sent, counts.unknown, counts.resent) == (sent, unknown, sent)


async def test_a_paused_round_waits_and_says_so(world: World) -> None:
    await world.customers(2)
    worker, given = world.worker(round_seconds=0.2), spec(world.clock.now)
    opened = await worker.open(given)
    await Switches(world.engine).pause("alice", world.clock.now)
    result = await worker.deliver(opened, given)
    assert result.paused and not result.done and not world.provider.accepted
    await Switches(world.engine).resume("alice", world.clock.now)
    assert (await world.worker().deliver(opened, given)).done


async def test_cancelled_in_mid_batch_nothing_is_in_doubt(world: World) -> None:
    await world.customers(100)
    world.provider.behaviour = lambda message, attempt: 0.05
    worker, given = world.worker(), spec(world.clock.now)
    opened = await worker.open(given)
    work = asyncio.create_task(worker.deliver(opened, given))
    while not world.provider.attempts:  # noqa: ASYNC110 - another task changes it
        await asyncio.sleep(0.005)
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    counts = await world.counts(opened)
    assert counts.sending == 0
    assert counts.sent == len(world.provider.accepted) > 0
    assert (await world.worker().deliver(opened, given)).done
    assert set(world.provider.received.values()) == {1}


async def test_a_worker_shutting_down_hands_the_rest_back(world: World) -> None:
    await world.customers(100)
    worker, given = world.worker(), spec(world.clock.now)
    opened = await worker.open(given)

    def shutdown(message: OutboundMessage, attempt: int) -> None:
        worker.environment.worker_shutdown()

    world.provider.behaviour = shutdown
    result = await worker.deliver(opened, given)
    assert not result.done
    counts = await world.counts(opened)
    assert counts.sending == 0 and counts.pending == 100 - len(world.provider.accepted) > 0


async def test_altered_texts_never_leave(world: World) -> None:
    await world.customers(1)
    with pytest.raises(ApplicationError, match="not the one that was approved") as refused:
        await world.worker().open(spec(world.clock.now, hash="another"))
    assert refused.value.non_retryable
    assert not (await world.ledger.page(INCIDENT)).items


async def test_an_update_threads_on_the_first_message(world: World) -> None:
    await world.customers(1)
    worker = world.worker()
    for n, moment in ((1, Moment.INITIAL), (2, Moment.UPDATE), (3, Moment.RESOLUTION)):
        given = spec(world.clock.now, n=n, moment=moment)
        await worker.deliver(await worker.open(given), given)
    first, *later = world.provider.accepted
    assert first.thread == first.key == message_key(INCIDENT, 1, EMAIL, "con_0")
    assert [m.thread for m in later] == [first.key, first.key]
    assert len({m.key for m in world.provider.accepted}) == 3


async def test_a_page_gets_all_languages_and_no_recipient(world: World) -> None:
    await world.customers(1)
    world.provider = Provider(Channel.STATUS_PAGE)
    worker = world.worker()
    given = spec(
        world.clock.now,
        channels=[Channel.STATUS_PAGE],
        next_update_at=world.clock.now + timedelta(minutes=30),
    )
    assert (await worker.deliver(await worker.open(given), given)).done
    [message] = world.provider.accepted
    assert message.recipient.address is None
    assert set(message.metadata["texts"]) == {"en", "de"}
    assert message.metadata["next_update_at"] == given.next_update_at
    assert message.metadata["components"] == ("payments",)


async def test_room_in_flight_goes_to_the_worst_incident_first() -> None:
    budget, order = Budget(1), []
    await budget.take(1, priority=3)

    async def take(priority: int) -> None:
        await budget.take(1, priority)
        order.append(priority)
        await budget.give(1)

    waiting = [asyncio.create_task(take(p)) for p in (3, 1)]
    await asyncio.sleep(0)
    await budget.give(1)
    await asyncio.gather(*waiting)
    assert order == [1, 3]
