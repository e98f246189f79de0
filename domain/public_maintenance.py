"""What the public sees of planned work: the texts that were sent, and the times they told."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum

from domain.incident import Stage
from domain.maintenance import Impact
from domain.public import Announcement, Model


class MaintenanceStatus(StrEnum):
    """Where planned work stands in the Statuspage vocabulary."""

    SCHEDULED = "scheduled"
    IN_PROGRESS = "in_progress"
    VERIFYING = "verifying"
    COMPLETED = "completed"


# What Statuspage calls the impact of planned work, and the whole page's state meanwhile.
IMPACT = "maintenance"
_STATUS = {
    Stage.SCHEDULED: MaintenanceStatus.SCHEDULED,
    Stage.IN_PROGRESS: MaintenanceStatus.IN_PROGRESS,
}


def status_of(stage: Stage) -> MaintenanceStatus:
    """The public word for a stage; what was called off is over, too."""
    return _STATUS.get(stage, MaintenanceStatus.COMPLETED)


class PublicMaintenance(Model):
    """Planned work that the status page announced; `updates` and `banner` are oldest first.

    `starts_at` and `ends_at` are the times that were told. `began_at` counts once it is told.
    """

    id: str
    stage: Stage
    impact: Impact
    components: tuple[str, ...]
    regions: tuple[str, ...] = ()
    starts_at: datetime
    ends_at: datetime
    began_at: datetime | None = None
    ended_at: datetime | None = None
    updates: tuple[Announcement, ...]
    banner: tuple[Announcement, ...] = ()

    @property
    def latest(self) -> Announcement:
        return self.updates[-1]

    @property
    def told_stage(self) -> Stage:
        """Where customers were told that it stands: the page says no more than they heard."""
        return self.latest.stage

    @property
    def status(self) -> MaintenanceStatus:
        return status_of(self.told_stage)

    @property
    def over(self) -> bool:
        return self.status is MaintenanceStatus.COMPLETED

    @property
    def under_way(self) -> bool:
        return self.status is MaintenanceStatus.IN_PROGRESS

    @property
    def created_at(self) -> datetime:
        return self.updates[0].posted_at

    @property
    def updated_at(self) -> datetime:
        return self.latest.posted_at

    @property
    def over_at(self) -> datetime | None:
        return self.updates[-1].posted_at if self.over else None


def in_maintenance(found: Iterable[PublicMaintenance]) -> tuple[str, ...]:
    """Components that customers notice planned work at now."""
    felt = (w for w in found if w.under_way and w.impact is not Impact.NONE)
    return tuple(dict.fromkeys(key for work in felt for key in work.components))
