"""The relay against a real Temporal dev server and a real PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio import workflow
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.service import RPCError
from temporalio.worker import Worker

from adapters.db.intake import Intake
from adapters.db.models import SignalRow
from adapters.db.signal_rows import Accepted
from domain.policy import Policy
from domain.signal import AlertBatch, Signal
from runtime.processes import free_port
from runtime.relay import Relay, TemporalDown, TemporalLink
from runtime.servers import TemporalServer
from runtime.temporal import connect
from workflows.messages import IncidentStart
from workflows.names import QUEUE_INCIDENTS, incident_workflow_id


# The sandbox would import this test module, with PostgreSQL and all.
@workflow.defn(name="Incident", sandboxed=False)
class StandIn:
    """Keeps what it is told; ends on request."""

    @workflow.init
    def __init__(self, start: IncidentStart) -> None:
        self.told: list[AlertBatch] = []
        self.over = False

    @workflow.run
    async def run(self, start: IncidentStart) -> None:
        await workflow.wait_condition(lambda: self.over)

    @workflow.signal
    def alert_received(self, batch: AlertBatch) -> None:
        self.told.append(batch)

    @workflow.signal
    def end(self) -> None:
        self.over = True

    @workflow.query
    def batches(self) -> list[AlertBatch]:
        return self.told


@pytest.fixture(scope="module")
def temporal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TemporalServer]:
    server = TemporalServer(tmp_path_factory.mktemp("temporal"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
async def client(temporal: TemporalServer) -> AsyncIterator[Client]:
    client = await connect(temporal.address)
    async with Worker(
        client,
        task_queue=QUEUE_INCIDENTS,
        workflows=[StandIn],
    ):
        yield client


@pytest.fixture
def intake(engine: AsyncEngine) -> Intake:
    return Intake(engine)


@pytest.fixture
def relay(intake: Intake, temporal: TemporalServer, policy: Policy, now: datetime) -> Relay:
    link = TemporalLink(lambda: connect(temporal.address))
    return Relay(intake, link, policy, now=lambda: now)


async def take(intake: Intake, policy: Policy, now: datetime, dedup: str = "a") -> Accepted:
    signal = Signal.model_validate(
        {
            "source": "generic",
            "external_id": uuid4().hex,
            "dedup_key": dedup,
            "status": "firing",
            "title": "Payments fail",
            "components": ["payments"],
        }
    )
    return await intake.receive(
        signal,
        policy,
        now=now,
        correlation_id="corr-1",
        dry_run=True,
        policy_hash=policy.hash,
    )


async def told(client: Client, incident_id: str) -> list[AlertBatch]:
    handle = client.get_workflow_handle(incident_workflow_id(incident_id))
    return await handle.query(StandIn.batches)


async def test_first_starts_then_signals(
    client: Client, relay: Relay, intake: Intake, policy: Policy, now: datetime
) -> None:
    incident_id = str((await take(intake, policy, now)).incident_id)
    assert await relay.relay_now(incident_id)
    assert await intake.unrelayed() == []
    (first,) = await told(client, incident_id)
    assert (first.received, first.firing, first.components) == (1, 1, ("payments",))
    description = await client.get_workflow_handle(incident_workflow_id(incident_id)).describe()
    assert await description.static_summary() == "P3: payments (dry run)"


async def test_a_storm_is_told_in_few_batches_and_ever_fewer(
    client: Client, temporal: TemporalServer, intake: Intake, policy: Policy, now: datetime
) -> None:
    at = [1000.0]
    link = TemporalLink(lambda: connect(temporal.address))
    relay = Relay(intake, link, policy, now=lambda: now, clock=lambda: at[0])
    incident_id = str((await take(intake, policy, now)).incident_id)
    assert await relay.relay_now(incident_id)
    for number in range(50):
        await take(intake, policy, now, f"storm-{number}")
        assert not await relay.relay_now(incident_id)
    assert await relay.run_once() == 0
    at[0] += 2.1
    assert await relay.run_once() == 1
    first, rest = await told(client, incident_id)
    assert rest.received == 50
    assert rest.firing == 51
    assert rest.watermark > first.watermark
    batches = 0
    for second in range(60):
        at[0] += 1
        await take(intake, policy, now, f"minute-{second}")
        batches += await relay.run_once()
    # Every six seconds in the end; calm restores the quick answer.
    assert 10 <= batches <= 15
    at[0] += 15
    await take(intake, policy, now, "calm")
    assert await relay.relay_now(incident_id)
    at[0] += 2.1
    await take(intake, policy, now, "again")
    assert await relay.relay_now(incident_id)


async def test_temporal_down_then_up(
    client: Client, temporal: TemporalServer, intake: Intake, policy: Policy, now: datetime
) -> None:
    addresses = [f"127.0.0.1:{free_port()}", temporal.address]
    link = TemporalLink(lambda: connect(addresses[0]), connect_seconds=1)
    relay = Relay(intake, link, policy, now=lambda: now)
    incident_id = str((await take(intake, policy, now)).incident_id)
    with pytest.raises(TemporalDown):
        await relay.relay_now(incident_id)
    assert link.down
    assert await intake.unrelayed() == [incident_id]
    addresses.pop(0)
    loop = asyncio.create_task(relay.run_forever())
    try:
        for _ in range(150):
            if not await intake.unrelayed():
                break
            await asyncio.sleep(0.1)
    finally:
        loop.cancel()
    assert [batch.received for batch in await told(client, incident_id)] == [1]


async def test_temporal_dying_under_a_live_client(
    tmp_path: Path, intake: Intake, policy: Policy, now: datetime
) -> None:
    server = TemporalServer(tmp_path)
    await asyncio.to_thread(server.start)
    link = TemporalLink(lambda: connect(server.address))
    try:
        client = await link.client()
    finally:
        await asyncio.to_thread(server.kill)
    relay = Relay(intake, link, policy, now=lambda: now)
    incident_id = str((await take(intake, policy, now)).incident_id)
    with pytest.raises(TemporalDown):
        await relay.relay_now(incident_id, 1.0)
    assert link.down
    assert await intake.unrelayed() == [incident_id]
    with pytest.raises(RPCError):
        async with asyncio.timeout(5):
            await client.service_client.check_health()


async def test_two_gateways_tell_it_once(
    client: Client, temporal: TemporalServer, intake: Intake, policy: Policy, now: datetime
) -> None:
    incident_id = str((await take(intake, policy, now)).incident_id)
    relays = [
        Relay(intake, TemporalLink(lambda: connect(temporal.address)), policy, now=lambda: now)
        for _ in range(4)
    ]
    await asyncio.gather(*(relay.run_once() for relay in relays))
    assert len(await told(client, incident_id)) == 1


async def test_an_alert_after_the_end_opens_another(
    client: Client,
    temporal: TemporalServer,
    engine: AsyncEngine,
    intake: Intake,
    policy: Policy,
    now: datetime,
) -> None:
    """The workflow ended, but the row that would say so is not written yet."""
    link = TemporalLink(lambda: connect(temporal.address))
    first = str((await take(intake, policy, now)).incident_id)
    await Relay(intake, link, policy, now=lambda: now).relay_now(first)
    handle = client.get_workflow_handle(incident_workflow_id(first))
    await handle.signal(StandIn.end)
    await handle.result()
    late = await take(intake, policy, now + timedelta(minutes=1))
    assert late.incident_id == first
    relay = Relay(intake, link, policy, now=lambda: now)
    await relay.run_once()
    async with engine.connect() as conn:
        query = select(SignalRow.incident_id).where(SignalRow.id == late.signal_id)
        second = str(await conn.scalar(query))
    assert second != first
    await relay.run_once()
    assert len(await told(client, second)) == 1
    assert (await handle.describe()).status is WorkflowExecutionStatus.COMPLETED
