"""What staff see of incidents: lists, details, timelines and draft versions."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict
from sqlalchemy import Row, Select, and_, func, select, tuple_
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.db.cursors import DEFAULT_LIMIT, Page, read_cursor, write_cursor
from adapters.db.models import AccountRow, DraftRow, DraftTextRow, IncidentRow, TimelineRow
from domain.errors import NotFound
from domain.maintenance import ID_PREFIX
from domain.message import DraftText, DraftVersion, Facts, Finding

Utc = Annotated[datetime, AfterValidator(lambda instant: instant.astimezone(UTC))]


# Shorter ones are found in ordinary words.
SHORTEST_NAME = 3
MAX_NAMED = 50


class View(BaseModel):
    model_config = ConfigDict(frozen=True)


class AudienceSize(View):
    accounts: int
    recipients: int


class PendingDraft(View):
    """The version that waits for a decision; more of what the workflow knows may stand beside."""

    model_config = ConfigDict(frozen=True, extra="allow")

    draft: int
    moment: str
    hash: str
    next_update_at: Utc | None = None
    asked_at: Utc | None = None


class IncidentView(View):
    """An incident as its workflow last wrote it down."""

    id: str
    title: str
    severity: str
    stage: str
    category: str
    components: tuple[str, ...]
    regions: tuple[str, ...]
    affected_share: float | None
    dry_run: bool
    open: bool
    started_at: Utc
    opened_at: Utc
    opened_by: str
    confirmed_at: Utc | None
    resolved_at: Utc | None
    closed_at: Utc | None
    next_update_due: Utc | None
    announced: bool
    audience: AudienceSize
    audience_id: str | None
    pending: PendingDraft | None
    post_mortem: str
    post_mortem_due: Utc | None
    correlation_id: str


class TimelineView(View):
    at: Utc
    kind: str
    text: str
    actor: str
    customer_visible: bool
    data: dict[str, Any]


class DraftView(View):
    """A version with its texts and what became of it."""

    draft: DraftVersion
    state: str
    decided_by: str | None
    decided_at: Utc | None
    decision: str | None
    reason: str | None


class IncidentsRead:
    """Reading only: nothing here changes an incident."""

    def __init__(self, engine: AsyncEngine) -> None:
        self.engine = engine

    async def page(
        self,
        *,
        cursor: str | None = None,
        limit: int = DEFAULT_LIMIT,
        stages: Sequence[str] = (),
        severities: Sequence[str] = (),
        is_open: bool | None = None,
        waiting: bool | None = None,
        prefix: str | None = None,
    ) -> Page[IncidentView]:
        """Incidents, newest first.

        `waiting` keeps those with, or without, a pending draft, `prefix` those whose id begins so.
        """
        key = (IncidentRow.opened_at, IncidentRow.id)
        statement = select(IncidentRow.__table__).order_by(*(column.desc() for column in key))
        if stages:
            statement = statement.where(IncidentRow.stage.in_(stages))
        if severities:
            statement = statement.where(IncidentRow.severity.in_(severities))
        if is_open is not None:
            statement = statement.where(IncidentRow.open.is_(is_open))
        if waiting is not None:
            # A JSON null is a value to PostgreSQL, so both are asked for.
            has_pending = func.coalesce(func.jsonb_typeof(IncidentRow.pending), "null") != "null"
            statement = statement.where(has_pending if waiting else ~has_pending)
        if not waiting and not (prefix or "").startswith(ID_PREFIX):
            # Planned work has a list of its own; what waits for a decision is one queue.
            statement = statement.where(~IncidentRow.id.startswith(ID_PREFIX, autoescape=True))
        if prefix:
            statement = statement.where(IncidentRow.id.startswith(prefix, autoescape=True))
        if cursor:
            position = read_cursor(cursor, datetime, str)
            statement = statement.where(tuple_(*key) < tuple_(*position))
        rows = await self._rows(statement.limit(limit + 1))
        items = tuple(incident_view(row) for row in rows[:limit])
        more = len(rows) > limit
        return Page(
            items=items,
            next=write_cursor(items[-1].opened_at, items[-1].id) if more else None,
        )

    async def detail(self, incident_id: str) -> IncidentView:
        """One incident; raises NotFound."""
        statement = select(IncidentRow.__table__).where(IncidentRow.id == incident_id)
        rows = await self._rows(statement)
        if not rows:
            raise NotFound("there is no incident with this id")
        return incident_view(rows[0])

    async def timeline(
        self, incident_id: str, cursor: str | None = None, limit: int = DEFAULT_LIMIT
    ) -> Page[TimelineView]:
        """An incident's story, oldest line first; raises NotFound."""
        await self.detail(incident_id)
        statement = (
            select(TimelineRow.__table__)
            .where(TimelineRow.incident_id == incident_id)
            .order_by(TimelineRow.at, TimelineRow.id)
        )
        if cursor:
            position = read_cursor(cursor, datetime, int)
            statement = statement.where(tuple_(TimelineRow.at, TimelineRow.id) > tuple_(*position))
        rows = await self._rows(statement.limit(limit + 1))
        items = tuple(TimelineView.model_validate(row._asdict()) for row in rows[:limit])
        last = rows[limit - 1] if len(rows) > limit else None
        return Page(items=items, next=write_cursor(last.at, last.id) if last else None)

    async def drafts(
        self,
        incident_id: str,
        cursor: str | None = None,
        limit: int = DEFAULT_LIMIT,
        version: int | None = None,
    ) -> Page[DraftView]:
        """Versions with their texts, newest first; raises NotFound for an unknown incident."""
        await self.detail(incident_id)
        statement = (
            select(DraftRow.__table__)
            .where(DraftRow.incident_id == incident_id)
            .order_by(DraftRow.version.desc())
        )
        if version is not None:
            statement = statement.where(DraftRow.version == version)
        if cursor:
            statement = statement.where(DraftRow.version < read_cursor(cursor, int)[0])
        rows = await self._rows(statement.limit(limit + 1))
        shown = rows[:limit]
        texts = await self._texts(incident_id, [row.version for row in shown])
        items = tuple(_draft(row, texts.get(row.version, ())) for row in shown)
        more = len(rows) > limit
        return Page(items=items, next=write_cursor(items[-1].draft.version) if more else None)

    async def draft(self, incident_id: str, version: int) -> DraftView:
        """One version with its texts; raises NotFound."""
        page = await self.drafts(incident_id, limit=1, version=version)
        if not page.items:
            raise NotFound(f"this incident has no draft version {version}")
        return page.items[0]

    async def latest_draft(self, incident_id: str) -> DraftView | None:
        """The newest version, or None before the first is written; raises NotFound."""
        page = await self.drafts(incident_id, limit=1)
        return page.items[0] if page.items else None

    async def customers_named(self, text: str) -> tuple[str, ...]:
        """Names of customer accounts that occur in a text; the long table does the search."""
        name = func.lower(AccountRow.name)
        statement = (
            select(AccountRow.name)
            .distinct()
            .where(func.length(AccountRow.name) >= SHORTEST_NAME)
            .where(func.strpos(text.lower(), name) > 0)
            .limit(MAX_NAMED)
        )
        return tuple(row.name for row in await self._rows(statement))

    async def _texts(
        self, incident_id: str, versions: Sequence[int]
    ) -> dict[int, tuple[DraftText, ...]]:
        row = DraftTextRow
        statement = (
            select(row.__table__)
            .where(and_(row.incident_id == incident_id, row.version.in_(versions)))
            .order_by(row.version, row.channel, row.locale)
        )
        found: dict[int, tuple[DraftText, ...]] = {}
        for text in await self._rows(statement):
            item = DraftText(
                channel=text.channel,
                locale=text.locale,
                subject=text.subject,
                text=text.text,
                html=text.html,
            )
            found[text.version] = (*found.get(text.version, ()), item)
        return found

    async def _rows(self, statement: Select[Any]) -> Sequence[Row[Any]]:
        async with self.engine.connect() as conn:
            rows: Sequence[Row[Any]] = (await conn.execute(statement)).all()
            return rows


def incident_view(row: Row[Any]) -> IncidentView:
    values = row._asdict()
    size = AudienceSize(accounts=row.audience_accounts, recipients=row.audience_recipients)
    return IncidentView.model_validate(values | {"audience": size})


def _draft(row: Row[Any], texts: tuple[DraftText, ...]) -> DraftView:
    draft = DraftVersion(
        incident_id=row.incident_id,
        version=row.version,
        moment=row.moment,
        number=row.number,
        texts=texts,
        facts=Facts.model_validate(row.facts),
        audience_rule=row.audience_rule,
        hash=row.hash,
        findings=tuple(Finding.model_validate(finding) for finding in row.findings),
        author=row.author,
        based_on=row.based_on,
        created_at=row.created_at.astimezone(UTC),
    )
    return DraftView(
        draft=draft,
        state=row.state,
        decided_by=row.decided_by,
        decided_at=row.decided_at,
        decision=row.decision,
        reason=row.reason,
    )
