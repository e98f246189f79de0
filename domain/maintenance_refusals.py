"""Why a human's command about planned work is not allowed in its present state."""

from __future__ import annotations

from datetime import datetime

from domain.errors import Refused
from domain.events import Decided, Edited, PolicyAdopted
from domain.incident import Stage
from domain.maintenance import (
    Begun,
    CalledOff,
    Completed,
    Event,
    Extended,
    KeptTime,
    MaintenanceState,
    Rescheduled,
)
from domain.refusals import refusal


def maintenance_refusal(state: MaintenanceState, event: Event, now: datetime) -> Refused | None:
    """Why a human's command is not allowed now; None when it is."""
    if isinstance(event, Decided | Edited | PolicyAdopted):
        return refusal(state, event, now)
    if not isinstance(event, Begun | CalledOff | Completed | Extended | KeptTime | Rescheduled):
        return None
    if state.over or state.ending is not None:
        end = state.ending or state.stage
        return Refused("not_open", f"this maintenance is {end}: nothing can be changed any more")
    scheduled = state.stage is Stage.SCHEDULED
    match event:
        case Begun() | Rescheduled() if not scheduled:
            return Refused(
                "already_started", "this maintenance has begun; extend it if it takes longer"
            )
        case Completed() | KeptTime() if scheduled:
            return Refused("not_started", "this maintenance has not begun; cancel it instead")
        case Extended() if scheduled:
            return Refused("not_started", "this maintenance has not begun; reschedule it instead")
        case Extended() if event.ends_at <= max(now, state.told_end or state.ends_at):
            return Refused(
                "not_later", "the revised end must be ahead, and later than what customers know"
            )
    return None
