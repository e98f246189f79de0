"""The step that shows the people who decide where an incident stands."""

from __future__ import annotations

from typing import Protocol

from pydantic import BaseModel, ConfigDict
from temporalio import activity


class TellStaffInput(BaseModel):
    """Which incident changed; what is shown is read when it is shown, so it is never stale."""

    model_config = ConfigDict(frozen=True)

    incident_id: str


class StaffDesk(Protocol):
    """Where staff see incidents and decide, such as a chat."""

    async def show(self, incident_id: str) -> None:
        """Make it agree with the incident as it stands; the same state again changes nothing."""
        ...


class ApprovalActivities:
    """Shows incidents at the desk, where one is configured."""

    def __init__(self, desk: StaffDesk | None) -> None:
        self._desk = desk

    @activity.defn(name="tell_staff")
    async def tell_staff(self, change: TellStaffInput) -> None:
        """Show an incident as it stands now."""
        if self._desk is not None:
            await self._desk.show(change.incident_id)
