"""The step that opens a channel where responders meet."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Protocol

from pydantic import BaseModel, ConfigDict
from temporalio import activity
from temporalio.exceptions import ApplicationError

from domain.actions import OpenWarRoom
from domain.errors import Permanent, Transient
from domain.events import WarRoomOpened
from domain.policy import Policy


class WarRoomInput(BaseModel):
    model_config = ConfigDict(frozen=True)

    incident_id: str
    room: OpenWarRoom


class WarRooms(Protocol):
    """A chat with channels; raises Permanent or Transient."""

    async def open_room(self, name: str, about: str, users: Sequence[str]) -> str:
        """Open the channel of this name, or find it, and invite users by id; returns its link.

        `about` is the address of the incident's page."""
        ...


class WarRoomActivities:
    """Opens war rooms where a chat is configured; `policy` says who is who there."""

    def __init__(self, rooms: WarRooms | None, policy: Policy, public_url: str) -> None:
        self._rooms = rooms
        self._policy = policy
        self._public_url = public_url.rstrip("/")

    @activity.defn(name="open_war_room")
    async def open_war_room(self, asked: WarRoomInput) -> WarRoomOpened:
        """Open the room, or say why a human has to; the same name again opens no second one."""
        if self._rooms is None:
            return WarRoomOpened(reason="no chat is configured")
        room, people = asked.room, self._policy.people
        users = tuple(user for name in room.people for user in people.slack_users(name))
        about = f"{self._public_url}/console/incidents/{asked.incident_id}"
        try:
            url = await self._rooms.open_room(room.name, about, users)
        except Permanent as error:
            return WarRoomOpened(reason=error.reason)
        except Transient as error:
            wait = timedelta(seconds=error.retry_after) if error.retry_after else None
            raise ApplicationError(error.reason, type="transient", next_retry_delay=wait) from error
        return WarRoomOpened(name=room.name, url=url)
