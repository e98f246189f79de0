"""A human's words for customers, kept out of workflow history."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.db.ids import new_id
from adapters.db.models import NoteRow


class Notes:
    """The notes in PostgreSQL."""

    def __init__(self, engine: AsyncEngine) -> None:
        self.engine = engine

    async def save(
        self, incident_id: str, text: str, author: str, now: datetime, request: str | None = None
    ) -> str:
        """Keep the words and return their id; the same `request` again is the same note."""
        digest = hashlib.sha256(f"{incident_id}\0{request}".encode()).hexdigest()
        note_id = f"note_{digest[:24]}" if request else new_id("note")
        values = {
            "id": note_id, "incident_id": incident_id, "text": text, "author": author,
            "created_at": now,
        }  # fmt: skip
        async with self.engine.begin() as conn:
            await conn.execute(insert(NoteRow).values(values).on_conflict_do_nothing())
        return note_id

    async def texts(self, notes: Mapping[str, str]) -> dict[str, str]:
        """The words of notes named by key; a lost note has none."""
        if not notes:
            return {}
        ids = select(NoteRow.id, NoteRow.text).where(NoteRow.id.in_(notes.values()))
        async with self.engine.connect() as conn:
            words = {row.id: row.text for row in await conn.execute(ids)}
        return {key: words[note] for key, note in notes.items() if note in words}
