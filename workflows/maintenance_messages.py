"""What Temporal carries to and from `Maintenance`: one model per handler, ids and facts only."""

from __future__ import annotations

from datetime import datetime

from domain.maintenance import (
    Begun,
    CalledOff,
    Completed,
    Escalated,
    Event,
    Extended,
    KeptTime,
    MaintenanceState,
    Rescheduled,
)
from domain.policy import Policy
from workflows.messages import Message, TimelineLine


class MaintenanceStart(Message):
    """Input of `Maintenance`; `restored` says that an earlier run was lost, so that nothing it
    asked for will be answered. `queue` are events that an earlier run had not come to."""

    state: MaintenanceState
    policy_hash: str
    by: str = "forewarn"
    policy: Policy | None = None
    lines: tuple[TimelineLine, ...] = ()
    broadcasting: tuple[int, ...] = ()
    queue: tuple[Event, ...] = ()
    restored: bool = False


class ByInput(Message):
    """Argument of `begin` and `keep_time`: who says so."""

    by: str


class RescheduleInput(Message):
    by: str
    starts_at: datetime
    ends_at: datetime
    objections_until: datetime | None = None
    note_id: str | None = None

    def event(self) -> Rescheduled:
        return Rescheduled(**self.model_dump())


class ExtendInput(Message):
    by: str
    ends_at: datetime
    note_id: str | None = None

    def event(self) -> Extended:
        return Extended(**self.model_dump())


class EndInput(Message):
    """Argument of `complete` and `cancel`; `note_id` names the words for customers."""

    by: str
    note_id: str | None = None

    def completed(self) -> Completed:
        return Completed(**self.model_dump())

    def called_off(self) -> CalledOff:
        return CalledOff(**self.model_dump())


class EscalateInput(Message):
    by: str
    incident_id: str

    def event(self) -> Escalated:
        return Escalated(**self.model_dump())


class MaintenanceResult(Message):
    """Answer of every command."""

    stage: str
    starts_at: datetime
    ends_at: datetime


class MaintenanceStatus(Message):
    """Answer of the query `status`."""

    maintenance_id: str
    stage: str
    components: tuple[str, ...]
    regions: tuple[str, ...]
    starts_at: datetime
    ends_at: datetime
    audience_accounts: int
    audience_recipients: int
    dry_run: bool
    broadcasts: int


def begun(given: ByInput) -> Begun:
    return Begun(by=given.by)


def kept_time(given: ByInput) -> KeptTime:
    return KeptTime(by=given.by)
