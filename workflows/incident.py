"""The incident, from the first alert to its closing: a thin shell around `domain.plan`.

Phases: suspected → confirmed and targeted → drafted → approved → broadcast → kept posted by
promise timers → resolved and stable → all-clear → post-mortem → closed. Messages and timers
become events; the plan answers with actions; actions become activities and children.
"""

from __future__ import annotations

import asyncio
from datetime import datetime

from temporalio import workflow
from temporalio.exceptions import ActivityError

from activities.credits import CreditsInput
from activities.draft import DraftInput
from activities.record import Recorded, RecordInput
from activities.war_room import WarRoomInput
from domain.actions import (
    Action,
    AnswerPostMortem,
    Broadcast,
    Close,
    Decide,
    Note,
    OpenPostMortem,
    OpenWarRoom,
    ProposeCredits,
    SettlePromise,
    Target,
    TellStaff,
)
from domain.cascade import AnswerMerge, AskMerge, HandTo, OpenSplit, TakeIn
from domain.events import (
    AlertsReceived,
    CreditsProposed,
    Drafted,
    Event,
    PolicyAdopted,
    PostMortemMoved,
    WarRoomOpened,
)
from domain.incident import Draft, IncidentState
from domain.plan import open_incident, plan
from domain.ports import BroadcastSpec
from domain.refusals import refusal
from domain.resume import RecordsLost, mend, resume
from workflows import children, names, options
from workflows.cascade import Cascade
from workflows.commands import Commands
from workflows.messages import (
    IncidentStart,
    StatusView,
)
from workflows.running import HISTORY_LIMIT, Queued
from workflows.view import status_view

# Of runs that began before 0.2.0.
OLD_HISTORY_LIMIT = 1_000


@workflow.defn(name=names.INCIDENT)
class Incident(Commands, Cascade):
    @workflow.init
    def __init__(self, start: IncidentStart) -> None:
        super().__init__(start.lines, start.broadcasting)
        self._start = start
        self._state = start.state or open_incident(
            start.incident_id, start.batch, start.opened_at, start.dry_run
        )
        self._recorded = self._state
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
        self._policy = start.policy or await self._fetch_policy(start.policy_hash)
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

    @workflow.signal(name="post_mortem_moved")
    def post_mortem_moved(self, moved: PostMortemMoved) -> None:
        self._queue.append(Queued(moved))

    @workflow.query(name="state")
    def state(self) -> IncidentState:
        """All that this run knows: `reconcile` compares it with PostgreSQL."""
        return self._state

    @workflow.query(name="status")
    def status(self) -> StatusView:
        return status_view(self._state)

    # ------------------------------------------------------------ events → plan → actions

    async def _process(self, queued: Queued) -> None:
        """One step: plan, record it, then carry it out, so that nothing is sent unrecorded."""
        event: Event | RecordsLost = queued.event
        now = workflow.now()
        if self._since_0_3 and self._knows(event):
            return
        if isinstance(event, PolicyAdopted):
            await self._adopt(queued, event)
        elif isinstance(event, RecordsLost):
            self._state, actions = mend(self._state, event, now, self._policy)
            await self._take_step(actions, now)
        else:
            queued.refused = refusal(self._state, event, now)
            await self._plan(event, now)
        queued.done = True

    async def _plan(self, event: Event, now: datetime) -> None:
        self._state, actions = plan(self._state, event, now, self._policy)
        await self._take_step(actions, now)

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
        self._remember_lines(notes, now)
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
                self._spawn(self._take_audience(self._start.policy_hash))
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

    # ------------------------------------------------------------ continuation

    def _must_continue(self) -> bool:
        return self._grown_long(HISTORY_LIMIT if self._since_0_2 else OLD_HISTORY_LIMIT)

    def _carries_its_queue(self) -> bool:
        """Whether nobody waits for an answer to what is queued: without this a run to which
        something comes at every moment would never end."""
        return bool(self._queue) and self._portable() and workflow.patched("carry-queue")


def _manner(draft: Draft) -> str:
    """What kind of draft it is, for the summary."""
    if draft.holding:
        return " (holding line)"
    if draft.form is not None:
        return f" ({draft.form})"
    return " (suggested)" if draft.keeps is not None else ""
