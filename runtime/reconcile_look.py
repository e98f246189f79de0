"""Looks at both stores: what PostgreSQL recorded, and what Temporal says of every run."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from temporalio.client import Client, WorkflowExecutionStatus, WorkflowQueryFailedError
from temporalio.service import RPCError, RPCStatusCode

from adapters.db.reconcile import Records
from domain.incident import IncidentState
from domain.maintenance import MaintenanceState, is_maintenance
from domain.policy import Policy
from runtime.reconcile import Both, Run, Status
from workflows.maintenance_messages import MaintenanceStart
from workflows.messages import IncidentStart, TimelineLine
from workflows.names import (
    INCIDENT,
    MAINTENANCE,
    broadcast_workflow_id,
    incident_workflow_id,
    post_mortem_workflow_id,
)

AT_ONCE = 20
QUERY_SECONDS = 10
_STATUS = {
    WorkflowExecutionStatus.RUNNING: Status.RUNNING,
    WorkflowExecutionStatus.CONTINUED_AS_NEW: Status.RUNNING,
    WorkflowExecutionStatus.COMPLETED: Status.COMPLETED,
    WorkflowExecutionStatus.CANCELED: Status.CANCELLED,
    WorkflowExecutionStatus.FAILED: Status.FAILED,
    WorkflowExecutionStatus.TERMINATED: Status.BROKEN,
    WorkflowExecutionStatus.TIMED_OUT: Status.BROKEN,
}


class Look:
    """Reads only."""

    def __init__(self, client: Client, records: Records) -> None:
        self._client = client
        self._records = records
        self._limit = asyncio.Semaphore(AT_ONCE)

    async def both(self) -> Both:
        """Incidents that are not over on both sides or have no row, and all that runs for them."""
        running = await self._ids("Running")
        ended = await self._records.missing(await self._ids("Completed"))
        # Records first: a run can only be ahead of what was read before.
        records = await self._records.load(running)
        incidents = dict.fromkeys([*(r.id for r in records if r.open), *running, *ended])
        runs = await self._all(map(incident_workflow_id, incidents), ask=True)
        states = {run.state.id: run.state for run in runs.values() if run.state}
        known = {record.id: record for record in records}
        others = [post_mortem_workflow_id(r.id) for r in records if r.open]
        for id_ in dict.fromkeys([*known, *states]):
            record, state = known.get(id_), states.get(id_)
            done = {b.n for b in record.broadcasts if b.finished} if record else set()
            numbers = {b.n for b in record.broadcasts} if record else set()
            numbers |= set(range(1, state.broadcasts + 1)) if state else set()
            others += [broadcast_workflow_id(id_, n) for n in sorted(numbers - done)]
        runs |= await self._all(others, ask=False)
        return Both(records=records, runs=runs)

    async def lines(self, incident_id: str) -> Sequence[TimelineLine]:
        """The newest lines of the story as the run remembers them."""
        handle = self._client.get_workflow_handle(incident_workflow_id(incident_id))
        lines: list[TimelineLine] = await handle.query(
            "timeline",
            result_type=list[TimelineLine],
            rpc_timeout=timedelta(seconds=QUERY_SECONDS),
        )
        return lines

    async def newest_line(self, incident_id: str) -> datetime | None:
        """When the newest line was written that PostgreSQL still has."""
        lines = await self._records.lines(incident_id)
        return lines[-1].at if lines else None

    async def beginning(self, incident_id: str) -> tuple[str, Policy]:
        """The hash of the policy that the newest run was started with, and the one it follows."""
        handle = self._client.get_workflow_handle(incident_workflow_id(incident_id))
        history = aiter(handle.fetch_history_events(page_size=1))
        first = (await anext(history)).workflow_execution_started_event_attributes
        kind = MaintenanceStart if is_maintenance(incident_id) else IncidentStart
        given = await self._client.data_converter.decode(first.input.payloads, [kind])
        policy: Policy = await handle.query(
            "policy", result_type=Policy, rpc_timeout=timedelta(seconds=QUERY_SECONDS)
        )
        return given[0].policy_hash, policy

    async def _ids(self, status: str) -> list[str]:
        kinds = f"WorkflowType IN ('{INCIDENT}', '{MAINTENANCE}')"
        found = self._client.list_workflows(f"{kinds} AND ExecutionStatus = '{status}'")
        return [execution.id.rpartition("/")[2] async for execution in found]

    async def _all(self, ids: Iterable[str], *, ask: bool) -> dict[str, Run]:
        wanted = list(ids)
        runs = await asyncio.gather(*(self._run(id_, ask) for id_ in wanted))
        return dict(zip(wanted, runs, strict=True))

    async def _run(self, workflow_id: str, ask: bool) -> Run:
        handle = self._client.get_workflow_handle(workflow_id)
        async with self._limit:
            try:
                found = await handle.describe()
            except RPCError as error:
                if error.status is RPCStatusCode.NOT_FOUND:
                    return Run()
                raise
            status = _STATUS.get(found.status, Status.BROKEN) if found.status else Status.BROKEN
            if not ask or status not in (Status.RUNNING, Status.COMPLETED):
                return Run(status=status)
            try:
                state: IncidentState = await handle.query(
                    "state",
                    result_type=_state_of(workflow_id),
                    rpc_timeout=timedelta(seconds=QUERY_SECONDS),
                )
            except (RPCError, WorkflowQueryFailedError):
                # No worker, or one of a release that can't be asked: said as such.
                return Run(status=status)
            return Run(status=status, state=state)


def _state_of(workflow_id: str) -> type[IncidentState]:
    planned = is_maintenance(workflow_id.rpartition("/")[2])
    return MaintenanceState if planned else IncidentState
