"""What a timer that fires means: promises, waiting approvals, stability."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from domain.events import TimerFired
from domain.incident import ACTIVE, Pending, TimerKind
from domain.plan_alerts import confirm_by_rule
from domain.plan_assessment import assessment_due, eta_passed, missing_facts
from domain.plan_commands import draft_the_end
from domain.plan_engage import nobody_engaged
from domain.plan_executive import executive_due
from domain.plan_facts import write_anew
from domain.plan_freshness import promises_the_past
from domain.plan_messages import let_out
from domain.plan_post_mortem import close_when_done
from domain.plan_regions import region_doubt
from domain.plan_targets import resolution_target_due
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
    state = step.state
    if state.promise is None or state.pending is not None or _just_written(step):
        return
    asks = step.policy.assessment is not None and state.stage in ACTIVE
    missing = missing_facts(state, step.now) if asks else ()
    step.note(
        "promise_reminder",
        due=state.promise.due.isoformat(),
        who=step.commander(),
        missing=", ".join(missing),
    )
    if step.policy.promises.suggest and state.stage in ACTIVE and state.drafting is None:
        step.suggest_update()


def _just_written(step: Step) -> bool:
    """Whether a human's words are under way, or went out lately and nothing changed since."""
    state, quiet = step.state, step.policy.promises.quiet_after
    if quiet is None:
        return False
    if state.drafting is not None:
        return True
    wrote, changed = state.human_wrote_at, state.changed_at
    if wrote is None or step.now - wrote > quiet:
        return False
    return changed is None or changed <= wrote


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
    silent = bool(rules) and all(r.on_silence == "send" for r in rules)
    held = pending.invalid or region_doubt(step) is not None or step.over_cap(pending.audience)
    if silent and not held and not promises_the_past(step.state, step.now):
        let_out(step, pending, "policy: nobody answered")
        return
    if any(r.on_silence == "hold" for r in rules):
        return
    level = pending.escalation_level + 1
    who = step.approver(level)
    if who is None:
        _remind_the_last(step, pending)
        return
    step.set(pending=pending.model_copy(update={"escalation_level": level}))
    step.note("escalated", version=pending.draft, who=who)
    step.arm(TimerKind.APPROVAL_ESCALATION, step.now + step.policy.approval.escalate_after)


def _remind_the_last(step: Step, pending: Pending) -> None:
    """Past the end of the chain nobody is left to ask: the last one is asked again and again."""
    every = step.policy.approval.remind_every
    if every is not None:
        step.note("reminded", version=pending.draft, who=step.approver(pending.escalation_level))
        step.arm(TimerKind.APPROVAL_ESCALATION, step.now + every)


def _eta_passed(step: Step) -> None:
    # What waits names an end that has passed: it is written anew before anybody approves it.
    eta_passed(step)
    write_anew(step)


def _extended(step: Step) -> None:
    """`keep_extended` enters it with everything else that is known at this instant."""


def _stable(step: Step) -> None:
    if step.state.stage not in ACTIVE or step.state.firing:
        return
    if step.ending and step.state.edition >= 4:
        return  # a human has said already how it ends
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
    TimerKind.ENGAGE: nobody_engaged,
    TimerKind.ASSESSMENT: assessment_due,
    TimerKind.ETA: _eta_passed,
    TimerKind.EXTENDED: _extended,
    TimerKind.EXECUTIVE: executive_due,
    TimerKind.RESOLUTION_TARGET: resolution_target_due,
}
