"""What a timer that fires means for planned work: reminders, start, overrun, credit."""

from __future__ import annotations

from collections.abc import Callable

from domain.events import TimerFired
from domain.incident import Stage, TimerKind
from domain.maintenance_step import MaintenanceStep
from domain.message import Moment
from domain.plan_timers import on_timer as on_approval_timer


def on_timer(step: MaintenanceStep, event: TimerFired) -> None:
    """A timer of the work itself, or of what waits for approval."""
    timer = _TIMERS.get(event.timer)
    if timer is None:
        on_approval_timer(step, event)
        return
    due = step.state.timers.get(event.timer)
    if due is None or due > step.now:
        return  # moved or taken back after it had fired
    step.disarm(event.timer)
    timer(step)


def _remind(step: MaintenanceStep) -> None:
    state = step.state
    step.arm_reminder()
    if state.stage is not Stage.SCHEDULED or not state.announced or step.now >= state.starts_at:
        return
    if state.moved:
        # New times wait for approval: a reminder of the old ones would mislead.
        return
    if state.last_sent_at and step.now - state.last_sent_at < step.figures.remind_gap:
        return
    step.fixed(Moment.MAINTENANCE_REMINDER)


def _start(step: MaintenanceStep) -> None:
    if step.state.stage is not Stage.SCHEDULED or step.state.ending is not None:
        return
    if step.figures.start == "auto":
        step.begin("policy")
        return
    step.note("maintenance_start_due", who=step.commander())
    step.arm(TimerKind.MAINTENANCE_START, step.now + step.figures.tell_again_every)


def _ask(step: MaintenanceStep) -> None:
    step.note("overrun_question", due=step.state.ends_at.isoformat(), who=step.commander())


def _ask_again(step: MaintenanceStep) -> None:
    if not step.state.on_time:
        _ask(step)


def _end(step: MaintenanceStep) -> None:
    """The end that customers know is here: they hear that it is over, or that it goes on."""
    state = step.state
    if state.ending is not None:
        if state.pending is not None and state.pending.moment is Moment.MAINTENANCE_DONE:
            # The words about the end still wait for approval: the fixed ones say it in time.
            step.withdraw()
            step.fixed(Moment.MAINTENANCE_DONE)
        return
    if state.stage is not Stage.IN_PROGRESS:
        return
    step.set(on_time=False)
    step.note("overrun_unanswered", due=state.ends_at.isoformat(), who=step.commander())
    step.arm(TimerKind.MAINTENANCE_END, step.now + step.figures.tell_again_every)
    if state.announced:
        step.fixed(Moment.MAINTENANCE_OVERRUN)


def _credit(step: MaintenanceStep) -> None:
    step.set(credit_considered=True)
    step.note("credit_considered", who=step.commander())


_TIMERS: dict[TimerKind, Callable[[MaintenanceStep], None]] = {
    TimerKind.MAINTENANCE_REMINDER: _remind,
    TimerKind.MAINTENANCE_START: _start,
    TimerKind.OVERRUN_QUESTION: _ask,
    TimerKind.OVERRUN_REPEAT: _ask_again,
    TimerKind.MAINTENANCE_END: _end,
    TimerKind.CREDIT: _credit,
}
