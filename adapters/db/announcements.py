"""What stands on the status page and in the banner: written once per broadcast, then only read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, and_, exists, func, or_, select, tuple_
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.orm import aliased

from adapters.db.cursors import read_cursor, write_cursor
from adapters.db.link_models import MergedIncidentRow, MovedAccountRow
from adapters.db.models import AnnouncementRow, AudienceMemberRow, AudienceRow, IncidentRow
from domain.incident import Stage
from domain.maintenance import ID_PREFIX
from domain.message import Channel, Moment
from domain.public import Announcement, AnnouncementText, IncidentPage, PublicIncident
from domain.signal import Severity

_ON_PAGE = exists().where(
    AnnouncementRow.incident_id == IncidentRow.id,
    AnnouncementRow.channel == Channel.STATUS_PAGE.value,
)
# Belt and braces: nothing is announced of these, and if it were, nobody may see it.
_PUBLIC = and_(
    _ON_PAGE,
    IncidentRow.dry_run.is_(False),
    IncidentRow.stage.not_in([Stage.SUSPECTED.value, Stage.DISMISSED.value]),
    # Planned work has pages of its own.
    ~IncidentRow.id.startswith(ID_PREFIX, autoescape=True),
)
# A merged incident that has been overtaken by the one that goes on: nothing but a way there.
_GOES_ON = aliased(IncidentRow)
_OVERTAKEN = or_(
    _GOES_ON.open.is_(False),
    exists().where(
        AnnouncementRow.incident_id == MergedIncidentRow.into_id,
        AnnouncementRow.channel == Channel.STATUS_PAGE.value,
        AnnouncementRow.posted_at >= MergedIncidentRow.at,
    ),
)
_LISTED = ~(
    exists()
    .where(
        MergedIncidentRow.incident_id == IncidentRow.id,
        _GOES_ON.id == MergedIncidentRow.into_id,
        _OVERTAKEN,
    )
    .correlate(IncidentRow)
)
_ANNOUNCED_AT = (
    select(func.min(AnnouncementRow.posted_at))
    .where(
        AnnouncementRow.incident_id == IncidentRow.id,
        AnnouncementRow.channel == Channel.STATUS_PAGE.value,
    )
    .scalar_subquery()
)


class AnnouncementStore:
    """Announcements in PostgreSQL; reading shows only what the public may see."""

    def __init__(self, engine: AsyncEngine) -> None:
        self.engine = engine

    async def write(self, incident_id: str, announcement: Announcement) -> None:
        """Put up one broadcast's texts; the same broadcast again changes nothing."""
        rows = [
            {
                "incident_id": incident_id,
                "channel": announcement.channel.value,
                "broadcast_id": announcement.broadcast_id,
                "moment": announcement.moment.value,
                "locale": locale,
                "title": text.title,
                "body": text.body,
                "html": text.html,
                "stage": announcement.stage.value,
                "severity": announcement.severity.value,
                "components": list(announcement.components),
                "posted_at": announcement.posted_at,
                "next_update_at": announcement.next_update_at,
            }
            for locale, text in announcement.texts.items()
        ]
        async with self.engine.begin() as conn:
            await conn.execute(
                insert(AnnouncementRow)
                .values(rows)
                .on_conflict_do_nothing(constraint="uq_announcements_row")
            )

    async def current(self, since: datetime) -> tuple[PublicIncident, ...]:
        """Incidents that are not over, and those over since then; newest first."""
        recent = exists().where(
            AnnouncementRow.incident_id == IncidentRow.id, AnnouncementRow.posted_at >= since
        )
        async with self.engine.connect() as conn:
            found = await _load(
                conn, or_(IncidentRow.open, IncidentRow.closed_at >= since, recent), _LISTED
            )
        return tuple(i for i in found if i.ended_at is None or i.ended_at >= since)

    async def page(self, limit: int, cursor: str | None = None) -> IncidentPage:
        """`limit` incidents by the time of their first announcement, newest first.

        Raises BadInput for a cursor that is not a page's `next`.
        """
        place = tuple_(_ANNOUNCED_AT, IncidentRow.id)
        where: list[ColumnElement[bool]] = [_LISTED]
        if cursor is not None:
            at, id_ = read_cursor(cursor, datetime, str)
            where.append(place < tuple_(at, id_))
        async with self.engine.connect() as conn:
            found = await _load(conn, *where, limit=limit + 1)
        more = found[:limit] if len(found) > limit else None
        following = write_cursor(more[-1].created_at, more[-1].id) if more else None
        return IncidentPage(incidents=found[:limit], next=following)

    async def incident(self, incident_id: str) -> PublicIncident | None:
        """One public incident; None for one that the page never announced."""
        async with self.engine.connect() as conn:
            found = await _load(conn, IncidentRow.id == incident_id)
        return found[0] if found else None

    async def heard(self, account_id: str, incident_ids: Iterable[str]) -> frozenset[str]:
        """Those of the incidents whose audience holds the account."""
        async with self.engine.connect() as conn:
            rows = await conn.execute(
                select(AudienceRow.incident_id)
                .join(AudienceMemberRow, AudienceMemberRow.audience_id == AudienceRow.id)
                .where(
                    AudienceMemberRow.account_id == account_id,
                    AudienceRow.incident_id.in_(list(incident_ids)),
                    ~exists().where(
                        MovedAccountRow.from_id == AudienceRow.incident_id,
                        MovedAccountRow.account_id == account_id,
                    ),
                )
                .distinct()
            )
            return frozenset(rows.scalars())

    async def mark(self) -> tuple[int | None, datetime | None]:
        """A value that changes whenever the pages or the banner may have changed."""
        async with self.engine.connect() as conn:
            row = await conn.execute(
                select(
                    select(func.max(AnnouncementRow.id)).scalar_subquery(),
                    select(func.max(IncidentRow.updated_at))
                    .where(IncidentRow.announced)
                    .scalar_subquery(),
                )
            )
            announcement, changed = row.one()
            return announcement, changed


async def _load(
    conn: AsyncConnection, *where: ColumnElement[bool], limit: int | None = None
) -> tuple[PublicIncident, ...]:
    incidents = (
        await conn.execute(
            select(
                IncidentRow.id,
                IncidentRow.started_at,
                IncidentRow.open,
                IncidentRow.closed_at,
                IncidentRow.resolved_at,
                MergedIncidentRow.into_id,
                _OVERTAKEN.label("overtaken"),
            )
            .outerjoin(MergedIncidentRow, MergedIncidentRow.incident_id == IncidentRow.id)
            .outerjoin(_GOES_ON, _GOES_ON.id == MergedIncidentRow.into_id)
            .where(_PUBLIC, *where)
            .order_by(_ANNOUNCED_AT.desc(), IncidentRow.id.desc())
            .limit(limit)
        )
    ).all()
    said = await said_of(conn, [row.id for row in incidents])
    return tuple(
        PublicIncident(
            id=row.id,
            started_at=row.started_at,
            continued_in=row.into_id,
            # Until the one that goes on has spoken, what was said here still holds.
            over=not row.open if row.into_id is None else bool(row.overtaken),
            over_at=row.resolved_at or row.closed_at,
            updates=said[row.id, Channel.STATUS_PAGE],
            banner=said.get((row.id, Channel.IN_APP), ()),
        )
        for row in incidents
    )


async def said_of(
    conn: AsyncConnection, incident_ids: Sequence[str]
) -> dict[tuple[str, Channel], tuple[Announcement, ...]]:
    """What was announced of each, by channel, oldest first."""
    rows = await conn.execute(
        select(AnnouncementRow.__table__)
        .where(AnnouncementRow.incident_id.in_(incident_ids))
        .order_by(AnnouncementRow.posted_at, AnnouncementRow.broadcast_id, AnnouncementRow.id)
    )
    texts: dict[tuple[str, Channel, int], dict[str, AnnouncementText]] = {}
    first: dict[tuple[str, Channel, int], Announcement] = {}
    for row in rows:
        channel = Channel(row.channel)
        key = (row.incident_id, channel, row.broadcast_id)
        texts.setdefault(key, {})[row.locale] = AnnouncementText(
            title=row.title, body=row.body, html=row.html
        )
        if key not in first:
            first[key] = Announcement(
                broadcast_id=row.broadcast_id,
                channel=channel,
                moment=Moment(row.moment),
                stage=Stage(row.stage),
                severity=Severity(row.severity),
                components=tuple(row.components),
                posted_at=row.posted_at,
                next_update_at=row.next_update_at,
            )
    said: dict[tuple[str, Channel], tuple[Announcement, ...]] = {}
    for key, announcement in first.items():
        place = key[:2]
        whole = announcement.model_copy(update={"texts": texts[key]})
        said[place] = (*said.get(place, ()), whole)
    return said
