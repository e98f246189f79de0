"""What a post-mortem is written from, and where its documents are kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.db.audit import append_in
from adapters.db.ledger_read import incident_summary
from adapters.db.models import NoteRow, PostMortemRow, TimelineRow
from domain.ports import ChannelCounts, TimelineEntry


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
