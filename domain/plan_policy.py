"""What a change of policy means for an incident that is under way."""

from __future__ import annotations

from domain.events import PolicyAdopted
from domain.incident import TimerKind
from domain.plan_alerts import confirm_by_rule
from domain.step import Step


def on_policy_adopted(step: Step, event: PolicyAdopted) -> None:
    """Rhythm, gates, people and timers follow at once; what was told to customers stays true.

    A draft that waits keeps its texts, because somebody may be reading it; from the next message
    on everything is as the new policy says.
    """
    note_policy(step, event)
    count_approval_anew(step)
    _count_promise_anew(step)
    _count_quiet_anew(step)
    confirm_by_rule(step)


def note_policy(step: Step, event: PolicyAdopted) -> None:
    """Remember whose rules hold from now on."""
    step.set(policy_hash=event.hash)
    step.note("policy_changed", actor=event.by, by=event.by, old=event.old, new=event.hash)


def count_approval_anew(step: Step) -> None:
    """What waits is pressed for by the new figures, and never let out by fewer people."""
    pending, approval = step.state.pending, step.policy.approval
    if pending is None:
        return
    if approval.four_eyes and pending.approvals_needed < 2:
        # Never fewer: what was shown as needing two people is not let out by a change of rules.
        step.set(pending=pending.model_copy(update={"approvals_needed": 2}))
    for kind, after in (
        (TimerKind.APPROVAL_REMINDER, approval.remind_after),
        (TimerKind.APPROVAL_ESCALATION, approval.escalate_after),
    ):
        due = step.state.timers.get(kind)
        if due is not None:
            # Sooner where the figure is shorter; nobody is given longer than they were told.
            step.arm(kind, min(due, step.now + after))


def _count_promise_anew(step: Step) -> None:
    """A shorter rhythm makes an earlier promise; a longer one begins with the next message."""
    told = step.state.promise
    step.recompute_promise()
    promise = step.state.promise
    if promise is None or promise is not told:
        return
    leads, timers = step.policy.promises, step.state.timers
    if TimerKind.PROMISE in timers:
        step.arm(TimerKind.PROMISE, max(step.now, promise.due - leads.holding_lead))
    if TimerKind.PROMISE_REMINDER in timers:
        step.arm(TimerKind.PROMISE_REMINDER, max(step.now, promise.due - leads.remind_before))


def _count_quiet_anew(step: Step) -> None:
    state, policy = step.state, step.policy
    if TimerKind.STABILITY in state.timers and state.quiet_since is not None:
        due = state.quiet_since + policy.resolution.stable_for
        step.arm(TimerKind.STABILITY, max(step.now, due))
    ended = state.last_sent_at if state.announced else state.resolved_at
    if TimerKind.REOPEN_WINDOW in state.timers and ended is not None:
        due = ended + policy.grouping.reopen_within
        step.arm(TimerKind.REOPEN_WINDOW, max(step.now, due))
