"""The extended outage: hours without an expected end, and what changes then.

It begins `after` the start of the impact while no expected end lies ahead. A stated one ends it.
"""

from __future__ import annotations

from domain.incident import ACTIVE, IncidentState, TimerKind
from domain.message import Moment
from domain.plan_assessment import current_eta
from domain.plan_credits import propose_credits
from domain.policy_base import format_duration
from domain.step import Step


def keep_extended(step: Step) -> None:
    """Enter it, leave it, or wait for it; says the extended message once nothing else waits."""
    rule, state = step.policy.extended, step.state
    if rule is None:
        return
    possible = state.severity in rule.severities and state.stage in ACTIVE and not step.ending
    eta = current_eta(state, step.now)
    if state.extended_since is not None:
        if possible and eta is None:
            _say(step)
            return
        _leave(step, told=possible)
    begins = max(state.started_at + rule.after, eta or state.started_at)
    # While nothing fires it may be over: hours of silence are no reason for a faster rhythm.
    if not possible or state.quiet_since is not None:
        step.disarm(TimerKind.EXTENDED)
    elif begins > step.now:
        step.arm(TimerKind.EXTENDED, begins)
    else:
        _enter(step)


def _enter(step: Step) -> None:
    state, rule = step.state, step.policy.extended
    step.disarm(TimerKind.EXTENDED)
    step.set(
        extended_since=step.now,
        extensions=state.extensions + 1,
        extension_untold=state.announced,
    )
    every = format_duration(rule.update_every) if rule is not None else None
    step.note("extended_entered", every=every)
    propose_credits(step)
    if "workaround" not in state.stated:
        step.note("workaround_wanted", who=step.commander())
    step.executive_note("personal")
    step.recompute_promise()
    _say(step)


def _say(step: Step) -> None:
    """What we know and what we don't: in place of an update that waits, after anything else."""
    state = step.state
    waiting = state.pending or state.drafting
    if state.extension_untold and (waiting is None or waiting.moment is Moment.UPDATE):
        step.set(extension_untold=False)
        step.draft(Moment.EXTENDED)


def _leave(step: Step, told: bool) -> None:
    step.set(extended_since=None, extension_untold=False)
    if told:
        step.note("extended_left")
    waiting = step.state.pending or step.state.drafting
    if waiting is not None and waiting.moment is Moment.EXTENDED and step.state.stage in ACTIVE:
        step.draft(Moment.UPDATE, note_id=waiting.note_id)


def is_extended(state: IncidentState) -> bool:
    return state.extended_since is not None
