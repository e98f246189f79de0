"""The target resolution of a severity: counted from the start of the impact, judged at its end.

Customers count from when they began to feel it; when monitoring noticed is no concern of theirs.
"""

from __future__ import annotations

from datetime import datetime

from domain.incident import ACTIVE, IncidentState, Stage, TimerKind
from domain.plan_engage import duties_of
from domain.step import Step

RESOLUTION = "resolution"


def keep_resolution_target(step: Step, before: IncidentState) -> None:
    """Keep the clock on its target, whatever severity and start are by now."""
    state, due = step.state, resolution_due(step)
    if due is None or RESOLUTION in state.missed:
        step.disarm(TimerKind.RESOLUTION_TARGET)
        return
    if state.stage is Stage.RESOLVED:
        step.disarm(TimerKind.RESOLUTION_TARGET)
        if before.stage is not Stage.RESOLVED:
            _judge(step, due, state.resolved_at or step.now)
    elif state.stage not in ACTIVE or state.quiet_since is not None or step.ending:
        # It may have ended already; if it stays ended, that instant counts.
        step.disarm(TimerKind.RESOLUTION_TARGET)
    elif due > step.now:
        step.arm(TimerKind.RESOLUTION_TARGET, due)
    else:
        step.disarm(TimerKind.RESOLUTION_TARGET)
        _judge(step, due, step.now)


def resolution_due(step: Step) -> datetime | None:
    """When it should be over; None without duties or a target."""
    target = step.policy.severities[step.state.severity].target_resolution
    if target is None or duties_of(step) is None or step.state.confirmed_at is None:
        return None
    return step.state.started_at + target


def resolution_target_due(step: Step) -> None:
    """`keep_resolution_target` judges it with everything else that is known at this instant."""


def _judge(step: Step, due: datetime, at: datetime) -> None:
    over = step.state.stage is Stage.RESOLVED
    met = at <= due and over
    if not met:
        step.set(missed=(*step.state.missed, RESOLUTION))
    step.note("target_met" if met else "target_missed", target=RESOLUTION, due=due.isoformat())
