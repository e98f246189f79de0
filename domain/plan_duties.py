"""What is owed to colleagues, looked after at the end of every step, whatever happened in it.

Each part compares what is with what should be, and moves its timers; without its section in the
policy it does nothing, so that incidents under older policies go on as they began.
"""

from __future__ import annotations

from domain.events import Event
from domain.incident import IncidentState
from domain.plan_assessment import keep_assessment, keep_eta
from domain.plan_engage import keep_response
from domain.plan_executive import keep_executives
from domain.plan_extended import keep_extended
from domain.plan_targets import keep_resolution_target
from domain.step import Step


def keep_duties(step: Step, before: IncidentState, event: Event) -> None:
    """Bring every duty up to date with the state that the event led to."""
    if step.state.over:
        return
    keep_response(step, before, event)
    keep_assessment(step, before)
    keep_eta(step)
    keep_resolution_target(step, before)
    keep_extended(step)
    keep_executives(step)
