"""The status page that the gateway serves itself."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from adapters.base import AdapterSettings, AdapterSpec
from domain.message import Channel, OutboundMessage, Receipt
from domain.public import Announcements, announcement_of


class BuiltinStatusPage:
    """Puts a broadcast's texts on our own status page; one row stands for everybody."""

    channel = Channel.STATUS_PAGE
    name = "builtin"

    def __init__(
        self,
        announcements: Announcements,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._announcements = announcements
        self._now = now

    async def send(self, message: OutboundMessage) -> Receipt:
        """Write the announcement; again is harmless. Raises Permanent for unusable metadata."""
        announcement = announcement_of(message, self._now())
        await self._announcements.write(message.incident_id, announcement)
        return Receipt(provider_id=f"announcement:{announcement.broadcast_id}")

    async def aclose(self) -> None:
        """Nothing is held open."""


class Settings(AdapterSettings):
    """The built-in page has nothing to set."""


def build(_: Settings) -> type[BuiltinStatusPage]:
    """The class itself: the announcements it writes to are known only to the wiring."""
    return BuiltinStatusPage


ADAPTER = AdapterSpec(
    name="builtin",
    kind="status_page",
    settings=Settings,
    build=build,
    roles=("send",),
    summary="Forewarn's own status page",
)
