"""Planned work, from its scheduling to its end: a thin shell around `domain.plan_maintenance`.

Phases: scheduled and targeted → notice drafted, approved, sent → reminders → begun → asked whether
it overruns → told to go on, or over → everybody who was told hears the end. It shares drafts,
approvals, broadcasts and the ledger with incidents, being a row of theirs (`domain.maintenance`).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Coroutine
from datetime import datetime, timedelta
from typing import Any

from temporalio import workflow
from temporalio.exceptions import ActivityError

from activities.approval import TellStaffInput
from activities.maintenance import MaintenanceDraftInput, MaintenanceRecordInput
from activities.record import Recorded
from activities.target import TargetInput
from domain.incident import (
    Action,
    AlertsReceived,
    Broadcast,
    BroadcastDone,
    Decide,
    Decided,
    Draft,
    Drafted,
    Edited,
    Note,
    SettlePromise,
    Target,
    Targeted,
    TellStaff,
    TimerFired,
    TimerKind,
)
from domain.maintenance import MaintenanceState, Objected, Scheduled
from domain.maintenance_refusals import maintenance_refusal
from domain.plan import next_timer
from domain.plan_maintenance import plan_maintenance
from domain.policy import Policy
from domain.resume import resume
from domain.signal import AlertBatch
from workflows import children, names, options
from workflows.maintenance_commands import MaintenanceCommands, Queued
from workflows.maintenance_messages import MaintenanceStart, MaintenanceStatus
from workflows.messages import DecideInput, PendingView, TimelineLine
from workflows.view import View, scope

# A run continues as new past so many events; the server suggests it only at 4,096.
HISTORY_LIMIT = 800
# Lines of the `timeline` query; the whole timeline is in PostgreSQL.
RECENT_LINES = 100


@workflow.defn(name=names.MAINTENANCE)
class Maintenance(MaintenanceCommands):
    @workflow.init
    def __init__(self, start: MaintenanceStart) -> None:
        self._start = start
        self._state: MaintenanceState = start.state
        self._queue: deque[Queued] = deque()
        self._lines: deque[TimelineLine] = deque(start.lines, maxlen=RECENT_LINES)
        self._broadcasting: set[int] = set(start.broadcasting)
        self._armed: tuple[TimerKind, datetime] | None = None
        self._timer: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._view = View()
        self._news = self._telling = False
        self._desk = True
        if start.state.steps == 0:
            self._queue.append(Queued(Scheduled(by=start.by)))
        self._queue.extend(Queued(event) for event in start.queue)

    @workflow.run
    async def run(self, start: MaintenanceStart) -> MaintenanceStatus:
        self._policy = start.policy or await self._load_policy()
        self._view.show(self._state)
        try:
            if start.restored and start.state.steps:
                await self._resume()
            await self._live()
        except asyncio.CancelledError:
            await self._note_cancellation()
            raise
        await workflow.wait_condition(workflow.all_handlers_finished)
        return self.status()

    async def _load_policy(self) -> Policy:
        policy: Policy = await workflow.execute_activity(
            "load_policy",
            self._start.policy_hash,
            result_type=Policy,
            **options.PROJECTION,
            summary=f"Load policy {self._start.policy_hash}",
        )
        return policy

    async def _live(self) -> None:
        """Take events one by one until it is over and everything sent is counted."""
        while not self._finished():
            self._arm_timer()
            await workflow.wait_condition(
                lambda: bool(self._queue) or self._finished() or self._must_continue()
            )
            if self._must_continue() and workflow.all_handlers_finished():
                self._continue_as_new()
            elif self._queue:
                await self._process(self._queue.popleft())
            elif not self._finished():
                await workflow.wait_condition(workflow.all_handlers_finished)

    # ------------------------------------------------------------ messages

    @workflow.signal(name="alert_received")
    def alert_received(self, batch: AlertBatch) -> None:
        self._queue.append(Queued(AlertsReceived(batch=batch)))

    @workflow.signal(name="objected")
    def objected(self, objection: Objected) -> None:
        self._queue.append(Queued(objection))

    @workflow.signal(name="approval")
    def approval(self, decision: DecideInput) -> None:
        """A decision from the Temporal UI or CLI: whoever may signal is an approver."""
        if decision.decision != "edit":
            self._queue.append(Queued(decision.event()))

    @workflow.signal(name="broadcast_done")
    def broadcast_done(self, done: BroadcastDone) -> None:
        self._broadcasting.discard(done.broadcast)
        self._queue.append(Queued(done))

    @workflow.query(name="state")
    def state(self) -> MaintenanceState:
        """All that this run knows: `reconcile` compares it with PostgreSQL."""
        return self._state

    @workflow.query(name="policy")
    def policy(self) -> Policy:
        """The policy that rules here, should PostgreSQL have lost it."""
        return self._policy

    @workflow.query(name="status")
    def status(self) -> MaintenanceStatus:
        state = self._state
        return MaintenanceStatus(
            maintenance_id=state.id,
            stage=state.stage,
            components=state.components,
            regions=state.regions,
            starts_at=state.starts_at,
            ends_at=state.ends_at,
            audience_accounts=state.audience.accounts,
            audience_recipients=state.audience.recipients,
            dry_run=state.dry_run,
            broadcasts=state.broadcasts,
        )

    @workflow.query(name="pending_draft")
    def pending_draft(self) -> PendingView:
        return PendingView(pending=self._state.pending)

    @workflow.query(name="timeline")
    def timeline(self) -> list[TimelineLine]:
        return list(self._lines)

    # ------------------------------------------------------------ events → plan → actions

    async def _process(self, queued: Queued) -> None:
        """One step: plan, record it, then carry it out, so that nothing is sent unrecorded."""
        event, now = queued.event, workflow.now()
        queued.refused = maintenance_refusal(self._state, event, now)
        # A decision that came too late stands on the timeline, by whatever way it came.
        if queued.refused is None or isinstance(event, Decided | Edited):
            self._state, actions = plan_maintenance(self._state, event, now, self._policy)
            await self._take_step(actions, now)
        queued.done = True

    async def _resume(self) -> None:
        """The first step after the run before was lost: ask again for what it waited for."""
        now = workflow.now()
        state, actions = resume(self._state, now, self._policy)
        assert isinstance(state, MaintenanceState)  # it copies what it is given
        self._state = state
        await self._take_step(actions, now)

    async def _take_step(self, actions: list[Action], now: datetime) -> None:
        await self._record(actions, now)
        for action in actions:
            await self._carry_out(action)
        self._view.show(self._state)

    async def _record(self, actions: list[Action], now: datetime) -> None:
        notes = tuple(a for a in actions if isinstance(a, Note))
        self._lines.extend(
            TimelineLine(at=now, key=n.key, actor=n.actor, data=n.data) for n in notes
        )
        recorded: Recorded = await workflow.execute_activity(
            "record_maintenance",
            MaintenanceRecordInput(
                state=self._state,
                now=now,
                notes=notes,
                promises=tuple(a for a in actions if isinstance(a, SettlePromise)),
                decisions=tuple(a for a in actions if isinstance(a, Decide)),
                broadcasts=tuple(
                    children.spec_of(self._state, a, self._start.policy_hash)
                    for a in actions
                    if isinstance(a, Broadcast)
                ),
                policy_hash=self._start.policy_hash,
            ),
            result_type=Recorded,
            **options.PROJECTION,
            summary="Record: " + (", ".join(n.key for n in notes) or "state"),
        )
        self._desk = recorded.desk

    async def _carry_out(self, action: Action) -> None:
        match action:
            case Target():
                self._spawn(self._target())
            case Draft():
                self._spawn(self._draft(action))
            case Broadcast():
                self._broadcasting.add(action.n)
                await children.broadcast(
                    children.spec_of(self._state, action, self._start.policy_hash)
                )
            case TellStaff():
                if self._desk:
                    self._tell_staff()
            case _:
                pass  # written by `_record`; closing ends the loop in `run`

    async def _target(self) -> None:
        """Take the audience snapshot."""
        targeted = await workflow.execute_activity(
            "take_audience",
            TargetInput(state=self._state, policy_hash=self._start.policy_hash),
            result_type=Targeted,
            **options.TARGETING,
            summary=f"Who is affected: {scope(self._state)}",
        )
        self._queue.append(Queued(targeted))

    async def _draft(self, draft: Draft) -> None:
        """Write and validate the texts of a moment."""
        drafted = await workflow.execute_activity(
            "write_maintenance_draft",
            MaintenanceDraftInput(
                state=self._state, draft=draft, policy_hash=self._start.policy_hash
            ),
            task_queue=names.QUEUE_DRAFTING,
            result_type=Drafted,
            **options.DRAFTING,
            summary=f"Draft {draft.moment}" + (" (fixed words)" if draft.holding else ""),
        )
        self._queue.append(Queued(drafted))

    def _tell_staff(self) -> None:
        """Show staff where it stands; one at a time, the last state wins."""
        self._news = True
        if not self._telling:
            self._telling = True
            self._spawn(self._keep_staff_told())

    async def _keep_staff_told(self) -> None:
        while self._news:
            self._news = False
            try:
                await workflow.execute_activity(
                    "tell_staff",
                    TellStaffInput(incident_id=self._state.id),
                    task_queue=names.QUEUE_DELIVERY,
                    **options.STAFF,
                    summary="Show staff where it stands",
                )
            except ActivityError as error:
                # The next change tries again; nobody's decision depends on the chat alone.
                workflow.logger.warning("staff not told: %s", error.retry_state)
        self._telling = False

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _note_cancellation(self) -> None:
        """Somebody ended the run from outside: the timeline says that no promise is kept now."""
        self._state = self._state.model_copy(update={"steps": self._state.steps + 1})
        await self._record([Note(key="cancelled")], workflow.now())

    # ------------------------------------------------------------ timers and continuation

    def _arm_timer(self) -> None:
        """Keep one durable timer for the earliest due time; an unchanged one stays."""
        due = next_timer(self._state)
        if due == self._armed:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._armed = due
        self._timer = asyncio.create_task(self._fire(*due)) if due else None

    async def _fire(self, kind: TimerKind, at: datetime) -> None:
        wait = max(at - workflow.now(), timedelta(0))
        await workflow.sleep(wait, summary=f"{kind.replace('_', ' ')} at {at:%d %b %H:%M:%S} UTC")
        self._timer = None
        self._armed = None
        self._queue.append(Queued(TimerFired(timer=kind)))

    def _finished(self) -> bool:
        return self._state.over and not self._queue and not self._tasks and not self._broadcasting

    def _must_continue(self) -> bool:
        info = workflow.info()
        long = info.get_current_history_length() > HISTORY_LIMIT
        return (long or info.is_continue_as_new_suggested()) and not self._tasks

    def _continue_as_new(self) -> None:
        """Go on in a fresh history; children were abandoned on purpose and report by signal."""
        workflow.continue_as_new(
            self._start.model_copy(
                update={
                    "policy": self._policy,
                    "state": self._state,
                    "lines": tuple(self._lines),
                    "broadcasting": tuple(sorted(self._broadcasting)),
                    "queue": tuple(queued.event for queued in self._queue),
                    "restored": False,
                }
            )
        )
