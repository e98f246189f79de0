"""Broadcasts cut short by a crash, a restart, the kill switch or a change of mind in between."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.client import Client
from temporalio.testing import ActivityEnvironment

from activities.round import IN_FLIGHT, DeliverInput
from adapters.db.engine import make_engine
from adapters.db.migrate import upgrade
from adapters.db.switches import Switches
from domain.message import Channel, Moment
from domain.policy import Policy
from domain.tokens import sign
from runtime.servers import PostgresServer, TemporalServer
from runtime.temporal import connect
from tests.activities.delivery_world import Provider
from tests.adapters.db.ledger_world import INCIDENT, run, spec, suppress
from tests.gateway.public_site import SECRET, Site
from tests.stack.post_office import PostOffice, post_office
from tests.stack.sending_world import SendingWorld, until

EMAIL, PAGE = Channel.EMAIL, Channel.STATUS_PAGE
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def temporal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TemporalServer]:
    server = TemporalServer(tmp_path_factory.mktemp("temporal"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
async def client(temporal: TemporalServer) -> Client:
    return await connect(temporal.address)


@pytest.fixture
def world(engine: AsyncEngine, policy: Policy, client: Client) -> SendingWorld:
    return SendingWorld(engine, policy, client)


@pytest.fixture
async def office() -> AsyncIterator[PostOffice]:
    async with post_office() as opened:
        yield opened


async def arrived(office: PostOffice, number: int) -> None:
    async def look() -> bool:
        return office.arrived >= number

    await until(f"{number} mails", look)


@pytest.mark.slow
@pytest.mark.parametrize("ending", ["stop", "kill"])
async def test_postgresql_restarted_in_mid_broadcast(
    tmp_path: Path, policy: Policy, client: Client, office: PostOffice, ending: str
) -> None:
    number = 600
    server = PostgresServer(tmp_path / "pg")
    await asyncio.to_thread(server.start)
    try:
        await asyncio.to_thread(upgrade, server.database_url)
        engine = make_engine(server.database_url)
        world = SendingWorld(engine, policy, client)
        # A claim whose answer was lost is nobody's until its lease ends: not a minute, for a test.
        world.lease_seconds = 13
        await world.customers(number)
        office.seconds = 0.02
        async with world.working({EMAIL: office.sender()}):
            handle = await world.start(spec(world.now()))
            await arrived(office, 150)
            await asyncio.to_thread(getattr(server, ending))
            at = office.arrived
            await asyncio.sleep(1)  # long enough for whoever does not wait to give up
            assert office.arrived - at <= IN_FLIGHT  # nothing leaves that cannot be written down
            await asyncio.to_thread(server.start)
            result = await asyncio.wait_for(handle.result(), 60)
        await engine.dispose()
    finally:
        await asyncio.to_thread(server.stop)
    assert len(office.taken) == number  # nobody lost
    assert result.totals.sent == number
    assert office.arrived - number <= result.totals.resent <= IN_FLIGHT


async def test_a_killed_workers_rows_are_taken_over_and_what_was_in_flight_is_counted(
    database_url: str, engine: AsyncEngine, policy: Policy, office: PostOffice
) -> None:
    number = 200
    world = SendingWorld(engine, policy)
    await world.customers(number)
    given = spec(world.now())
    # From here on mails are taken and never answered: their fate is in doubt.
    office.hold_after = 90
    command = ("-m", "tests.stack.lonely_worker", database_url, str(office.port))
    worker = await asyncio.create_subprocess_exec(
        sys.executable, *command, given.model_dump_json(), cwd=ROOT
    )
    try:
        await arrived(office, 95)
    finally:
        worker.kill()
        await worker.wait()
    at_death = office.arrived
    office.hold_after = None
    left = await world.counts()
    assert 0 < left.sending <= IN_FLIGHT
    await run(engine, "UPDATE deliveries SET lease_until = clock_timestamp()")  # a minute later

    sender = office.sender()
    steps = world.activities({EMAIL: sender})
    work = DeliverInput(broadcast_id=1, spec=given, channel=EMAIL)
    result = await ActivityEnvironment().run(steps.deliver, work)
    await sender.aclose()
    assert result.done
    counts = await world.counts()
    assert (counts.sent, counts.resent) == (number, left.sending)
    assert len(office.taken) == number
    twice = sum(times - 1 for times in office.taken.values())
    assert 0 < twice <= counts.resent and twice >= at_death - 90
    again = {r.address for r in await world.rows("address", "resent > 0")}
    assert {address for address, times in office.taken.items() if times > 1} <= again


async def paused_after(world: SendingWorld, office: PostOffice, number: int) -> int:
    """Throw the kill switch after so many mails; how many had left when nothing moved any more."""
    await arrived(office, number)
    await Switches(world.engine).pause("alice", world.now())
    at = office.arrived

    async def quiet() -> bool:
        return (await world.counts()).sending == 0

    await until("what is in flight is written", quiet)
    left = office.arrived
    assert left - at <= IN_FLIGHT
    await asyncio.sleep(1.2)  # longer than a paused round rests
    assert office.arrived == left
    return left


async def test_the_kill_switch_in_mid_broadcast_holds_the_rest_and_loses_nobody(
    world: SendingWorld, office: PostOffice
) -> None:
    number = 400
    await world.customers(number)
    office.seconds = 0.02
    async with world.working({EMAIL: office.sender()}):
        handle = await world.start(spec(world.now()))
        left = await paused_after(world, office, 100)
        counts = await world.counts()
        assert (counts.sent, counts.pending) == (left, number - left)
        assert counts.pending > 0
        await Switches(world.engine).resume("alice", world.now())
        result = await asyncio.wait_for(handle.result(), 30)
    assert office.arrived == len(office.taken) == number
    assert (result.totals.sent, result.totals.resent) == (number, 0)


async def test_words_that_expired_behind_the_kill_switch_are_not_sent_late(
    world: SendingWorld, office: PostOffice
) -> None:
    number = 400
    await world.customers(number)
    office.seconds = 0.02
    given = spec(world.now(), expires_at=world.now() + timedelta(hours=1))
    async with world.working({EMAIL: office.sender()}):
        handle = await world.start(given)
        left = await paused_after(world, office, 100)
        world.moved = timedelta(hours=1, seconds=1)
        await Switches(world.engine).resume("alice", world.now())
        result = await asyncio.wait_for(handle.result(), 30)
    assert office.arrived == left
    assert (result.totals.sent, result.totals.suppressed) == (left, number - left)
    late = await world.rows("reason", "state = 'suppressed'")
    assert {r.reason for r in late} == {"expired"}


async def test_who_leaves_between_start_and_end_counts_as_closed(
    engine: AsyncEngine, policy: Policy, now: datetime
) -> None:
    world = SendingWorld(engine, policy)
    await world.customers(5)
    mail = Provider()
    steps = world.activities({EMAIL: mail})

    async def broadcast(n: int, moment: Moment) -> None:
        given = spec(world.now(), n, moment)
        opened = await ActivityEnvironment().run(steps.open_broadcast, given)
        work = DeliverInput(broadcast_id=opened.broadcast_id, spec=given, channel=EMAIL)
        assert (await ActivityEnvironment().run(steps.deliver, work)).done

    await broadcast(1, Moment.INITIAL)
    site = Site(engine, policy, now)
    token = sign(SECRET, "unsubscribe", {"c": "con_1"})
    assert (await site.request("POST", f"/unsubscribe/{token}")).is_success
    # What a provider's callback leaves behind.
    await suppress(engine, now, "user2@example.com", "complained")
    await suppress(engine, now, "user3@example.com", "bounced")
    assert await world.ledger.closure_gaps(INCIDENT) == 5
    await broadcast(2, Moment.RESOLUTION)

    ends = await world.rows("contact_id, state, reason", "broadcast_id = 2")
    assert {(r.contact_id, r.state, r.reason) for r in ends} == {
        ("con_0", "sent", None),
        ("con_1", "suppressed", "unsubscribed"),
        ("con_2", "suppressed", "complained"),
        ("con_3", "suppressed", "bounced"),
        ("con_4", "sent", None),
    }
    assert await world.ledger.closure_gaps(INCIDENT) == 0
    assert mail.received == {"con_0": 2, "con_1": 1, "con_2": 1, "con_3": 1, "con_4": 2}


async def test_who_unsubscribes_while_the_broadcast_waits_gets_nothing_of_it(
    engine: AsyncEngine, policy: Policy, now: datetime
) -> None:
    world = SendingWorld(engine, policy)
    await world.customers(3)
    mail = Provider()
    steps = world.activities({EMAIL: mail})
    given = spec(world.now())
    opened = await ActivityEnvironment().run(steps.open_broadcast, given)
    site = Site(engine, policy, now)
    token = sign(SECRET, "unsubscribe", {"c": "con_1"})
    assert (await site.request("POST", f"/unsubscribe/{token}")).is_success
    work = DeliverInput(broadcast_id=opened.broadcast_id, spec=given, channel=EMAIL)
    result = await ActivityEnvironment().run(steps.deliver, work)
    assert result.done
    assert mail.received == {"con_0": 1, "con_2": 1}
    (row,) = await world.rows("state, reason", "contact_id = 'con_1'")
    assert (row.state, row.reason) == ("suppressed", "unsubscribed")
