"""The broadcast workflow with the real activities and ledger, its waits skipped."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio import workflow
from temporalio.client import WorkflowFailureError, WorkflowHandle
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.exceptions import ActivityError, ApplicationError
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from adapters.db.ledger import Ledger
from adapters.db.switches import Switches
from domain.errors import Transient
from domain.events import BroadcastDone
from domain.message import Channel, Moment, OutboundMessage
from domain.policy import Policy
from domain.ports import BroadcastSpec, Sender
from runtime.temporal import sandbox_runner
from tests.activities.delivery_world import Provider, activities_of, unlimited
from tests.adapters.db.ledger_world import INCIDENT, audience, customers, incident, spec
from workflows import broadcast as broadcast_module
from workflows import names
from workflows.broadcast import Broadcast, BroadcastResult

TEST_SERVER = str(Path(sys.executable).parent / "temporal-test-server")


@workflow.defn(name=names.INCIDENT, sandboxed=False)
class Listener:
    """Stands where the incident would: keeps the first report of a broadcast."""

    def __init__(self) -> None:
        self.done: BroadcastDone | None = None

    @workflow.run
    async def run(self) -> BroadcastDone:
        await workflow.wait_condition(lambda: self.done is not None)
        assert self.done is not None
        return self.done

    @workflow.signal(name="broadcast_done")
    def broadcast_done(self, done: BroadcastDone) -> None:
        self.done = done


class World:
    def __init__(self, engine: AsyncEngine, policy: Policy) -> None:
        self.engine = engine
        self.policy = unlimited(policy)
        self.now = datetime.now(UTC)
        self.ledger = Ledger(engine)

    async def customers(self, number: int) -> None:
        await incident(self.engine, self.now)
        await customers(self.engine, self.now, number)
        await audience(self.engine, self.now, range(number))

    @asynccontextmanager
    async def running(
        self,
        senders: Mapping[Channel, Sender],
        clock: Callable[[], datetime] | None = None,
        round_seconds: float = 300,
    ) -> AsyncIterator[WorkflowEnvironment]:
        environment = await WorkflowEnvironment.start_time_skipping(
            test_server_existing_path=TEST_SERVER, data_converter=pydantic_data_converter
        )
        async with environment:
            steps = activities_of(
                self.engine,
                self.policy,
                senders,
                clock or (lambda: datetime.now(UTC)),
                round_seconds=round_seconds,
            )
            flows = Worker(
                environment.client,
                task_queue=names.QUEUE_INCIDENTS,
                workflows=[Listener],
                workflow_runner=sandbox_runner(),
            )
            sending = Worker(
                environment.client,
                task_queue=names.QUEUE_DELIVERY,
                workflows=[Broadcast],
                workflow_runner=sandbox_runner(),
                activities=[
                    steps.open_broadcast,
                    steps.deliver,
                    steps.fall_back,
                    steps.settle_broadcast,
                ],
            )
            async with flows, sending:
                yield environment


async def start(
    environment: WorkflowEnvironment, given: BroadcastSpec
) -> WorkflowHandle[Broadcast, BroadcastResult]:
    return await environment.client.start_workflow(
        Broadcast.run,
        given,
        id=names.broadcast_workflow_id(given.incident_id, given.n),
        task_queue=names.QUEUE_DELIVERY,
    )


@pytest.fixture
def world(engine: AsyncEngine, policy: Policy) -> World:
    return World(engine, policy)


async def test_a_broadcast_reaches_everybody_and_tells_its_incident(world: World) -> None:
    await world.customers(120)
    mail, page = Provider(), Provider(Channel.STATUS_PAGE)
    senders = {Channel.EMAIL: mail, Channel.STATUS_PAGE: page}
    given = spec(world.now, channels=[Channel.EMAIL, Channel.STATUS_PAGE, Channel.SMS])
    async with world.running(senders) as environment:
        listener = await environment.client.start_workflow(
            Listener.run,
            id=names.incident_workflow_id(INCIDENT),
            task_queue=names.QUEUE_INCIDENTS,
        )
        handle = await start(environment, given)
        result = await handle.result()
        done = await listener.result()
        history = (await handle.fetch_history()).to_json()

    assert mail.received == {f"con_{i}": 1 for i in range(120)} and len(page.accepted) == 1
    assert result.channels[Channel.EMAIL].sent == 120
    assert result.channels[Channel.SMS].suppressed == 120
    assert (result.totals.sent, result.totals.suppressed, result.totals.settled) == (121, 120, True)
    assert (done.broadcast, done.moment) == (1, Moment.INITIAL)
    assert done.counts["sent"] == 121
    # Nobody can be found in what Temporal keeps.
    assert "example.com" not in history and "con_0" not in history and "User" not in history


async def test_a_provider_that_is_out_delays_no_other_channel(world: World) -> None:
    await world.customers(60)
    clock = {"moved": timedelta(0)}
    back = asyncio.Event()

    def out(message: OutboundMessage, attempt: int) -> Exception | None:
        # Each look at the provider is later than the last, as it would be without skipping.
        clock["moved"] += timedelta(minutes=1)
        return None if back.is_set() else Transient("connection refused")

    mail, page = Provider(behaviour=out), Provider(Channel.STATUS_PAGE)
    given = spec(world.now, channels=[Channel.EMAIL, Channel.STATUS_PAGE], expires_at=None)
    world.policy = unlimited(world.policy, max_attempts=1000)
    async with world.running(
        {Channel.EMAIL: mail, Channel.STATUS_PAGE: page},
        clock=lambda: datetime.now(UTC) + clock["moved"],
    ) as environment:
        handle = await start(environment, given)
        result_of = asyncio.create_task(handle.result())
        async with asyncio.timeout(20):
            while not page.accepted or len(mail.attempts) < 20:  # noqa: ASYNC110 - others change it
                await asyncio.sleep(0.02)
        assert not mail.accepted
        back.set()
        result = await result_of
    assert result.channels[Channel.EMAIL].sent == 60
    assert set(mail.received.values()) == {1}


async def test_while_paused_nothing_leaves_and_afterwards_nothing_is_lost(world: World) -> None:
    await world.customers(5)
    switches, mail = Switches(world.engine), Provider()
    await switches.pause("alice", world.now)
    async with world.running({Channel.EMAIL: mail}, round_seconds=0.1) as environment:
        handle = await start(environment, spec(world.now))
        result_of = asyncio.create_task(handle.result())
        await asyncio.sleep(1.5)
        assert not mail.attempts
        await switches.resume("alice", world.now)
        result = await result_of
    assert result.totals.sent == 5


async def test_many_rounds_go_on_in_a_fresh_history(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.customers(80)
    monkeypatch.setattr(broadcast_module, "MOST_ROUNDS", 1)
    mail = Provider(behaviour=lambda message, attempt: 0.05)
    async with world.running({Channel.EMAIL: mail}, round_seconds=0.02) as environment:
        handle = await start(environment, spec(world.now))
        result = await handle.result()
        first = await handle.describe()
    assert result.totals.sent == 80 and set(mail.received.values()) == {1}
    assert first.run_id is not None


async def test_altered_texts_fail_the_broadcast_and_free_the_incident(world: World) -> None:
    await world.customers(1)
    mail = Provider()
    async with world.running({Channel.EMAIL: mail}) as environment:
        listener = await environment.client.start_workflow(
            Listener.run,
            id=names.incident_workflow_id(INCIDENT),
            task_queue=names.QUEUE_INCIDENTS,
        )
        handle = await start(environment, spec(world.now, hash="another"))
        with pytest.raises(WorkflowFailureError) as failed:
            await handle.result()
        done = await listener.result()
    cause = failed.value.cause
    assert isinstance(cause, ActivityError) and isinstance(cause.cause, ApplicationError)
    assert cause.cause.type == "superseded"
    assert done.counts == {} and not mail.accepted
