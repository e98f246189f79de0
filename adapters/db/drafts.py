"""Draft versions: numbered per incident, never changed once written."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import delete, func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from adapters.db.models import DraftRow, DraftTextRow
from domain.errors import BadInput, FieldError, NotFound
from domain.facts import draft_hash
from domain.message import DraftText, DraftVersion, Facts, Finding

_EDITABLE = ("subject", "text", "html")


class DraftStore:
    """Implements `Drafts` on PostgreSQL."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def save(self, draft: DraftVersion, request: str, *, supersede: bool) -> DraftVersion:
        """Store a version under the next number; the same `request` returns what is there."""
        async with self._engine.begin() as conn:
            await _lock(conn, draft.incident_id)
            there = await conn.scalar(
                select(DraftRow.version).where(
                    DraftRow.incident_id == draft.incident_id, DraftRow.request == request
                )
            )
            if there is not None:
                return await _load(conn, draft.incident_id, there)
            if supersede:
                await conn.execute(
                    update(DraftRow)
                    .where(DraftRow.incident_id == draft.incident_id, DraftRow.state == "pending")
                    .values(state="superseded")
                )
            return await _insert(conn, draft, request)

    async def load(self, incident_id: str, version: int) -> DraftVersion:
        """A version with its texts; NotFound when there is none."""
        async with self._engine.connect() as conn:
            return await _load(conn, incident_id, version)

    async def edited(
        self, incident_id: str, version: int, edits: Sequence[DraftText], by: str, now: datetime
    ) -> DraftVersion:
        """What a version would be with some texts replaced; nothing is stored (see `save`).

        An edit of a channel and language that the version does not have is refused."""
        base = await self.load(incident_id, version)
        texts = {(t.channel, t.locale): t for t in base.texts}
        for index, edit in enumerate(edits):
            if (edit.channel, edit.locale) not in texts:
                allowed = ", ".join(f"{c}/{loc}" for c, loc in texts)
                raise BadInput(
                    f"draft {version} has no text for {edit.channel}/{edit.locale}",
                    [
                        FieldError(
                            field=f"edits.{index}",
                            value=f"{edit.channel}/{edit.locale}",
                            allowed=allowed,
                        )
                    ],
                )
            texts[(edit.channel, edit.locale)] = edit
        changed = tuple(texts.values())
        return base.model_copy(
            update={
                "texts": changed,
                "hash": draft_hash(changed, base.audience_rule),
                "author": by,
                "based_on": version,
                "created_at": now,
                "findings": (),
                "version": 0,
            }
        )

    async def discard(self, incident_id: str, version: int) -> None:
        """Take back an edited version that the incident refused; leaves nothing behind."""
        async with self._engine.begin() as conn:
            for row in (DraftTextRow, DraftRow):
                await conn.execute(
                    delete(row).where(row.incident_id == incident_id, row.version == version)
                )


async def _lock(conn: AsyncConnection, incident_id: str) -> None:
    await conn.execute(
        text("SELECT pg_advisory_xact_lock(hashtextextended(:key, 0))"),
        {"key": f"drafts:{incident_id}"},
    )


async def _insert(conn: AsyncConnection, draft: DraftVersion, request: str) -> DraftVersion:
    number = await conn.scalar(
        select(func.coalesce(func.max(DraftRow.version), 0) + 1).where(
            DraftRow.incident_id == draft.incident_id
        )
    )
    saved = draft.model_copy(update={"version": number})
    await conn.execute(
        insert(DraftRow).values(
            incident_id=saved.incident_id,
            version=saved.version,
            request=request,
            moment=saved.moment,
            number=saved.number,
            facts=saved.facts.model_dump(mode="json"),
            audience_rule=saved.audience_rule,
            hash=saved.hash,
            findings=[f.model_dump() for f in saved.findings],
            state="pending",
            author=saved.author,
            based_on=saved.based_on,
            created_at=saved.created_at,
        )
    )
    if saved.texts:
        await conn.execute(
            insert(DraftTextRow).values(
                [
                    {"incident_id": saved.incident_id, "version": saved.version, **t.model_dump()}
                    for t in saved.texts
                ]
            )
        )
    return saved


async def _load(conn: AsyncConnection, incident_id: str, version: int) -> DraftVersion:
    found = await conn.execute(
        select(DraftRow.__table__).where(
            DraftRow.incident_id == incident_id, DraftRow.version == version
        )
    )
    row = found.mappings().first()
    if row is None:
        raise NotFound(f"incident {incident_id} has no draft {version}")
    texts = await conn.execute(
        select(DraftTextRow.__table__)
        .where(DraftTextRow.incident_id == incident_id, DraftTextRow.version == version)
        .order_by(DraftTextRow.channel, DraftTextRow.locale)
    )
    return DraftVersion(
        incident_id=incident_id,
        version=version,
        moment=row["moment"],
        number=row["number"],
        texts=tuple(
            DraftText(
                channel=t["channel"],
                locale=t["locale"],
                subject=t["subject"],
                text=t["text"],
                html=t["html"],
            )
            for t in texts.mappings()
        ),
        facts=Facts.model_validate(row["facts"]),
        audience_rule=row["audience_rule"],
        hash=row["hash"],
        findings=tuple(Finding.model_validate(f) for f in row["findings"]),
        author=row["author"],
        based_on=row["based_on"],
        created_at=row["created_at"],
    )
