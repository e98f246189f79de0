"""Planned work as data: its state, what can happen to it, and how it is told from an incident.

A maintenance IS a row of `incidents`, of the category `maintenance` and with an id of its own
kind (`mnt_…`); what only planned work has stands beside it in `maintenances`. Drafts, approvals,
audiences, broadcasts, the ledger, mail threads and the closure guarantee then hold for it as they
hold for incidents, without a second copy of any of them.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from domain.events import (
    AlertsReceived,
    BroadcastDone,
    Decided,
    Drafted,
    Edited,
    HandedOver,
    PolicyAdopted,
    Targeted,
    TimerFired,
)
from domain.incident import Frozen, IncidentState, Stage
from domain.signal import Severity

ID_PREFIX = "mnt_"
CATEGORY = "maintenance"
# The severity by which routes and gates are looked up; nobody is shown it.
SEVERITY = Severity.P4


def is_maintenance(incident_id: str) -> bool:
    """Whether an id names planned work."""
    return incident_id.startswith(ID_PREFIX)


class Impact(StrEnum):
    """What customers are to expect of the components meanwhile."""

    UNAVAILABLE = "unavailable"
    DEGRADED = "degraded"
    NONE = "none"


class MaintenanceState(IncidentState):
    """All that planned work remembers between two events; carried through continue-as-new.

    `starts_at` and `ends_at` are what staff plan now, `told_…` what customers were told last.
    `first_end` is the end that was announced when it began: overrun counts from there. `ending`
    is how it ends, once somebody said so and until customers are told.
    """

    starts_at: datetime
    ends_at: datetime
    impact: Impact
    objections_until: datetime | None = None
    told_start: datetime | None = None
    told_end: datetime | None = None
    first_end: datetime | None = None
    began_at: datetime | None = None
    ended_at: datetime | None = None
    ending: Stage | None = None
    on_time: bool = False
    reminders: int = 0
    credit_considered: bool = False
    incidents: tuple[str, ...] = ()

    @property
    def moved(self) -> bool:
        """Whether customers know of other times than those planned now."""
        return self.announced and (self.told_start, self.told_end) != (
            self.starts_at,
            self.ends_at,
        )


# ---------------------------------------------------------------- events


class Scheduled(Frozen):
    kind: Literal["scheduled"] = "scheduled"
    by: str


class Rescheduled(Frozen):
    kind: Literal["rescheduled"] = "rescheduled"
    by: str
    starts_at: datetime
    ends_at: datetime
    objections_until: datetime | None = None
    note_id: str | None = None


class Begun(Frozen):
    """A human's word that the work has begun."""

    kind: Literal["begun"] = "begun"
    by: str


class Extended(Frozen):
    """It takes longer: the revised end, and `note_id` for the reason customers are given."""

    kind: Literal["extended"] = "extended"
    by: str
    ends_at: datetime
    note_id: str | None = None


class KeptTime(Frozen):
    """The answer to "will it overrun?": no."""

    kind: Literal["kept_time"] = "kept_time"
    by: str


class Completed(Frozen):
    kind: Literal["completed"] = "completed"
    by: str
    note_id: str | None = None


class CalledOff(Frozen):
    kind: Literal["called_off"] = "called_off"
    by: str
    note_id: str | None = None


class Objected(Frozen):
    """A customer's objection; `assignee` is whose task it is, None when it came too late."""

    kind: Literal["objected"] = "objected"
    account_id: str
    late: bool
    assignee: str | None = None


class Escalated(Frozen):
    """An incident was opened because of it."""

    kind: Literal["escalated"] = "escalated"
    by: str
    incident_id: str


Event = Annotated[
    Scheduled
    | Rescheduled
    | Begun
    | Extended
    | KeptTime
    | Completed
    | CalledOff
    | Objected
    | Escalated
    | AlertsReceived
    | Targeted
    | Drafted
    | Decided
    | Edited
    | HandedOver
    | PolicyAdopted
    | BroadcastDone
    | TimerFired,
    Field(discriminator="kind"),
]
