"""How the whole chain does: PostgreSQL's figures and Temporal's, asked seldom, answered at once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Generic, TypeVar

import structlog
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from adapters.db.figures import DELAY_BOUNDS, Delays, Figures, FiguresStore
from runtime.relay import TemporalDown, TemporalLink
from workflows.names import QUEUE_DELIVERY, QUEUE_DRAFTING, QUEUE_INCIDENTS

__all__ = [
    "DELAY_BOUNDS",
    "Delays",
    "Figures",
    "Snapshot",
    "TemporalFigures",
    "Watch",
]

log = structlog.get_logger(__name__)

SERVED = (QUEUE_INCIDENTS, QUEUE_DRAFTING, QUEUE_DELIVERY)
STUCK = "TemporalReportedProblems IS NOT NULL AND ExecutionStatus = 'Running'"
# A poll waits a minute for work; who has not asked again since is gone.
POLLED_WITHIN = timedelta(seconds=75)
DATABASE_EVERY = 5.0
TEMPORAL_EVERY = 15.0
CALL_SECONDS = 4.0
# Whoever asks is answered within this time, if need be with what was known before.
ANSWER_SECONDS = 0.7
# Reading must not take more than this part of one connection's time, however slow it becomes.
LARGEST_PART = 1 / 20

T = TypeVar("T")


@dataclass(frozen=True)
class TemporalFigures:
    """What Temporal says: who works on which queue, and how many runs fail their tasks.

    `stuck` is None where the server does not know TemporalReportedProblems.
    """

    polling: Mapping[str, int]
    stuck: int | None


@dataclass(frozen=True)
class Snapshot:
    """The chain at one moment; None stands for a server that does not answer."""

    database: Figures | None
    temporal: TemporalFigures | None
    age_seconds: float


class Watch:
    """Answers every asker from one reading; asks the servers at most every few seconds."""

    def __init__(
        self, engine: AsyncEngine, link: TemporalLink, now: Callable[[], datetime]
    ) -> None:
        store = FiguresStore(engine)
        self._link = link
        self._now = now
        self._database = _Kept(lambda: store.read(now()), DATABASE_EVERY)
        self._temporal = _Kept(self._read_temporal, TEMPORAL_EVERY)

    async def snapshot(self, newest: bool = False) -> Snapshot:
        """How it stands, in less than a second; `newest` waits for a reading begun just now."""
        database, temporal = await asyncio.gather(
            self._database.value(newest), self._temporal.value(newest)
        )
        return Snapshot(database, temporal, self._database.age)

    async def close(self) -> None:
        """End readings that are under way."""
        await self._database.close()
        await self._temporal.close()

    async def _read_temporal(self) -> TemporalFigures:
        client = await self._link.client()
        polled = asyncio.gather(*(_polling(client, queue, self._now()) for queue in SERVED))
        stuck, polling = await asyncio.gather(_stuck(client), polled)
        return TemporalFigures(polling=dict(zip(SERVED, polling, strict=True)), stuck=stuck)


class _Kept(Generic[T]):
    """A reading that is kept for a while; one is under way at most."""

    def __init__(self, read: Callable[[], Awaitable[T]], every: float) -> None:
        self._read = read
        self._every = every
        self._value: T | None = None
        self._read_at = float("-inf")
        self._took = 0.0
        self._task: asyncio.Task[None] | None = None

    @property
    def age(self) -> float:
        """Seconds since the last reading that ended."""
        return max(time.monotonic() - self._read_at, 0.0)

    async def value(self, newest: bool) -> T | None:
        if newest and self._task is not None:
            # It began before the question.
            await asyncio.wait({self._task})
        if newest or self.age >= max(self._every, self._took / LARGEST_PART):
            if self._task is None or self._task.done():
                self._task = asyncio.create_task(self._refresh())
            await asyncio.wait({self._task}, timeout=None if newest else ANSWER_SECONDS)
        return self._value

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    async def _refresh(self) -> None:
        began = time.monotonic()
        try:
            async with asyncio.timeout(CALL_SECONDS):
                self._value = await self._read()
        except (SQLAlchemyError, RPCError, TemporalDown, OSError, TimeoutError) as error:
            # The next asker tries again; what was known before would pass for the present.
            self._value = None
            log.warning("figures_not_read", error=type(error).__name__)
        self._read_at = time.monotonic()
        self._took = self._read_at - began if self._value is not None else 0.0


async def _stuck(client: Client) -> int | None:
    try:
        found = await client.count_workflows(STUCK, rpc_timeout=timedelta(seconds=CALL_SECONDS))
    except RPCError as error:
        # An older server, which is not therefore down.
        if error.status is RPCStatusCode.INVALID_ARGUMENT:
            return None
        raise
    return found.count


async def _polling(client: Client, queue: str, now: datetime) -> int:
    """Workers that asked this queue for work lately: workflows on incidents, else activities."""
    kind = (
        TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW
        if queue == QUEUE_INCIDENTS
        else TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY
    )
    request = DescribeTaskQueueRequest(
        namespace=client.namespace, task_queue=TaskQueue(name=queue), task_queue_type=kind
    )
    answer = await client.workflow_service.describe_task_queue(
        request, timeout=timedelta(seconds=CALL_SECONDS)
    )
    oldest = now - POLLED_WITHIN
    asked = (
        (poller.identity, poller.last_access_time.ToDatetime(tzinfo=UTC))
        for poller in answer.pollers
    )
    return len({identity for identity, at in asked if at >= oldest})
