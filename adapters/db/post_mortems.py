"""What a post-mortem is written from, and where its documents are kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.db.audit import append_in
from adapters.db.incidents_read import IncidentsRead, Utc, View
from adapters.db.ledger_read import incident_summary
from adapters.db.models import NoteRow, PostMortemRow, TimelineRow
from adapters.db.post_mortem_models import StatementRow
from domain.ports import ChannelCounts, TimelineEntry
from domain.post_mortem import Statement


class PostMortemDocument(View):
    """The internal post-mortem as it stands; `version` is the customers' report beside it."""

    state: str
    public: bool
    due: Utc | None
    version: int | None
    published_at: Utc | None
    published_by: str | None
    internal_markdown: str


class PostMortemStore:
    """Implements the post-mortem's `Story` on PostgreSQL."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def timeline(self, incident_id: str) -> Sequence[TimelineEntry]:
        """Every line of the incident, oldest first."""
        async with self._engine.connect() as conn:
            rows = await conn.execute(
                select(TimelineRow.__table__)
                .where(TimelineRow.incident_id == incident_id)
                .order_by(TimelineRow.at, TimelineRow.id)
            )
            return [TimelineEntry.model_validate(dict(row)) for row in rows.mappings()]

    async def delivery_counts(self, incident_id: str) -> Mapping[str, ChannelCounts]:
        """Deliveries by channel."""
        async with self._engine.connect() as conn:
            found = await incident_summary(conn, incident_id)
        return {channel.value: counts for channel, counts in found.items()}

    async def notes(self, incident_id: str) -> Sequence[str]:
        async with self._engine.connect() as conn:
            rows = await conn.scalars(
                select(NoteRow.text)
                .where(NoteRow.incident_id == incident_id)
                .order_by(NoteRow.created_at, NoteRow.id)
            )
            return list(rows)

    async def statement(self, incident_id: str) -> Statement:
        """What a human stated; all of it empty where nobody has yet."""
        async with self._engine.connect() as conn:
            found = await conn.scalar(
                select(StatementRow.statement).where(StatementRow.incident_id == incident_id)
            )
        return Statement() if found is None else Statement.model_validate(found)

    async def state(self, incident_id: str, statement: Statement, by: str, now: datetime) -> None:
        """Keep what a human states in place of what was stated before, with an audit entry."""
        values = {
            "statement": statement.model_dump(mode="json"),
            "author": by,
            "stated_at": now,
        }
        async with self._engine.begin() as conn:
            await conn.execute(
                insert(StatementRow)
                .values(incident_id=incident_id, **values)
                .on_conflict_do_update(index_elements=["incident_id"], set_=values)
            )
            await append_in(conn, "post_mortem", by, {"state": "stated"}, now, incident_id)

    async def document(self, incident_id: str) -> PostMortemDocument | None:
        """The internal document and where it stands; None before the first is written."""
        row = PostMortemRow
        async with self._engine.connect() as conn:
            found = await conn.execute(
                select(
                    row.state, row.public, row.due, row.version, row.published_at,
                    row.published_by, row.internal_markdown,
                ).where(row.incident_id == incident_id)
            )  # fmt: skip
            first = found.mappings().first()
        return None if first is None else PostMortemDocument.model_validate(dict(first))

    async def customers_named(self, text: str) -> Sequence[str]:
        """Names of customers that occur in a text."""
        return await IncidentsRead(self._engine).customers_named(text)

    async def save_internal(
        self, incident_id: str, public: bool, due: datetime | None, markdown: str, version: int
    ) -> None:
        """Store the internal document beside the draft version under review."""
        values = {
            "public": public,
            "due": due,
            "state": "drafted",
            "internal_markdown": markdown,
            "version": version,
        }
        async with self._engine.begin() as conn:
            await conn.execute(
                insert(PostMortemRow)
                .values(incident_id=incident_id, **values)
                .on_conflict_do_update(index_elements=["incident_id"], set_=values)
            )

    async def finish(
        self, incident_id: str, state: str, version: int, by: str, at: datetime
    ) -> None:
        """Mark it published or completed once, with an audit entry."""
        async with self._engine.begin() as conn:
            done = await conn.execute(
                update(PostMortemRow)
                .where(PostMortemRow.incident_id == incident_id, PostMortemRow.state != state)
                .values(state=state, version=version, published_at=at, published_by=by)
            )
            if done.rowcount:
                await append_in(
                    conn, "post_mortem", by, {"state": state, "version": version}, at, incident_id
                )
