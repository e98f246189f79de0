"""One step of the plan of planned work: windows, timers, words, and how it ends."""

from __future__ import annotations

from datetime import datetime

from domain.actions import Broadcast, SettlePromise
from domain.incident import Draft, Pending, Promise, Stage, TimerKind
from domain.maintenance import MaintenanceState
from domain.maintenance_policy import MaintenancePlan
from domain.message import Channel, Moment
from domain.policy import Policy
from domain.step import STAFF_CHANNELS, Step

WORK_TIMERS = (
    TimerKind.MAINTENANCE_REMINDER,
    TimerKind.MAINTENANCE_START,
    TimerKind.OVERRUN_QUESTION,
    TimerKind.OVERRUN_REPEAT,
    TimerKind.CREDIT,
)


class MaintenanceStep(Step):
    """Collects what one event changes in planned work."""

    state: MaintenanceState

    def __init__(self, state: MaintenanceState, now: datetime, policy: Policy) -> None:
        super().__init__(state, now, policy)
        if policy.maintenance is None:
            raise ValueError("maintenance: the policy plans none")
        self.figures: MaintenancePlan = policy.maintenance

    # Timers

    def arm_window(self) -> None:
        """Before it begins: the next reminder, and the start."""
        self.arm_reminder()
        self.arm(TimerKind.MAINTENANCE_START, max(self.now, self.state.starts_at))

    def arm_reminder(self) -> None:
        """The earliest reminder that is still ahead; those that are past are skipped."""
        times = [self.state.starts_at - before for before in self.figures.remind_before]
        ahead = [at for at in times if at > self.now]
        self.disarm(TimerKind.MAINTENANCE_REMINDER)
        if ahead:
            self.arm(TimerKind.MAINTENANCE_REMINDER, min(ahead))

    def arm_questions(self) -> None:
        """Ask before the planned end whether it will overrun, and again if nobody answered."""
        end = self.state.ends_at
        self.disarm(TimerKind.OVERRUN_QUESTION, TimerKind.OVERRUN_REPEAT)
        if end <= self.now:
            return
        ask, repeat = end - self.figures.ask_before_end, end - self.figures.warn_before_end
        self.arm(TimerKind.OVERRUN_QUESTION, max(self.now, ask))
        if repeat > self.now:
            self.arm(TimerKind.OVERRUN_REPEAT, repeat)

    def arm_end(self) -> None:
        """Words go out in time for the end that customers know, else for the planned one."""
        due = self.state.promise.due if self.state.promise else self.state.ends_at
        self.arm(TimerKind.MAINTENANCE_END, max(self.now, due - self.policy.promises.holding_lead))

    def arm_credit(self) -> None:
        """When a credit has to be considered, counted from the end that was announced first."""
        if self.state.first_end is not None and not self.state.credit_considered:
            due = self.state.first_end + self.figures.credit_after
            self.arm(TimerKind.CREDIT, max(self.now, due))

    def arm_anew(self) -> None:
        """By other figures: only what was still to come is moved."""
        timers = self.state.timers
        if TimerKind.MAINTENANCE_REMINDER in timers:
            self.arm_reminder()
        for kind, before in (
            (TimerKind.OVERRUN_QUESTION, self.figures.ask_before_end),
            (TimerKind.OVERRUN_REPEAT, self.figures.warn_before_end),
        ):
            if kind in timers:
                self.arm(kind, max(self.now, self.state.ends_at - before))
        if TimerKind.MAINTENANCE_END in timers and self.state.promise is not None:
            self.arm_end()
        if TimerKind.CREDIT in timers:
            self.arm_credit()

    # Phases

    def begin(self, by: str) -> None:
        """The work has begun: customers hear it, and its end is watched from now on."""
        self.disarm(TimerKind.MAINTENANCE_REMINDER, TimerKind.MAINTENANCE_START)
        self.stage(Stage.IN_PROGRESS, visible=self.state.announced)
        self.set(began_at=self.now, started_at=self.now, first_end=self.state.ends_at)
        self.note("maintenance_begun", actor=by)
        self.arm_questions()
        self.arm_end()
        self.arm_credit()
        if self.now < self.state.ends_at:
            if self.state.announced and not self.state.moved:
                self.fixed(Moment.MAINTENANCE_START)
            else:
                # It tells times that nobody let out yet.
                self.write(Moment.MAINTENANCE_START)
        else:
            # Every worker was down throughout the window: "it begins" would be no news but untrue.
            self.withdraw()

    def finish(self, stage: Stage, by: str, note_id: str | None) -> None:
        """It is over or called off: everybody who was told hears it; nobody else does."""
        completed = stage is Stage.COMPLETED
        self.set(ending=stage, ended_at=self.now if completed else None, resolved_at=self.now)
        self.note("maintenance_completed" if completed else "maintenance_called_off", actor=by)
        self.disarm(*WORK_TIMERS)
        self.withdraw()
        self.set(holding=None)
        if not self.state.announced:
            self.disarm(TimerKind.MAINTENANCE_END)
            self.close(stage)
        elif note_id is None:
            self.fixed(Moment.MAINTENANCE_DONE)
        else:
            self.write(Moment.MAINTENANCE_DONE, note_id=note_id)

    def take_back(self, moment: Moment) -> None:
        """A draft was rejected: what it would have told is not so for customers."""
        state = self.state
        if moment is Moment.MAINTENANCE_DONE:
            self.set(ending=None, ended_at=None, resolved_at=None)
            self.stay_open()
        elif moment is Moment.MAINTENANCE_OVERRUN and state.told_end is not None:
            self.set(ends_at=state.told_end)
            self.arm_questions()
            self.arm_end()
        elif moment is Moment.MAINTENANCE_NOTICE and state.told_start and state.told_end:
            self.set(starts_at=state.told_start, ends_at=state.told_end)
            self.arm_window()

    def stay_open(self) -> None:
        """Watch it as before somebody wanted to end it."""
        if self.state.stage is Stage.SCHEDULED:
            self.arm_window()
            return
        self.arm_questions()
        self.arm_credit()
        if self.state.promise is None and self.state.ends_at <= self.now:
            self.arm(TimerKind.MAINTENANCE_END, self.now + self.figures.tell_again_every)
        else:
            self.arm_end()

    # Words

    def write(self, moment: Moment, note_id: str | None = None) -> None:
        """Ask for a human's words, or changed times: they wait for approval as the gates say."""
        self._ask(moment, note_id, fixed=False)

    def fixed(self, moment: Moment) -> None:
        """Ask for the fixed words of a moment, beside whatever waits for a decision."""
        self._ask(moment, None, fixed=True)

    def _ask(self, moment: Moment, note_id: str | None, *, fixed: bool) -> None:
        state, channels = self.state, self.channels(moment)
        if not channels:
            self.note("no_channels", moment=moment)
            if state.ending is not None:
                self.close(state.ending)
            return
        if not fixed:
            self.withdraw()
        number = 1
        if moment is Moment.MAINTENANCE_OVERRUN:
            number = state.updates + 1
        elif moment is Moment.MAINTENANCE_REMINDER:
            number = state.reminders + 1
        request = state.draft_request + 1
        draft = Draft(
            request=request,
            moment=moment,
            number=number,
            channels=channels,
            stage=state.ending or state.stage,
            holding=fixed,
            note_id=note_id,
            promised=self.unkept(),
        )
        self.set(draft_request=request, **{"holding" if fixed else "drafting": draft})
        self.actions.append(draft)

    def holds(self, draft: Draft) -> bool:
        """Whether fixed words that were asked for are still true, now that they are written."""
        state = self.state
        match draft.moment:
            case Moment.MAINTENANCE_REMINDER:
                return (
                    state.stage is Stage.SCHEDULED
                    and state.ending is None
                    and not state.moved
                    and self.now < state.starts_at
                )
            case Moment.MAINTENANCE_DONE:
                return state.ending is draft.stage
            case _:
                return state.stage is Stage.IN_PROGRESS and state.ending is None

    # Sending

    def broadcast(self, pending: Pending, channels: tuple[Channel, ...], by: str) -> None:
        """As for an incident; each message is kept back for no longer than it is true."""
        super().broadcast(pending, channels, by)
        sent = self.state.broadcasts
        self.actions = [
            action.model_copy(update={"expires_at": self._true_until(pending.moment)})
            if isinstance(action, Broadcast) and action.n == sent
            else action
            for action in self.actions
        ]

    def _true_until(self, moment: Moment) -> datetime | None:
        state = self.state
        match moment:
            case Moment.MAINTENANCE_DONE:
                return None
            case Moment.MAINTENANCE_NOTICE | Moment.MAINTENANCE_REMINDER:
                return state.starts_at
            case _ if state.ends_at > self.now:
                return state.ends_at
            case _:
                return self.now + self.policy.delivery.expires_after

    def _told_customers(self, pending: Pending, due: datetime | None, kept: bool) -> None:
        state, moment = self.state, pending.moment
        self.set(
            audience=pending.audience,
            announced=True,
            last_sent_at=self.now,
            told_stage=pending.stage,
        )
        if moment is Moment.MAINTENANCE_DONE:
            self.keep_promise()
            self.set(ended=True, holding=None)
            self.close(pending.stage)
            return
        if moment is Moment.MAINTENANCE_REMINDER:
            self.set(reminders=max(state.reminders, pending.number))
            return
        self.set(told_start=state.starts_at)
        if moment is Moment.MAINTENANCE_OVERRUN:
            self.set(updates=max(state.updates, pending.number))
        if moment is not Moment.MAINTENANCE_OVERRUN or not self._goes_on_untimed(pending):
            self.set(told_end=state.ends_at)
        if state.stage is Stage.IN_PROGRESS:
            self.keep_promise()
            self._promise_end()

    def _goes_on_untimed(self, pending: Pending) -> bool:
        """Whether a new end waits for approval beside these words, which do not tell it."""
        waits, written = self.state.pending, self.state.drafting
        other = waits if waits is not None and waits.draft != pending.draft else written
        return other is not None and other.moment is Moment.MAINTENANCE_OVERRUN

    def _promise_end(self) -> None:
        """Customers were told when it ends: by then they hear from us."""
        due = self.state.told_end
        if due is None or due - self.policy.promises.holding_lead <= self.now:
            return
        routed = self.policy.channels(self.state.severity, Moment.MAINTENANCE_OVERRUN)
        made = Promise(
            number=self.state.promises + 1,
            channels=tuple(c for c in routed if c not in STAFF_CHANNELS),
            made_at=self.now,
            due=due,
        )
        self.set(promise=made, promises=made.number)
        self.actions.append(SettlePromise(promise=made, state="open"))
        self.note("promise_made", due=due.isoformat())
        self.arm_end()

    def next_due(self, since: datetime) -> datetime | None:
        """Planned work promises its end, no next update, whatever the severity's rhythm is."""
        return None
