"""The incident, from the first alert to its closing: a thin shell around `domain.plan`.

Phases: suspected → confirmed and targeted → drafted → approved → broadcast → kept posted by
promise timers → resolved and stable → all-clear → post-mortem → closed. Messages and timers
become events; the plan answers with actions; actions become activities and children.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Coroutine
from datetime import datetime, timedelta
from typing import Any

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError

from activities.approval import TellStaffInput
from activities.draft import DraftInput
from activities.record import RecordInput
from activities.target import TargetInput
from domain.errors import Refused
from domain.incident import (
    Action,
    AlertsReceived,
    AnswerPostMortem,
    Broadcast,
    BroadcastDone,
    Close,
    Decide,
    Draft,
    Drafted,
    Edited,
    Event,
    IncidentState,
    Note,
    OpenPostMortem,
    PostMortemMoved,
    SettlePromise,
    Target,
    Targeted,
    TellStaff,
    TimerFired,
    TimerKind,
)
from domain.plan import next_timer, open_incident, plan
from domain.policy import Policy
from domain.ports import BroadcastSpec
from domain.refusals import refusal
from domain.signal import AlertBatch
from workflows import names, options
from workflows.messages import (
    ChangeSeverityInput,
    CommandResult,
    ConfirmInput,
    DecideInput,
    DecideResult,
    DismissInput,
    FalseAlarmInput,
    HandOverInput,
    IncidentStart,
    PendingView,
    PostMortemAnswer,
    PostMortemStart,
    PostUpdateInput,
    ResolveInput,
    StatusView,
    TimelineLine,
)
from workflows.view import View, scope

# A run continues as new past so many events; the server suggests it only at 4,096.
HISTORY_LIMIT = 1_000
# Lines of the `timeline` query; the whole timeline is in PostgreSQL.
RECENT_LINES = 100


class _Queued:
    """An event that waits for its turn, and what became of it."""

    def __init__(self, event: Event) -> None:
        self.event = event
        self.done = False
        self.refused: Refused | None = None


@workflow.defn(name=names.INCIDENT)
class Incident:
    @workflow.init
    def __init__(self, start: IncidentStart) -> None:
        self._start = start
        self._state: IncidentState = start.state or open_incident(
            start.incident_id, start.batch, start.opened_at, start.dry_run
        )
        self._queue: deque[_Queued] = deque()
        self._lines: deque[TimelineLine] = deque(start.lines, maxlen=RECENT_LINES)
        self._steps_running = 0
        self._broadcasting: set[int] = set(start.broadcasting)
        self._armed: tuple[TimerKind, datetime] | None = None
        self._timer: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._view = View()
        self._news = self._telling = False
        if start.state is None:
            self._queue.append(_Queued(AlertsReceived(batch=start.batch)))

    @workflow.run
    async def run(self, start: IncidentStart) -> StatusView:
        self._policy = await workflow.execute_activity(
            "load_policy",
            start.policy_hash,
            result_type=Policy,
            **options.PROJECTION,
            summary=f"Load policy {start.policy_hash}",
        )
        if start.state is not None:
            self._view.show(self._state)
        try:
            await self._live()
        except asyncio.CancelledError:
            await self._note_cancellation()
            raise
        await workflow.wait_condition(workflow.all_handlers_finished)
        return self.status()

    async def _live(self) -> None:
        """Take events one by one until the incident is over and everything sent is counted."""
        while not self._finished():
            self._arm_timer()
            await workflow.wait_condition(
                lambda: bool(self._queue) or self._finished() or self._must_continue()
            )
            if self._queue:
                await self._process(self._queue.popleft())
            elif not self._finished():
                await self._continue_as_new()

    # ------------------------------------------------------------ messages

    @workflow.signal(name="alert_received")
    def alert_received(self, batch: AlertBatch) -> None:
        self._queue.append(_Queued(AlertsReceived(batch=batch)))

    @workflow.signal(name="approval")
    def approval(self, decision: DecideInput) -> None:
        """A decision from the Temporal UI or CLI: whoever may signal is an approver.

        Edits are not taken here, because text must not enter history: they come by HTTP or Slack.
        """
        if decision.decision != "edit":
            self._queue.append(_Queued(decision.event()))

    @workflow.signal(name="broadcast_done")
    def broadcast_done(self, done: BroadcastDone) -> None:
        self._broadcasting.discard(done.broadcast)
        self._queue.append(_Queued(done))

    @workflow.signal(name="post_mortem_moved")
    def post_mortem_moved(self, moved: PostMortemMoved) -> None:
        self._queue.append(_Queued(moved))

    @workflow.update(name="decide")
    async def decide(self, decision: DecideInput) -> DecideResult:
        event = decision.event()
        await self._command(event)
        if isinstance(event, Edited):
            return DecideResult(draft=event.version, state="pending")
        waits = self._state.pending is not None and self._state.pending.draft == event.draft
        done = "approved" if event.decision == "approve" else "rejected"
        return DecideResult(draft=event.draft, state="pending" if waits else done)

    @decide.validator
    def _check_decide(self, decision: DecideInput) -> None:
        self._refuse(decision.event())

    @workflow.update(name="post_update")
    async def post_update(self, command: PostUpdateInput) -> CommandResult:
        return await self._command(command.event())

    @post_update.validator
    def _check_post_update(self, command: PostUpdateInput) -> None:
        self._refuse(command.event())

    @workflow.update(name="change_severity")
    async def change_severity(self, command: ChangeSeverityInput) -> CommandResult:
        return await self._command(command.event())

    @change_severity.validator
    def _check_change_severity(self, command: ChangeSeverityInput) -> None:
        self._refuse(command.event())

    @workflow.update(name="confirm_impact")
    async def confirm_impact(self, command: ConfirmInput) -> CommandResult:
        return await self._command(command.event())

    @confirm_impact.validator
    def _check_confirm_impact(self, command: ConfirmInput) -> None:
        self._refuse(command.event())

    @workflow.update(name="dismiss")
    async def dismiss(self, command: DismissInput) -> CommandResult:
        return await self._command(command.event())

    @dismiss.validator
    def _check_dismiss(self, command: DismissInput) -> None:
        self._refuse(command.event())

    @workflow.update(name="resolve")
    async def resolve(self, command: ResolveInput) -> CommandResult:
        return await self._command(command.event())

    @resolve.validator
    def _check_resolve(self, command: ResolveInput) -> None:
        self._refuse(command.event())

    @workflow.update(name="mark_false_alarm")
    async def mark_false_alarm(self, command: FalseAlarmInput) -> CommandResult:
        return await self._command(command.event())

    @mark_false_alarm.validator
    def _check_mark_false_alarm(self, command: FalseAlarmInput) -> None:
        self._refuse(command.event())

    @workflow.update(name="hand_over")
    async def hand_over(self, command: HandOverInput) -> CommandResult:
        return await self._command(command.event())

    @hand_over.validator
    def _check_hand_over(self, command: HandOverInput) -> None:
        self._refuse(command.event())

    @workflow.query(name="state")
    def state(self) -> IncidentState:
        """All that this run knows: `reconcile` compares it with PostgreSQL."""
        return self._state

    @workflow.query(name="status")
    def status(self) -> StatusView:
        state = self._state
        return StatusView(
            incident_id=state.id,
            severity=state.severity,
            stage=state.stage,
            category=state.category,
            components=state.components,
            regions=state.regions,
            audience_accounts=state.audience.accounts,
            audience_recipients=state.audience.recipients,
            next_update_due=state.next_update_due,
            post_mortem=state.post_mortem,
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

    def _refuse(self, event: Event) -> None:
        """Answer a command that is not allowed now; a validator's refusal costs no history."""
        refused = refusal(self._state, event)
        if refused is not None:
            raise _failure(refused)

    async def _command(self, event: Event) -> CommandResult:
        """Queue a human's command, wait until it is recorded, and answer with what is now."""
        queued = _Queued(event)
        self._queue.append(queued)
        await workflow.wait_condition(lambda: queued.done)
        if queued.refused is not None:
            raise _failure(queued.refused)
        return CommandResult(stage=self._state.stage, severity=self._state.severity)

    async def _process(self, queued: _Queued) -> None:
        """One step: plan, record it, then carry it out, so that nothing is sent unrecorded."""
        queued.refused = refusal(self._state, queued.event)
        now = workflow.now()
        self._state, actions = plan(self._state, queued.event, now, self._policy)
        await self._record(actions, now)
        for action in actions:
            await self._carry_out(action)
        self._view.show(self._state)
        queued.done = True

    async def _record(self, actions: list[Action], now: datetime) -> None:
        notes = tuple(a for a in actions if isinstance(a, Note))
        self._lines.extend(
            TimelineLine(at=now, key=n.key, actor=n.actor, data=n.data) for n in notes
        )
        await workflow.execute_activity(
            "record_step",
            RecordInput(
                state=self._state,
                now=now,
                notes=notes,
                promises=tuple(a for a in actions if isinstance(a, SettlePromise)),
                decisions=tuple(a for a in actions if isinstance(a, Decide)),
                policy_hash=self._start.policy_hash,
            ),
            **options.PROJECTION,
            summary="Record: " + (", ".join(n.key for n in notes) or "state"),
        )

    async def _carry_out(self, action: Action) -> None:
        match action:
            case Target():
                self._spawn(self._target())
            case Draft():
                self._spawn(self._draft(action))
            case Broadcast():
                await self._broadcast(action)
            case OpenPostMortem():
                await self._open_post_mortem(action)
            case AnswerPostMortem():
                await workflow.get_external_workflow_handle(
                    names.post_mortem_workflow_id(self._state.id)
                ).signal(
                    "answered",
                    PostMortemAnswer(
                        approved=action.approved, version=action.version, by=action.by
                    ),
                )
            case TellStaff():
                # Runs that began before staff were told in their chat go on without it.
                if workflow.patched("tell-staff"):
                    self._tell_staff()
            case Note() | Decide() | SettlePromise() | Close():
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
        self._queue.append(_Queued(targeted))

    async def _draft(self, draft: Draft) -> None:
        """Write and validate the texts of a moment."""
        drafted = await workflow.execute_activity(
            "write_draft",
            DraftInput(state=self._state, draft=draft, policy_hash=self._start.policy_hash),
            task_queue=names.QUEUE_DRAFTING,
            result_type=Drafted,
            **options.DRAFTING,
            summary=f"Draft {draft.moment}" + (" (holding line)" if draft.holding else ""),
        )
        self._queue.append(_Queued(drafted))

    async def _broadcast(self, action: Broadcast) -> None:
        """Start the child that sends; it reports by signal, so that it outlives this run."""
        state = self._state
        self._broadcasting.add(action.n)
        await workflow.start_child_workflow(
            names.BROADCAST,
            BroadcastSpec(
                incident_id=state.id,
                n=action.n,
                version=action.version,
                hash=action.hash,
                moment=action.moment,
                number=action.number,
                severity=state.severity,
                stage=state.stage,
                category=state.category,
                components=state.components,
                channels=action.channels,
                audience_id=action.audience_id,
                policy_hash=self._start.policy_hash,
                allowed_by=action.by,
                dry_run=state.dry_run,
                next_update_at=action.next_update_at,
                expires_at=action.expires_at,
            ),
            id=names.broadcast_workflow_id(state.id, action.n),
            parent_close_policy=workflow.ParentClosePolicy.ABANDON,
            static_summary=f"{action.moment} to {', '.join(action.channels)}",
        )

    async def _open_post_mortem(self, action: OpenPostMortem) -> None:
        await workflow.start_child_workflow(
            names.POST_MORTEM,
            PostMortemStart(
                incident_id=self._state.id,
                policy_hash=self._start.policy_hash,
                public=action.public,
                due=action.due,
                state=self._state,
            ),
            id=names.post_mortem_workflow_id(self._state.id),
            parent_close_policy=workflow.ParentClosePolicy.ABANDON,
            static_summary="Public post-mortem" if action.public else "Internal post-mortem",
        )

    def _tell_staff(self) -> None:
        """Show staff where the incident stands; one at a time, the last state wins."""
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
        await workflow.sleep(wait, summary=f"{kind.replace('_', ' ')} at {at:%H:%M:%S} UTC")
        self._timer = None
        self._armed = None
        self._queue.append(_Queued(TimerFired(timer=kind)))

    def _finished(self) -> bool:
        return self._state.over and not self._queue and not self._tasks and not self._broadcasting

    def _must_continue(self) -> bool:
        info = workflow.info()
        long = info.get_current_history_length() > HISTORY_LIMIT
        return (long or info.is_continue_as_new_suggested()) and not self._tasks

    async def _continue_as_new(self) -> None:
        """Go on in a fresh history; children were abandoned on purpose and report by signal."""
        await workflow.wait_condition(workflow.all_handlers_finished)
        if self._queue:
            return
        workflow.continue_as_new(
            self._start.model_copy(
                update={
                    "state": self._state,
                    "lines": tuple(self._lines),
                    "broadcasting": tuple(sorted(self._broadcasting)),
                }
            )
        )


def _failure(refused: Refused) -> ApplicationError:
    return ApplicationError(str(refused), type=refused.kind, non_retryable=True)
