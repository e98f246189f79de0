"""The first assessment: cause, expected end and share affected, asked for by name.

It is asked for once when the time is up. After that each promise reminder names what is still
missing, because the commander is disturbed by it anyway, and at that moment the next update is
being written, which is where the facts are wanted.
"""

from __future__ import annotations

from datetime import datetime

from domain.incident import ACTIVE, IncidentState, TimerKind
from domain.step import Step


def current_eta(state: IncidentState, now: datetime) -> datetime | None:
    """The expected end while it lies ahead; one that has passed is none."""
    return state.eta if state.eta is not None and state.eta > now else None


def missing_facts(state: IncidentState, now: datetime) -> tuple[str, ...]:
    """Which of the three facts nobody has stated and no data has measured."""
    known = {
        "cause": "cause" in state.stated,
        "eta": current_eta(state, now) is not None,
        "share": state.affected_share is not None or state.audience.share is not None,
    }
    return tuple(name for name, there in known.items() if not there)


def keep_assessment(step: Step, before: IncidentState) -> None:
    """Start the clock at the confirmation, and stop it when nothing is missing."""
    state, rule = step.state, step.policy.assessment
    if rule is None:
        return
    if before.confirmed_at is None and state.confirmed_at is not None:
        step.arm(TimerKind.ASSESSMENT, step.now + rule.within)
    # The expected end passes by itself: whether it is missing is asked when the time is up.
    if state.stage not in ACTIVE or step.ending:
        step.disarm(TimerKind.ASSESSMENT)


def assessment_due(step: Step) -> None:
    """The time is up: ask the commander for what is missing."""
    missing = missing_facts(step.state, step.now)
    if missing and step.state.stage in ACTIVE and step.state.quiet_since is None:
        step.note("assessment_missing", missing=", ".join(missing), who=step.commander())


def keep_eta(step: Step) -> None:
    """Watch the expected end, where the policy has a use for its passing."""
    state = step.state
    if step.policy.assessment is None and step.policy.extended is None:
        return
    if state.eta is None or state.stage not in ACTIVE or step.ending:
        step.disarm(TimerKind.ETA)
    elif state.eta > step.now:
        step.arm(TimerKind.ETA, state.eta)
    # At the instant itself the timer stays, so that it is said whichever timer fires first.


def eta_passed(step: Step) -> None:
    """The expected end has passed and it is not over: a new one is asked for."""
    state = step.state
    if state.eta is not None and state.quiet_since is None:
        step.note("eta_passed", due=state.eta.isoformat(), who=step.commander())
