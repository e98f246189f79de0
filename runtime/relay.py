"""Tells the incidents' workflows what was heard, now or when Temporal is back."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import structlog
from sqlalchemy.exc import DBAPIError
from structlog.contextvars import bound_contextvars
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from adapters.db.inbox import Untold
from adapters.db.intake import Intake
from domain.errors import ForewarnError
from domain.policy import Policy
from runtime.temporal import connect
from workflows.messages import IncidentStart
from workflows.names import INCIDENT, QUEUE_INCIDENTS, incident_workflow_id

log = structlog.get_logger(__name__)

CONNECT_SECONDS = 2.0
DOWN_SECONDS = 1.0
CALL_SECONDS = 5.0
# One fold per incident in this time: alerts, not updates, would fill a history. While a storm
# lasts it is told ever less often, down to the longest time.
TELL_EVERY_SECONDS = 2.0
TELL_LESS_BY = 1.3
TELL_AT_LEAST_EVERY_SECONDS = 6.0
LOOP_SECONDS = 1.0
MAX_REMEMBERED = 10_000
UNREACHABLE = frozenset(
    {
        RPCStatusCode.UNAVAILABLE,
        RPCStatusCode.DEADLINE_EXCEEDED,
        RPCStatusCode.CANCELLED,
        RPCStatusCode.RESOURCE_EXHAUSTED,
    }
)


class TemporalDown(ForewarnError):
    """Temporal does not answer; what was to be told waits in PostgreSQL."""


class RunNotFound(ForewarnError):
    """The incident has run before, and now no run of it takes messages."""


class TemporalLink:
    """A client that is made at first use; after a failure it stays down for a second."""

    def __init__(
        self,
        connector: Callable[[], Awaitable[Client]] = connect,
        connect_seconds: float = CONNECT_SECONDS,
    ) -> None:
        self._connector = connector
        self._connect_seconds = connect_seconds
        self._client: Client | None = None
        self._down_until = 0.0
        self._connecting = asyncio.Lock()

    @property
    def down(self) -> bool:
        """Whether it failed within the last second."""
        return time.monotonic() < self._down_until

    def mark_down(self) -> None:
        """Remember that a call failed, so that the next ones need not wait to learn it."""
        self._down_until = time.monotonic() + DOWN_SECONDS

    async def client(self) -> Client:
        """The client; raises TemporalDown at once while it is known to be down."""
        if self.down:
            raise TemporalDown("Temporal did not answer a moment ago")
        async with self._connecting:
            if self._client is None:
                if self.down:
                    raise TemporalDown("Temporal did not answer a moment ago")
                try:
                    async with asyncio.timeout(self._connect_seconds):
                        self._client = await self._connector()
                except (RuntimeError, OSError, TimeoutError) as error:
                    self.mark_down()
                    raise TemporalDown("Temporal cannot be reached") from error
            return self._client


@dataclass(frozen=True)
class _Told:
    """When an incident was told last, and for how many seconds that is to do."""

    at: float
    lasts: float

    def fresh(self, now: float) -> bool:
        return now - self.at < self.lasts

    def again(self, now: float) -> _Told:
        if now - self.at > 2 * self.lasts:
            return _Told(now, TELL_EVERY_SECONDS)
        return _Told(now, min(self.lasts * TELL_LESS_BY, TELL_AT_LEAST_EVERY_SECONDS))


class Relay:
    """Carries untold signals to their workflows; several may run at once."""

    def __init__(
        self,
        intake: Intake,
        link: TemporalLink,
        policy: Policy,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._intake = intake
        self._link = link
        self._policy = policy
        # Found once: it takes as long as telling an incident.
        self._known = {policy.hash: policy}
        self._now = now
        self._clock = clock
        self._told: dict[str, _Told] = {}

    def adopt(self, policy: Policy) -> None:
        """Know the policy that new incidents begin under; those before stay known."""
        self._policy = policy
        self._known[policy.hash] = policy

    async def relay_now(self, incident_id: str, seconds: float = CALL_SECONDS) -> bool:
        """Tell one incident's workflow, starting it if need be.

        False when it was told seconds ago: then the loop tells the rest in one go.
        Raises TemporalDown, after which the loop tells it too. `seconds` bounds the call.
        """
        told = self._told.get(incident_id)
        if told is not None and told.fresh(self._clock()):
            return False
        client = await self._link.client()
        self._remember(incident_id)
        try:
            async with self._intake.telling(incident_id, self._now()) as untold:
                if untold is not None:
                    # That of the alert which opened the incident, whoever carries it now.
                    with bound_contextvars(correlation_id=untold.correlation_id):
                        await _tell(client, untold, self._known, seconds)
        except WorkflowAlreadyStartedError:
            await self._release(incident_id)
        except RunNotFound as error:
            if not await _is_over(client, incident_id, seconds):
                log.error("incident_has_no_workflow", incident_id=incident_id, remedy="reconcile")
                raise TemporalDown("the incident has no workflow: run reconcile") from error
            await self._release(incident_id)
        except (RPCError, TimeoutError) as error:
            self._told.pop(incident_id, None)
            if not isinstance(error, RPCError) or error.status in UNREACHABLE:
                self._link.mark_down()
                raise TemporalDown("Temporal did not answer in time") from error
            log.error("temporal_refused", incident_id=incident_id, status=error.status.name)
            raise TemporalDown("Temporal refused the call") from error
        return True

    async def run_forever(self) -> None:
        """Tell what is untold until cancelled; failures are logged and tried again."""
        while True:
            # Jitter, so that several gateways don't ask in step.
            await asyncio.sleep(LOOP_SECONDS * random.uniform(0.5, 1.0))
            try:
                await self.run_once()
            except TemporalDown:
                log.warning("relay_waits_for_temporal")
            except DBAPIError as error:
                log.warning("relay_waits_for_postgresql", error=type(error.orig).__name__)
            except Exception:
                # The next round tries again: a loop that died would leave alerts untold.
                log.exception("relay_failed")

    async def run_once(self) -> int:
        """One round over the untold incidents, worst first; returns how many were told."""
        told = 0
        waiting = await self._intake.unrelayed()
        for incident_id in waiting:
            try:
                told += await self.relay_now(incident_id)
            except TemporalDown:
                # One refused incident must not hold up the others; silence concerns them all.
                if self._link.down:
                    raise
        if told:
            log.info("relayed", incidents=told, waiting=len(waiting) - told)
        return told

    async def _release(self, incident_id: str) -> None:
        """The workflow is over for good: what still fires gets another incident."""
        homes = await self._intake.release(incident_id, self._policy, now=self._now())
        log.warning("relay_found_incident_over", incident_id=incident_id, moved_to=homes)

    def _remember(self, incident_id: str) -> None:
        if len(self._told) >= MAX_REMEMBERED:
            self._told.clear()
        now, last = self._clock(), self._told.get(incident_id)
        self._told[incident_id] = last.again(now) if last else _Told(now, TELL_EVERY_SECONDS)


async def _is_over(client: Client, incident_id: str, seconds: float) -> bool:
    """Whether the incident's run came to its end, as against one that Temporal lost."""
    handle = client.get_workflow_handle(incident_workflow_id(incident_id))
    try:
        found = await handle.describe(rpc_timeout=timedelta(seconds=seconds))
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            return False
        raise TemporalDown("Temporal did not answer in time") from error
    return found.status is WorkflowExecutionStatus.COMPLETED


async def _tell(
    client: Client, untold: Untold, known: Mapping[str, Policy], seconds: float
) -> None:
    if untold.recorded:
        await _tell_again(client, untold, seconds)
    else:
        await _start(client, untold, known, seconds)
    log.info(
        "incident_told",
        incident_id=untold.incident_id,
        correlation_id=untold.correlation_id,
        watermark=untold.batch.watermark,
        received=untold.batch.received,
    )


async def _tell_again(client: Client, untold: Untold, seconds: float) -> None:
    """Tell a run that has begun; started from nothing it would say everything a second time."""
    handle = client.get_workflow_handle(incident_workflow_id(untold.incident_id))
    try:
        await handle.signal("alert_received", untold.batch, rpc_timeout=timedelta(seconds=seconds))
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            raise RunNotFound(untold.incident_id) from error
        raise


async def _start(
    client: Client, untold: Untold, known: Mapping[str, Policy], seconds: float
) -> None:
    start = IncidentStart(
        incident_id=untold.incident_id,
        policy_hash=untold.policy_hash,
        policy=known.get(untold.policy_hash),
        batch=untold.batch,
        dry_run=untold.dry_run,
        opened_at=untold.opened_at,
    )
    where = ", ".join(untold.components) or "no known component"
    # Signal-with-start as one call: between two calls the run could end.
    await client.start_workflow(
        INCIDENT,
        start,
        id=incident_workflow_id(untold.incident_id),
        task_queue=QUEUE_INCIDENTS,
        id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
        id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
        start_signal="alert_received",
        start_signal_args=[untold.batch],
        static_summary=f"{untold.severity}: {where}" + (" (dry run)" if untold.dry_run else ""),
        rpc_timeout=timedelta(seconds=seconds),
    )
