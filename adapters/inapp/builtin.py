"""The banner that the gateway serves itself."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime

from adapters.base import AdapterSettings, AdapterSpec
from domain.message import Channel, OutboundMessage, Receipt
from domain.public import Announcements, announcement_of


class BuiltinBanner:
    """Shows a broadcast in our own banner, which asks for the audience when it is looked at.

    There is one row per contact but one announcement per broadcast: the first send writes it,
    the others only confirm.
    """

    channel = Channel.IN_APP
    name = "builtin"

    def __init__(
        self,
        announcements: Announcements,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._announcements = announcements
        self._now = now
        self._written: set[int] = set()
        self._writing = asyncio.Lock()

    async def send(self, message: OutboundMessage) -> Receipt:
        """Accept one contact's row. Raises Permanent for unusable metadata."""
        broadcast_id = message.metadata.get("broadcast_id")
        if broadcast_id not in self._written:
            broadcast_id = await self._write(message)
        return Receipt(provider_id=f"banner:{broadcast_id}")

    async def aclose(self) -> None:
        """Nothing is held open."""

    async def _write(self, message: OutboundMessage) -> int:
        announcement = announcement_of(message, self._now())
        # Many rows start at once: one of them writes, the rest wait instead of writing too.
        async with self._writing:
            if announcement.broadcast_id not in self._written:
                await self._announcements.write(message.incident_id, announcement)
                self._written.add(announcement.broadcast_id)
        return announcement.broadcast_id


class Settings(AdapterSettings):
    """The built-in banner has nothing to set."""


def build(_: Settings) -> type[BuiltinBanner]:
    """The class itself: the announcements it writes to are known only to the wiring."""
    return BuiltinBanner


ADAPTER = AdapterSpec(
    name="builtin",
    kind="in_app",
    settings=Settings,
    build=build,
    roles=("send",),
    summary="Forewarn's own banner",
)
