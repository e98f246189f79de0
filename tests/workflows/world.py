"""A worker on a Temporal server and a real PostgreSQL, with senders that only remember."""

from __future__ import annotations

import asyncio
import logging
import sysconfig
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio import activity
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import EventType, IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest
from temporalio.api.testservice.v1 import SleepRequest
from temporalio.api.workflowservice.v1 import DescribeWorkflowExecutionRequest
from temporalio.client import Client, WorkflowHandle, WorkflowHistory
from temporalio.common import WorkflowIDConflictPolicy
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Replayer, WorkflowRunner

from adapters.db.intake import Intake
from adapters.db.models import DeliveryRow, IncidentRow, TimelineRow
from adapters.db.policies import PolicyStore
from adapters.db.sample_customers import load
from domain.message import Channel, OutboundMessage, Receipt
from domain.policy import Policy
from domain.signal import AlertBatch, Severity, Signal, SignalStatus
from runtime.temporal import (
    register_search_attributes,
    sandbox_runner,
    search_attribute_flags,
)
from runtime.wiring import Steps, build_steps, build_workers
from workflows import names
from workflows.broadcast import Broadcast
from workflows.incident import Incident
from workflows.maintenance import Maintenance
from workflows.messages import DecideInput, DecideResult, IncidentStart, PendingView, StatusView
from workflows.postmortem import PostMortem

BIN = Path(sysconfig.get_path("scripts"))
POLLS = 400
SLEEP_LASTS = timedelta(seconds=100)
QUEUES = [names.QUEUE_INCIDENTS, names.QUEUE_DRAFTING, names.QUEUE_DELIVERY]


log = logging.getLogger(__name__)


class Remembering:
    """A sender that accepts everything and keeps what it was given."""

    name = "remembering"

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.sent: list[OutboundMessage] = []

    async def send(self, message: OutboundMessage) -> Receipt:
        self.sent.append(message)
        return Receipt(provider_id=f"{self.channel}-{len(self.sent)}")

    async def aclose(self) -> None:
        """Nothing to close."""


class RememberingDesk:
    """A staff desk that keeps what it showed; `away` makes it fail as a chat that is down."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self.away = False
        self.shown: list[tuple[str, str]] = []

    async def show(self, incident_id: str) -> None:
        if self.away:
            raise ConnectionError("the chat does not answer")
        async with self._engine.connect() as conn:
            row = (
                await conn.execute(
                    select(IncidentRow.stage, IncidentRow.pending).where(
                        IncidentRow.id == incident_id
                    )
                )
            ).one()
        what = f"{row.pending['moment']} waits" if row.pending else row.stage
        self.shown.append((incident_id, what))


def workflow_time() -> datetime:
    """The server's time inside an activity, so that a skipped clock is seen everywhere."""
    if activity.in_activity():
        return activity.info().current_attempt_scheduled_time
    return datetime.now(UTC)


@dataclass
class World:
    """Everything a workflow test drives and looks at."""

    client: Client
    engine: AsyncEngine
    policy: Policy
    senders: dict[Channel, Remembering]
    steps: Steps
    sleep: Callable[[timedelta], Awaitable[None]]
    now: Callable[[], Awaitable[datetime]]
    desk: RememberingDesk
    delivered: list[str] = field(default_factory=list)
    incidents: dict[str, None] = field(default_factory=dict)
    _ids: int = 0

    async def signal(self, **changes: Any) -> str | None:
        """Send an alert through the real intake and tell the workflow, as the relay does."""
        self._ids += 1
        values: dict[str, Any] = {
            "source": "generic",
            "external_id": f"a{self._ids}",
            "dedup_key": "alert",
            "status": SignalStatus.FIRING,
            "title": "payments fail",
            "components": ("payments",),
            "severity": Severity.P2,
            "customer_impact": True,
        }
        intake, now = Intake(self.engine), await self.now()
        accepted = await intake.receive(
            Signal(**(values | changes)),
            self.policy,
            now=now,
            correlation_id="test",
            dry_run=False,
            policy_hash=self.policy.hash,
        )
        if accepted.incident_id is None:
            return None
        self.incidents[accepted.incident_id] = None
        batch = await intake.batch_after(accepted.incident_id, 0)
        assert batch is not None
        await self.client.start_workflow(
            names.INCIDENT,
            IncidentStart(
                incident_id=accepted.incident_id,
                policy_hash=self.policy.hash,
                batch=batch,
                opened_at=now,
            ),
            id=names.incident_workflow_id(accepted.incident_id),
            task_queue=names.QUEUE_INCIDENTS,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            start_signal="alert_received",
            start_signal_args=[batch],
        )
        return accepted.incident_id

    def handle(self, incident_id: str) -> WorkflowHandle[Any, Any]:
        return self.client.get_workflow_handle(names.incident_workflow_id(incident_id))

    async def status(self, incident_id: str) -> StatusView:
        status: StatusView = await self.handle(incident_id).query("status", result_type=StatusView)
        return status

    async def pending(self, incident_id: str, moment: str) -> int:
        """The version that waits for approval, once one of this moment does."""

        async def look() -> int | None:
            view = await self.handle(incident_id).query("pending_draft", result_type=PendingView)
            found = view.pending
            return found.draft if found and found.moment == moment else None

        version: int = await self.until(f"pending {moment}", look)
        return version

    async def approve(self, incident_id: str, moment: str, by: str = "ada") -> DecideResult:
        version = await self.pending(incident_id, moment)
        result: DecideResult = await self.handle(incident_id).execute_update(
            "decide",
            DecideInput(draft=version, decision="approve", by=by),
            result_type=DecideResult,
        )
        return result

    async def until(self, what: str, look: Callable[[], Awaitable[Any]]) -> Any:
        """Look again until something is found; the workflow's clock does not move meanwhile."""
        for _ in range(POLLS):
            found = await look()
            if found:
                return found
            await asyncio.sleep(0.025)
        raise AssertionError(f"{what}: never seen")

    async def until_sent(self, channel: Channel, number: int) -> list[OutboundMessage]:
        async def look() -> bool:
            return len(self.senders[channel].sent) >= number

        await self.until(f"{number} messages on {channel}", look)
        return self.senders[channel].sent

    async def until_shown(self, incident_id: str, what: str) -> None:
        """The desk showed it last."""

        async def look() -> bool:
            return self.desk.shown[-1:] == [(incident_id, what)]

        await self.until(f"{what} at the desk", look)

    async def until_stage(self, incident_id: str, stage: str) -> None:
        async def look() -> bool:
            return (await self.status(incident_id)).stage == stage

        await self.until(f"stage {stage}", look)

    async def run_id(self, incident_id: str) -> str:
        """The present run; another one after continue-as-new.

        Asked of the service itself: the client cannot read what the time-skipping server answers
        for a search attribute that was unset.
        """
        answer = await self.client.workflow_service.describe_workflow_execution(
            DescribeWorkflowExecutionRequest(
                namespace=self.client.namespace,
                execution=WorkflowExecution(workflow_id=names.incident_workflow_id(incident_id)),
            )
        )
        return answer.workflow_execution_info.execution.run_id

    async def row(self, incident_id: str) -> Any:
        async with self.engine.connect() as conn:
            found = await conn.execute(
                select(IncidentRow.__table__).where(IncidentRow.id == incident_id)
            )
            return found.one()

    async def timeline(self, incident_id: str) -> list[str]:
        async with self.engine.connect() as conn:
            kinds = await conn.scalars(
                select(TimelineRow.kind)
                .where(TimelineRow.incident_id == incident_id)
                .order_by(TimelineRow.id)
            )
            return list(kinds)

    async def states(self, incident_id: str) -> dict[tuple[int, str, str], int]:
        """(broadcast, channel, state) → rows of the ledger."""
        counts: dict[tuple[int, str, str], int] = {}
        async with self.engine.connect() as conn:
            rows = await conn.execute(
                select(DeliveryRow.broadcast_id, DeliveryRow.channel, DeliveryRow.state).where(
                    DeliveryRow.incident_id == incident_id
                )
            )
            for row in rows:
                key = (row.broadcast_id, row.channel, row.state)
                counts[key] = counts.get(key, 0) + 1
        return counts


async def storm(world: World, incident_id: str) -> None:
    """Bursts of alert batches until the run continues as new.

    The next burst waits until the run has taken the last one in: told something at every moment it
    could not, and the relay tells one incident every two seconds at most.
    """
    async with asyncio.timeout(90):
        await _storm(world, incident_id)


async def _storm(world: World, incident_id: str) -> None:
    handle, first = world.handle(incident_id), await world.run_id(incident_id)
    watermark = 1_000
    while await world.run_id(incident_id) == first:
        for _ in range(20):
            watermark += 1
            await handle.signal(
                "alert_received",
                AlertBatch(
                    watermark=watermark,
                    received=5,
                    firing=1,
                    severity=Severity.P2,
                    severity_stated=True,
                    category="local_degradation",
                    components=("payments",),
                    sources=("generic",),
                ),
            )
        while await world.run_id(incident_id) == first:
            if (await world.row(incident_id)).state["watermark"] >= watermark:
                break
            await asyncio.sleep(0.1)
        await asyncio.sleep(0.5)


@asynccontextmanager
async def world_on(
    environment: WorkflowEnvironment,
    engine: AsyncEngine,
    policy: Policy,
    customers: int = 12,
    working: bool = True,
) -> AsyncIterator[World]:
    """Workers for all queues on an environment (unless not `working`), and some customers.

    So few that nearly every message reaches more than half of them: one person decides here.
    """
    one_decides = policy.approval.model_copy(update={"second_over": None})
    policy = policy.model_copy(update={"approval": one_decides})
    await load(engine, customers, 7, datetime.now(UTC))
    await PolicyStore(engine).save(policy, "test", datetime.now(UTC))
    channels = (Channel.EMAIL, Channel.IN_APP, Channel.STATUS_PAGE)
    senders = {channel: Remembering(channel) for channel in channels}
    desk = RememberingDesk(engine)
    steps = build_steps(
        engine, policy, senders, "https://status.example", "test-secret", workflow_time, desk
    )

    async def sleep(delta: timedelta) -> None:
        # Of the environment itself, but with time for all that happens meanwhile.
        request = SleepRequest()
        request.duration.FromTimedelta(delta)
        await environment.client.test_service.unlock_time_skipping_with_sleep(
            request, timeout=SLEEP_LASTS
        )

    async with AsyncExitStack() as stack:
        for worker in build_workers(environment.client, steps, QUEUES) if working else ():
            await stack.enter_async_context(worker)
        world = World(
            environment.client,
            engine,
            policy,
            senders,
            steps,
            sleep,
            environment.get_current_time,
            desk,
        )
        yield world
        for incident_id in world.incidents:
            await replayed(environment, names.incident_workflow_id(incident_id))


async def replayed(environment: WorkflowEnvironment, workflow_id: str) -> None:
    """Play every run of a workflow again from its history; raises where the two disagree."""
    run_id: str | None = None
    while run_id != "":
        handle = environment.client.get_workflow_handle(workflow_id, run_id=run_id)
        history = await handle.fetch_history()
        if environment.supports_time_skipping and misordered(history):
            log.warning("not replayed: the server wrote another order than it told its worker")
        else:
            await replay(history)
        started = history.events[0].workflow_execution_started_event_attributes
        run_id = started.continued_execution_run_id


def misordered(history: WorkflowHistory) -> bool:
    """Whether the time-skipping server told its worker another order than it wrote.

    With an update it says that the task began right after it was scheduled, so that a signal which
    came in between is taken in one task later than its history has it. A real server is exact:
    `test_many_at_once.py` replays what it wrote.
    """
    scheduled, between = 0, False
    for event in history.events:
        if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_SCHEDULED:
            scheduled = event.event_id
        elif event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_STARTED:
            between = event.event_id > scheduled + 1
        elif (
            event.event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED and between
        ):
            return True
    return False


async def replay(history: WorkflowHistory, runner: WorkflowRunner | None = None) -> None:
    """Play a history on the code as it is; raises where the two disagree."""
    replayer = Replayer(
        workflows=[Incident, Broadcast, PostMortem, Maintenance],
        workflow_runner=runner or sandbox_runner(),
        data_converter=pydantic_data_converter,
    )
    await replayer.replay_workflow(history)


@asynccontextmanager
async def skipping() -> AsyncIterator[WorkflowEnvironment]:
    """A time-skipping server of its own, knowing our search attributes."""
    environment = await WorkflowEnvironment.start_time_skipping(
        test_server_existing_path=str(BIN / "temporal-test-server"),
        data_converter=pydantic_data_converter,
    )
    async with environment:
        kinds = {"KeywordList": "KEYWORD_LIST"}
        await environment.client.operator_service.add_search_attributes(
            AddSearchAttributesRequest(
                namespace="default",
                search_attributes={
                    name: IndexedValueType.Value(
                        f"INDEXED_VALUE_TYPE_{kinds.get(kind, kind.upper())}"
                    )
                    for name, kind in search_attribute_flags()
                },
            )
        )
        yield environment


@asynccontextmanager
async def real_time() -> AsyncIterator[WorkflowEnvironment]:
    """A real server: the one that skips time stops answering under load or after a while."""
    environment = await WorkflowEnvironment.start_local(
        dev_server_existing_path=str(BIN / "temporal"), data_converter=pydantic_data_converter
    )
    async with environment:
        await register_search_attributes(environment.client)
        yield environment
