"""What a language model was asked for per incident: its budget, and what became of its drafts."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey, Integer, text, update
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.orm import Mapped, mapped_column

from adapters.db.models import Base
from domain.message import Finding

_LOCK = text("SELECT pg_advisory_xact_lock(hashtextextended(:key, 0))")
_SPENT = text("SELECT coalesce(sum(tokens), 0) FROM model_drafts WHERE incident_id = :incident")


class ModelDraftRow(Base):
    """One draft asked of a model; `request` is that of the version it was for (`drafts.request`).

    `outcome` is `written`, or why the templates wrote it. `tokens` is what was read and written;
    until the answer is there, and where it never came, what it may have cost at most. `findings`
    are those of the first attempt.
    """

    __tablename__ = "model_drafts"
    incident_id: Mapped[str] = mapped_column(ForeignKey("incidents.id"), primary_key=True)
    request: Mapped[str] = mapped_column(primary_key=True)
    model: Mapped[str]
    attempts: Mapped[int] = mapped_column(Integer, server_default="0")
    outcome: Mapped[str] = mapped_column(server_default="asked")
    tokens: Mapped[int] = mapped_column(BigInteger, server_default="0")
    findings: Mapped[list[object]] = mapped_column(JSONB, server_default=text("'[]'"))
    asked_at: Mapped[datetime]


class ModelDrafts:
    """The budget of an incident, shared by all workers, and the record of its drafts."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def reserve(
        self, incident_id: str, request: str, model: str, tokens: int, limit: int, now: datetime
    ) -> bool:
        """Set tokens aside before they are spent; False where the incident has not as many left."""
        async with self._engine.begin() as conn:
            await conn.execute(_LOCK, {"key": f"model_drafts:{incident_id}"})
            spent = await conn.scalar(_SPENT, {"incident": incident_id}) or 0
            if spent + tokens > limit:
                return False
            await _add(conn, incident_id, request, model, tokens, now)
            return True

    async def record(
        self,
        incident_id: str,
        request: str,
        model: str,
        *,
        outcome: str,
        attempts: int,
        unused: int,
        findings: Sequence[Finding],
        now: datetime,
    ) -> None:
        """Say how a draft ended, and give back the tokens that were set aside and not used."""
        async with self._engine.begin() as conn:
            await _add(conn, incident_id, request, model, -unused, now)
            await conn.execute(
                update(ModelDraftRow)
                .where(ModelDraftRow.incident_id == incident_id, ModelDraftRow.request == request)
                .values(
                    outcome=outcome,
                    attempts=attempts,
                    findings=[f.model_dump() for f in findings],
                )
            )

    async def spent(self, incident_id: str) -> int:
        """Tokens that the drafts of an incident have cost so far."""
        async with self._engine.connect() as conn:
            return int(await conn.scalar(_SPENT, {"incident": incident_id}) or 0)


async def _add(
    conn: AsyncConnection, incident_id: str, request: str, model: str, tokens: int, now: datetime
) -> None:
    """Add tokens to a request's row; a repeated request is one row that costs twice."""
    row = insert(ModelDraftRow).values(
        incident_id=incident_id, request=request, model=model, tokens=tokens, asked_at=now
    )
    await conn.execute(
        row.on_conflict_do_update(
            index_elements=["incident_id", "request"],
            set_={"tokens": ModelDraftRow.tokens + row.excluded.tokens},
        )
    )
