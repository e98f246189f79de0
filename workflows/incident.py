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
from temporalio.exceptions import ActivityError

from activities.approval import TellStaffInput
from activities.credits import CreditsInput
from activities.draft import DraftInput
from activities.record import Recorded, RecordInput
from activities.target import TargetInput
from activities.war_room import WarRoomInput
from domain.cascade import AnswerMerge, AskMerge, HandTo, OpenSplit, TakeIn
from domain.errors import Refused
from domain.incident import (
    Action,
    AlertsReceived,
    AnswerPostMortem,
    Broadcast,
    BroadcastDone,
    Close,
    CreditsProposed,
    Decide,
    Draft,
    Drafted,
    Event,
    IncidentState,
    Note,
    OpenPostMortem,
    OpenWarRoom,
    PolicyAdopted,
    PostMortemMoved,
    ProposeCredits,
    SettlePromise,
    Target,
    Targeted,
    TellStaff,
    TimerFired,
    TimerKind,
    WarRoomOpened,
)
from domain.plan import next_timer, open_incident, plan
from domain.policy import Policy
from domain.ports import BroadcastSpec
from domain.refusals import refusal
from domain.resume import RecordsLost, mend, resume
from domain.signal import AlertBatch
from workflows import adopting, children, names, options
from workflows.cascade import Cascade
from workflows.commands import Commands, Queued
from workflows.messages import (
    DecideInput,
    IncidentStart,
    PendingView,
    StatusView,
    TimelineLine,
)
from workflows.view import View, scope, status_view

# A run continues as new past so many events; the server suggests it only at 4,096.
HISTORY_LIMIT = 800
# Of runs that began before 0.2.0.
OLD_HISTORY_LIMIT = 1_000
# Lines of the `timeline` query; the whole timeline is in PostgreSQL.
RECENT_LINES = 100


@workflow.defn(name=names.INCIDENT)
class Incident(Commands, Cascade):
    @workflow.init
    def __init__(self, start: IncidentStart) -> None:
        self._start = start
        self._state: IncidentState = start.state or open_incident(
            start.incident_id, start.batch, start.opened_at, start.dry_run
        )
        self._recorded = self._state
        self._queue: deque[Queued] = deque()
        self._lines: deque[TimelineLine] = deque(start.lines, maxlen=RECENT_LINES)
        self._broadcasting: set[int] = set(start.broadcasting)
        self._armed: tuple[TimerKind, datetime] | None = None
        self._timer: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._view = View()
        self._news = self._telling = False
        self._desk = True
        if start.state is None:
            self._queue.append(Queued(AlertsReceived(batch=start.batch)))
        self._queue.extend(Queued(event) for event in start.queue)

    @workflow.run
    async def run(self, start: IncidentStart) -> StatusView:
        # Runs that began before a release go on as they began.
        self._since_0_2 = workflow.patched("since-0.2.0")
        self._since_0_3 = workflow.patched("since-0.3.0")
        if start.state is None and not workflow.patched("since-0.4.0"):
            self._state = self._state.model_copy(update={"edition": 0})
        self._policy = start.policy or await self._load_policy()
        if start.state is not None:
            self._view.show(self._state)
        try:
            if start.restored:
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
        """Take events one by one until the incident is over and everything sent is counted."""
        while not self._finished():
            self._arm_timer()
            await workflow.wait_condition(
                lambda: bool(self._queue) or self._finished() or self._must_continue()
            )
            if self._must_continue() and self._carries_its_queue():
                self._continue_as_new()
            elif self._queue:
                await self._process(self._queue.popleft())
            elif not self._finished():
                await workflow.wait_condition(workflow.all_handlers_finished)
                if not self._queue:
                    self._continue_as_new()

    # ------------------------------------------------------------ messages

    @workflow.signal(name="alert_received")
    def alert_received(self, batch: AlertBatch) -> None:
        self._queue.append(Queued(AlertsReceived(batch=batch)))

    @workflow.signal(name="approval")
    def approval(self, decision: DecideInput) -> None:
        """A decision from the Temporal UI or CLI: whoever may signal is an approver.

        Edits are not taken here, because text must not enter history: they come by HTTP or Slack.
        """
        if decision.decision != "edit":
            self._queue.append(Queued(decision.event()))

    @workflow.signal(name="broadcast_done")
    def broadcast_done(self, done: BroadcastDone) -> None:
        self._broadcasting.discard(done.broadcast)
        self._queue.append(Queued(done))

    @workflow.signal(name="records_lost")
    def records_lost(self, lost: RecordsLost) -> None:
        """PostgreSQL was restored from before now; `reconcile` says what of this is gone."""
        self._queue.append(Queued(lost))

    @workflow.signal(name="post_mortem_moved")
    def post_mortem_moved(self, moved: PostMortemMoved) -> None:
        self._queue.append(Queued(moved))

    @workflow.query(name="state")
    def state(self) -> IncidentState:
        """All that this run knows: `reconcile` compares it with PostgreSQL."""
        return self._state

    @workflow.query(name="policy")
    def policy(self) -> Policy:
        """The policy that rules here, should PostgreSQL have lost it."""
        return self._policy

    @workflow.query(name="status")
    def status(self) -> StatusView:
        return status_view(self._state)

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
        if self._since_0_3 and self._knows(event):
            return
        if isinstance(event, PolicyAdopted):
            await self._adopt(queued, event)
            return
        if isinstance(event, RecordsLost):
            self._state, actions = mend(self._state, event, now, self._policy)
        else:
            queued.refused = refusal(self._state, event, now)
            self._state, actions = plan(self._state, event, now, self._policy)
        await self._take_step(actions, now)
        queued.done = True

    async def _adopt(self, queued: Queued, event: PolicyAdopted) -> None:
        """Go on under another policy, unless it cannot rule this incident; drafts and broadcasts
        under way, and a post-mortem that has begun, end under the one they began with."""
        ruling = self._start.policy_hash
        found = await adopting.policy_for(self._state, event, ruling)
        if isinstance(found, Refused):
            queued.refused = found
        else:
            self._policy, now = found, workflow.now()
            self._start = self._start.model_copy(
                update={"policy": found, "policy_hash": event.hash}
            )
            told = event.model_copy(update={"old": ruling})
            self._state, actions = plan(self._state, told, now, found)
            await self._take_step(actions, now)
        queued.done = True

    def _knows(self, event: Event | RecordsLost) -> bool:
        """Whether alerts were told before: those a run is started with come as a signal too."""
        return (
            isinstance(event, AlertsReceived)
            and event.batch.watermark <= self._state.watermark
            and self._state.steps > 0
        )

    async def _resume(self) -> None:
        """The first step after the run before was lost: ask again for what it waited for."""
        now = workflow.now()
        self._state, actions = resume(self._state, now, self._policy)
        await self._take_step(actions, now)

    async def _take_step(self, actions: list[Action], now: datetime) -> None:
        # What only prepares a message need not wait until the step is written.
        early = (Target, Draft) if self._since_0_2 else ()
        for action in actions:
            if isinstance(action, early):
                await self._carry_out(action)
        await self._record(actions, now)
        for action in actions:
            if not isinstance(action, early):
                await self._carry_out(action)
        self._view.show(self._state)
        self._recorded = self._state

    async def _record(self, actions: list[Action], now: datetime) -> None:
        notes = tuple(a for a in actions if isinstance(a, Note))
        self._lines.extend(
            TimelineLine(at=now, key=n.key, actor=n.actor, data=n.data) for n in notes
        )
        step = RecordInput(
            state=self._state,
            now=now,
            notes=notes,
            promises=tuple(a for a in actions if isinstance(a, SettlePromise)),
            decisions=tuple(a for a in actions if isinstance(a, Decide)),
            broadcasts=tuple(self._spec(a) for a in actions if isinstance(a, Broadcast)),
            policy_hash=self._start.policy_hash,
            links=tuple(a for a in actions if isinstance(a, TakeIn)),
        )
        recorded = await self._write(step)
        while step.links and (recorded is None or recorded.linked < len(step.links)):
            # A worker of an older release wrote the step without its links.
            await workflow.sleep(options.OLDER_WORKERS, summary="Wait for a newer worker")
            recorded = await self._write(step)
        # Workers before 0.2.0 answer nothing.
        self._desk = recorded is None or recorded.desk

    async def _write(self, step: RecordInput) -> Recorded | None:
        written: Recorded | None = await workflow.execute_activity(
            "record_step",
            step,
            result_type=Recorded,
            **options.PROJECTION,
            summary="Record: " + (", ".join(n.key for n in step.notes) or "state"),
        )
        return written

    def _spec(self, action: Broadcast) -> BroadcastSpec:
        return children.spec_of(self._state, action, self._start.policy_hash)

    async def _carry_out(self, action: Action) -> None:
        match action:
            case Target():
                self._spawn(self._target())
            case Draft():
                self._spawn(self._draft(action))
            case Broadcast():
                self._broadcasting.add(action.n)
                await children.broadcast(self._spec(action))
            case OpenPostMortem():
                await children.post_mortem(self._state, action, self._start.policy_hash)
            case OpenWarRoom():
                self._spawn(self._open_war_room(action))
            case AnswerPostMortem():
                await children.answer_post_mortem(self._state, action)
            case ProposeCredits():
                self._spawn(self._propose_credits())
            case TellStaff():
                # Runs that began before staff were told in their chat go on without it.
                if self._desk and workflow.patched("tell-staff"):
                    self._tell_staff()
            case HandTo() | AnswerMerge() | AskMerge() | OpenSplit():
                self._spawn(self._link(action))
            case Note() | Decide() | SettlePromise() | Close() | TakeIn():
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
            "write_draft",
            DraftInput(state=self._state, draft=draft, policy_hash=self._start.policy_hash),
            task_queue=names.QUEUE_DRAFTING,
            result_type=Drafted,
            **options.DRAFTING,
            summary=f"Draft {draft.moment}" + _manner(draft),
        )
        self._queue.append(Queued(drafted))

    async def _propose_credits(self) -> None:
        """Work out what accounts are owed."""
        proposed = await workflow.execute_activity(
            "propose_credits",
            CreditsInput(state=self._state, policy_hash=self._start.policy_hash),
            result_type=CreditsProposed,
            **options.TARGETING,
            summary="Work out SLA credits",
        )
        self._queue.append(Queued(proposed))

    async def _open_war_room(self, room: OpenWarRoom) -> None:
        """Open the responders' channel; a chat that is away leaves it to a human."""
        try:
            opened = await workflow.execute_activity(
                "open_war_room",
                WarRoomInput(incident_id=self._state.id, room=room),
                task_queue=names.QUEUE_DELIVERY,
                result_type=WarRoomOpened,
                **options.STAFF,
                summary=f"Open the war room {room.name}",
            )
        except ActivityError as error:
            workflow.logger.warning("no war room: %s", error.retry_state)
            opened = WarRoomOpened(reason="the chat did not open one")
        self._queue.append(Queued(opened))

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
        self._queue.append(Queued(TimerFired(timer=kind)))

    def _finished(self) -> bool:
        return self._state.over and not self._queue and not self._tasks and not self._broadcasting

    def _must_continue(self) -> bool:
        info = workflow.info()
        limit = HISTORY_LIMIT if self._since_0_2 else OLD_HISTORY_LIMIT
        long = info.get_current_history_length() > limit
        return (long or info.is_continue_as_new_suggested()) and not self._tasks

    def _carries_its_queue(self) -> bool:
        """Whether nobody waits for an answer to what is queued: without this a run to which
        something comes at every moment would never end."""
        return (
            bool(self._queue)
            and workflow.all_handlers_finished()
            and not any(isinstance(queued.event, RecordsLost) for queued in self._queue)
            and workflow.patched("carry-queue")
        )

    def _continue_as_new(self) -> None:
        """Go on in a fresh history; children were abandoned on purpose and report by signal."""
        workflow.continue_as_new(
            self._start.model_copy(
                update={
                    "policy": self._policy,
                    "state": self._state,
                    "lines": tuple(self._lines),
                    "broadcasting": tuple(sorted(self._broadcasting)),
                    "queue": tuple(self._plain_events()),
                    "restored": False,
                }
            )
        )

    def _plain_events(self) -> list[Event]:
        return [q.event for q in self._queue if not isinstance(q.event, RecordsLost)]


def _manner(draft: Draft) -> str:
    """What kind of draft it is, for the summary."""
    if draft.holding:
        return " (holding line)"
    if draft.form is not None:
        return f" ({draft.form})"
    return " (suggested)" if draft.keeps is not None else ""
