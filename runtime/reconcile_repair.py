"""Repairs what `reconcile` found, one finding at a time, and says what was done."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime

from temporalio.client import Client, WorkflowExecutionStatus, WorkflowHandle
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from adapters.db.inbox import Inbox
from adapters.db.maintenances import MaintenanceStore
from adapters.db.policies import PolicyStore
from adapters.db.reconcile import IncidentRecord, Records
from domain.errors import NotFound
from domain.events import BroadcastDone
from domain.incident import IncidentState, PostMortemState
from domain.maintenance import is_maintenance
from domain.message import Moment
from domain.ports import BroadcastSpec
from domain.signal import AlertBatch
from runtime.maintenances import start_run
from runtime.reconcile import Both, Finding, Kind, Run, Status
from runtime.reconcile_records import RecordsRepair
from workflows.messages import IncidentStart, PostMortemAnswer, PostMortemStart, TimelineLine
from workflows.names import (
    BROADCAST,
    INCIDENT,
    POST_MORTEM,
    QUEUE_DELIVERY,
    QUEUE_INCIDENTS,
    broadcast_workflow_id,
    incident_workflow_id,
    post_mortem_workflow_id,
)

REASON = "reconcile: PostgreSQL is further than this run"


class Repair:
    """Starts what was lost. Whatever it starts is refused by Temporal if it runs already."""

    def __init__(
        self,
        client: Client,
        records: Records,
        inbox: Inbox,
        policies: PolicyStore,
        rebuild: RecordsRepair,
        clock: Callable[[], datetime],
    ) -> None:
        self._client = client
        self._records = records
        self._inbox = inbox
        self._policies = policies
        self._rebuild = rebuild
        self._clock = clock

    async def one(self, finding: Finding, both: Both) -> str:
        """Repair a finding; what was done, empty where nothing can be."""
        repairs: dict[Kind, Callable[[Finding, Both], Awaitable[str]]] = {
            Kind.RUN_LOST: self._restart,
            Kind.RUN_CANCELLED: self._restart,
            Kind.RUN_BEHIND: self._replace,
            Kind.BROADCAST_LOST: self._broadcast,
            Kind.POST_MORTEM_LOST: self._post_mortem,
            Kind.ROW_OPEN: self._rebuild.close,
            Kind.LEDGER_BEHIND: self._rebuild.settle,
            Kind.RECORDS_LOST: self._rebuild.records,
        }
        repair = repairs.get(finding.kind)
        if repair is None:
            return ""
        try:
            return await repair(finding, both)
        except WorkflowAlreadyStartedError:
            return "it runs again already"

    # ------------------------------------------------------------ Temporal lost it

    async def _restart(self, finding: Finding, both: Both) -> str:
        record = _record(finding, both)
        state = record.state
        batch = await self._inbox.batch_after(record.id, state.watermark if state else 0)
        if state is None and batch is None:
            return "nothing is known of it but its name: nothing was started"
        reporting = _reporting(record, both.runs)
        if is_maintenance(record.id):
            return await self._restart_work(record, reporting, both)
        lines = await self._records.lines(record.id)
        start = IncidentStart(
            incident_id=record.id,
            policy_hash=record.policy_hash,
            batch=batch or _nothing_new(state),
            dry_run=record.dry_run,
            opened_at=record.opened_at,
            state=state,
            lines=tuple(
                TimelineLine(at=line.at, key=line.kind, actor=line.actor, data=line.data)
                for line in lines
            ),
            broadcasting=tuple(spec.n for spec in reporting),
            restored=state is not None,
        )
        await self._start(
            INCIDENT,
            start,
            incident_workflow_id(record.id),
            f"Restarted by reconcile at step {record.steps}",
            ("alert_received", batch) if batch and state else None,
        )
        for spec in reporting:
            await self._report(spec, both.runs)
        done = f"started again from step {record.steps}"
        if batch is not None:
            await self._records.mark_told(record.id, batch.watermark, self._clock())
            done += f"; {batch.received} alerts told again"
        return done

    async def _restart_work(
        self, record: IncidentRecord, reporting: Sequence[BroadcastSpec], both: Both
    ) -> str:
        """Planned work has a run of another type, which its own row knows how to start."""
        store = MaintenanceStore(self._inbox.engine)
        numbers = tuple(spec.n for spec in reporting)
        await start_run(self._client, store, record.id, restored=True, broadcasting=numbers)
        for spec in reporting:
            await self._report(spec, both.runs)
        return f"started again from step {record.steps}"

    async def _report(self, spec: BroadcastSpec, before: Mapping[str, Run]) -> None:
        """A message that came to its end when nobody was there to be told: told now."""
        child = broadcast_workflow_id(spec.incident_id, spec.n)
        if before.get(child, Run()).status is not Status.RUNNING:
            return
        now = await self._client.get_workflow_handle(child).describe()
        if now.status is WorkflowExecutionStatus.RUNNING:
            return
        handle: WorkflowHandle[object, object] = self._client.get_workflow_handle(
            incident_workflow_id(spec.incident_id)
        )
        await handle.signal("broadcast_done", BroadcastDone(broadcast=spec.n, moment=spec.moment))

    async def _replace(self, finding: Finding, both: Both) -> str:
        handle: WorkflowHandle[object, object] = self._client.get_workflow_handle(
            incident_workflow_id(finding.incident_id)
        )
        try:
            await handle.terminate(reason=REASON)
        except RPCError as error:
            # It ended itself when it was refused to write an older step.
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise
        return "ended the old run; " + await self._restart(finding, both)

    async def _broadcast(self, finding: Finding, both: Both) -> str:
        record = _record(finding, both)
        found = record.broadcast(finding.n or 0)
        if found is None or found.spec is None:
            raise NotFound(f"message {finding.n} of {record.id} is not recorded")
        spec: BroadcastSpec = found.spec
        summary = f"{spec.moment} to {', '.join(spec.channels)} (restarted by reconcile)"
        await self._start(BROADCAST, spec, broadcast_workflow_id(record.id, spec.n), summary)
        return "started again: only rows that are not settled are sent"

    async def _post_mortem(self, finding: Finding, both: Both) -> str:
        record = _record(finding, both)
        state, drafts = record.state, record.post_mortem
        if state is None:
            raise NotFound(f"nothing is recorded of {record.id}")
        policy = await self._policies.by_hash(record.policy_hash)
        drafted = state.post_mortem is PostMortemState.DRAFTED
        public = policy.severities[state.severity].post_mortem.kind == "public"
        answered = drafts.approved if drafted and not _waits(state) else None
        answer = PostMortemAnswer(approved=True, version=answered or 0, by=drafts.by)
        await self._start(
            POST_MORTEM,
            PostMortemStart(
                incident_id=record.id,
                policy_hash=record.policy_hash,
                public=public,
                due=state.post_mortem_due,
                state=state,
                attempts=drafts.written if drafted else drafts.turned_down,
                drafted=drafted,
            ),
            post_mortem_workflow_id(record.id),
            "Post-mortem (restarted by reconcile)",
            ("answered", answer) if answered else None,
        )
        return f"started again; draft {answered} was approved" if answered else "started again"

    async def _start(
        self,
        workflow: str,
        argument: object,
        workflow_id: str,
        summary: str,
        message: tuple[str, object] | None = None,
    ) -> None:
        await self._client.start_workflow(
            workflow,
            argument,
            id=workflow_id,
            task_queue=QUEUE_DELIVERY if workflow == BROADCAST else QUEUE_INCIDENTS,
            # A run that was terminated or failed may be followed, one that came to its end not.
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE_FAILED_ONLY,
            # With a message FAIL is not offered; a run that is there may get it twice without harm.
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING
            if message
            else WorkflowIDConflictPolicy.FAIL,
            static_summary=summary,
            start_signal=message[0] if message else None,
            start_signal_args=[message[1]] if message else [],
        )


def _record(finding: Finding, both: Both) -> IncidentRecord:
    found = next((r for r in both.records if r.id == finding.incident_id), None)
    if found is None:
        raise NotFound(f"there is no row of incident {finding.incident_id}")
    return found


def _reporting(record: IncidentRecord, runs: Mapping[str, Run]) -> tuple[BroadcastSpec, ...]:
    """Messages whose runs go on, or are begun again, and then report that they are done."""
    going = (Status.RUNNING, Status.NONE, Status.BROKEN)
    return tuple(
        b.spec
        for b in record.broadcasts
        if b.spec is not None
        and not b.finished
        and runs.get(broadcast_workflow_id(record.id, b.n), Run()).status in going
    )


def _nothing_new(state: IncidentState | None) -> AlertBatch:
    watermark, firing = (state.watermark, state.firing) if state else (0, 0)
    return AlertBatch(watermark=watermark, received=0, firing=firing)


def _waits(state: IncidentState) -> bool:
    pending = state.pending
    return state.offer is not None or (pending is not None and pending.moment is Moment.POST_MORTEM)
