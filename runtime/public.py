"""What the public pages are handed of the database: the gateway may not import adapters."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.db.announcements import AnnouncementStore
from adapters.db.maintenances_public import PublicMaintenances
from adapters.db.unsubscribes import UnsubscribeStore
from domain.public import PublicRecords, Unsubscribes


def public_records(engine: AsyncEngine) -> PublicRecords:
    """What the status page, its JSON, the feeds and the banner read."""
    return AnnouncementStore(engine)


def unsubscribes(engine: AsyncEngine) -> Unsubscribes:
    """Where the unsubscribe page writes."""
    return UnsubscribeStore(engine)


def public_maintenances(engine: AsyncEngine) -> PublicMaintenances:
    """What the status page, its JSON, the feeds and the banner read of planned work."""
    return PublicMaintenances(engine)
