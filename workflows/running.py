"""What every long run does beside its story: a queue of events, one timer, news for staff."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Coroutine, Sequence
from datetime import datetime, timedelta
from typing import Any, Generic, TypeVar

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError

from activities.approval import TellStaffInput
from activities.target import TargetInput
from domain.actions import Action, Note
from domain.errors import Refused
from domain.events import PolicyAdopted, Targeted, TimerFired
from domain.incident import IncidentState, TimerKind
from domain.plan import next_timer
from domain.policy import Policy
from domain.resume import RecordsLost
from workflows import adopting, names, options
from workflows.messages import TimelineLine
from workflows.view import View, scope

# A run continues as new past so many events; the server suggests it only at 4,096.
HISTORY_LIMIT = 800
# Lines of the `timeline` query; the whole timeline is in PostgreSQL.
RECENT_LINES = 100

S = TypeVar("S", bound=IncidentState)


class Queued:
    """An event of the workflow's own kinds that waits for its turn, and what became of it."""

    def __init__(self, event: Any) -> None:
        self.event = event
        self.done = False
        self.refused: Refused | None = None


def failure(refused: Refused) -> ApplicationError:
    """A refusal as the caller of an update gets it: with its kind, and final."""
    return ApplicationError(str(refused), type=refused.kind, non_retryable=True)


class Running(Generic[S]):
    """The machinery of a run; what happens, and in what order, stands in the workflow itself."""

    _state: S
    _policy: Policy
    _start: Any
    """What the run was given; each workflow has its own model."""

    def __init__(self, lines: Sequence[TimelineLine], broadcasting: Sequence[int]) -> None:
        self._queue: deque[Queued] = deque()
        self._lines: deque[TimelineLine] = deque(lines, maxlen=RECENT_LINES)
        self._broadcasting: set[int] = set(broadcasting)
        self._armed: tuple[TimerKind, datetime] | None = None
        self._timer: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._view = View()
        self._news = self._telling = False
        self._desk = True

    async def _record(self, actions: list[Action], now: datetime) -> None:
        """Write a step; each workflow has its own records."""
        raise NotImplementedError

    async def _plan(self, event: Any, now: datetime) -> None:
        """Plan one of the workflow's own events, and take the step."""
        raise NotImplementedError

    # Steps that all of them take

    async def _fetch_policy(self, policy_hash: str) -> Policy:
        policy: Policy = await workflow.execute_activity(
            "load_policy",
            policy_hash,
            result_type=Policy,
            **options.PROJECTION,
            summary=f"Load policy {policy_hash}",
        )
        return policy

    async def _adopt(self, queued: Queued, event: PolicyAdopted) -> None:
        """Go on under another policy, unless it cannot rule this; drafts and broadcasts under
        way, and a post-mortem that has begun, end under the one they began with."""
        ruling = self._start.policy_hash
        found = await adopting.policy_for(self._state, event, ruling)
        if isinstance(found, Refused):
            queued.refused = found
            return
        self._policy, now = found, workflow.now()
        self._start = self._start.model_copy(update={"policy": found, "policy_hash": event.hash})
        await self._plan(event.model_copy(update={"old": ruling}), now)

    async def _take_audience(self, policy_hash: str) -> None:
        """Take the audience snapshot."""
        targeted = await workflow.execute_activity(
            "take_audience",
            TargetInput(state=self._state, policy_hash=policy_hash),
            result_type=Targeted,
            **options.TARGETING,
            summary=f"Who is affected: {scope(self._state)}",
        )
        self._queue.append(Queued(targeted))

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

    async def _note_cancellation(self) -> None:
        """Somebody ended the run from outside: the timeline says that no promise is kept now."""
        self._state = self._state.model_copy(update={"steps": self._state.steps + 1})
        await self._record([Note(key="cancelled")], workflow.now())

    def _remember_lines(self, notes: Sequence[Note], now: datetime) -> None:
        self._lines.extend(
            TimelineLine(at=now, key=n.key, actor=n.actor, data=n.data) for n in notes
        )

    # Tasks and timers

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

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

    def _grown_long(self, limit: int = HISTORY_LIMIT) -> bool:
        """Whether the run should go on in a fresh history, and nothing that it spawned is open."""
        info = workflow.info()
        long = info.get_current_history_length() > limit
        return (long or info.is_continue_as_new_suggested()) and not self._tasks

    def _portable(self) -> bool:
        """Whether what is queued can be carried into a fresh history: nobody waits for an answer,
        and none of it is a repair, which is of this run alone."""
        return workflow.all_handlers_finished() and not any(
            isinstance(queued.event, RecordsLost) for queued in self._queue
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
                    "queue": tuple(queued.event for queued in self._queue),
                    "restored": False,
                }
            )
        )
