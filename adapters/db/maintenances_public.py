"""Planned work as the public sees it: what was announced, and the times that were told."""

from __future__ import annotations

from sqlalchemy import ColumnElement, exists, select
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.db.announcements import said_of
from adapters.db.maintenance_models import MaintenanceRow
from adapters.db.models import AnnouncementRow, AudienceMemberRow, AudienceRow, IncidentRow
from domain.incident import Stage
from domain.maintenance import Impact
from domain.message import Channel
from domain.public_maintenance import PublicMaintenance

MOST = 50
_ON_PAGE = exists().where(
    AnnouncementRow.incident_id == MaintenanceRow.id,
    AnnouncementRow.channel == Channel.STATUS_PAGE.value,
)


class PublicMaintenances:
    """Reads only what was announced."""

    def __init__(self, engine: AsyncEngine) -> None:
        self.engine = engine

    async def latest(self) -> tuple[PublicMaintenance, ...]:
        """Those with the latest starts, whether over or not; by their start, the first first."""
        return await self._load()

    async def one(self, id_: str) -> PublicMaintenance | None:
        """One maintenance; None for one that was never announced."""
        found = await self._load(MaintenanceRow.id == id_)
        return found[0] if found else None

    async def heard(self, account_id: str, ids: list[str]) -> frozenset[str]:
        """Those whose audience holds the account."""
        async with self.engine.connect() as conn:
            rows = await conn.execute(
                select(AudienceRow.incident_id)
                .join(AudienceMemberRow, AudienceMemberRow.audience_id == AudienceRow.id)
                .where(AudienceMemberRow.account_id == account_id, AudienceRow.incident_id.in_(ids))
                .distinct()
            )
            return frozenset(rows.scalars())

    async def _load(self, *where: ColumnElement[bool]) -> tuple[PublicMaintenance, ...]:
        own = MaintenanceRow
        statement = (
            select(
                own.id, own.impact, own.told_start, own.told_end, own.began_at, own.ended_at,
                IncidentRow.stage, IncidentRow.components, IncidentRow.regions,
                IncidentRow.closed_at, IncidentRow.title,
            )
            .join(IncidentRow, IncidentRow.id == own.id)
            .where(_ON_PAGE, IncidentRow.dry_run.is_(False), *where)
            .order_by(own.told_start.desc(), own.id)
            .limit(MOST)
        )  # fmt: skip
        async with self.engine.connect() as conn:
            rows = (await conn.execute(statement)).all()
            said = await said_of(conn, [row.id for row in rows])
        found = [
            PublicMaintenance(
                id=row.id,
                stage=Stage(row.stage),
                impact=Impact(row.impact),
                components=tuple(row.components),
                regions=tuple(row.regions),
                starts_at=row.told_start,
                ends_at=row.told_end,
                began_at=row.began_at,
                ended_at=row.ended_at or row.closed_at,
                updates=said[row.id, Channel.STATUS_PAGE],
                banner=said.get((row.id, Channel.IN_APP), ()),
            )
            for row in rows
            if row.told_start is not None and row.told_end is not None
        ]
        return tuple(reversed(found))
