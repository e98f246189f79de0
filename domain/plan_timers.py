"""What a timer that fires means: promises, waiting approvals, stability."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from domain.incident import ACTIVE, TimerFired, TimerKind
from domain.plan_alerts import confirm_by_rule
from domain.plan_commands import draft_the_end
from domain.plan_messages import let_out
from domain.plan_post_mortem import close_when_done
from domain.plan_regions import region_doubt
from domain.step import Step

# A promise is kept up to its very instant.
_PAST = timedelta(seconds=1)


def on_timer(step: Step, event: TimerFired) -> None:
    due = step.state.timers.get(event.timer)
    if due is None or due > step.now:
        return  # moved or taken back after it had fired
    step.disarm(event.timer)
    _TIMERS[event.timer](step)


def _promise_due(step: Step) -> None:
    state = step.state
    if state.promise is None or state.stage not in ACTIVE:
        return
    if step.policy.promises.on_silence == "holding":
        if state.holding is None:
            step.draft_holding_line()
        return
    missed = state.promise
    if step.now < missed.due or state.edition < 4:
        step.note("promise_held", due=missed.due.isoformat())
    if step.now < missed.due and state.edition >= 4:
        # What waits then has to admit that the promise was not kept.
        step.arm(TimerKind.PROMISE, missed.due + _PAST)


def _promise_reminder(step: Step) -> None:
    if step.state.promise is not None and step.state.pending is None:
        step.note(
            "promise_reminder",
            due=step.state.promise.due.isoformat(),
            who=step.commander(),
        )


def _approval_reminder(step: Step) -> None:
    if step.state.pending is not None:
        step.note(
            "reminded",
            version=step.state.pending.draft,
            who=step.approver(step.state.pending.escalation_level),
        )


def _approval_escalation(step: Step) -> None:
    pending = step.state.pending
    if pending is None:
        return
    rules = [step.gate_rule(pending.moment, c) for c in pending.channels]
    held = pending.invalid or region_doubt(step) is not None
    if rules and all(r.on_silence == "send" for r in rules) and not held:
        let_out(step, pending, "policy: nobody answered")
        return
    if any(r.on_silence == "hold" for r in rules):
        return
    level = pending.escalation_level + 1
    who = step.approver(level)
    if who is None:
        return
    step.set(pending=pending.model_copy(update={"escalation_level": level}))
    step.note("escalated", version=pending.draft, who=who)
    step.arm(TimerKind.APPROVAL_ESCALATION, step.now + step.policy.approval.escalate_after)


def _stable(step: Step) -> None:
    if step.state.stage in ACTIVE and step.state.firing == 0:
        draft_the_end(step)


def _confirmation_due(step: Step) -> None:
    confirm_by_rule(step)


def _reopen_window(step: Step) -> None:
    close_when_done(step)


_TIMERS: dict[TimerKind, Callable[[Step], None]] = {
    TimerKind.PROMISE: _promise_due,
    TimerKind.PROMISE_REMINDER: _promise_reminder,
    TimerKind.APPROVAL_REMINDER: _approval_reminder,
    TimerKind.APPROVAL_ESCALATION: _approval_escalation,
    TimerKind.STABILITY: _stable,
    TimerKind.REOPEN_WINDOW: _reopen_window,
    TimerKind.CONFIRMATION: _confirmation_due,
}
