"""Answers to commands, kept so that a repeated command gets the same one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

from sqlalchemy import and_, delete, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.db.models import IdempotencyRow
from domain.errors import Refused

KEPT_FOR = timedelta(days=7)
# Longer than any command may take: an older claim without an answer died with its process.
ABANDONED_AFTER = timedelta(seconds=60)


class Claim(Enum):
    """Whose work a claimed command is."""

    MINE = "mine"
    BUSY = "busy"


@dataclass(frozen=True)
class Answer:
    """What a command was answered."""

    status: int
    body: str


class Idempotency:
    """One row per key and actor: claimed first, then answered or given back."""

    def __init__(self, engine: AsyncEngine) -> None:
        self.engine = engine

    async def claim(self, key: str, actor: str, request_hash: str, now: datetime) -> Answer | Claim:
        """The answer if there is one, else whether the work is the caller's.

        Raises Refused `idempotency_conflict` when the key stood for another request.
        """
        abandoned = and_(
            IdempotencyRow.status.is_(None), IdempotencyRow.created_at < now - ABANDONED_AFTER
        )
        expired = IdempotencyRow.created_at < now - KEPT_FOR
        row = IdempotencyRow.__table__
        values = {
            "key": key, "actor": actor, "request_hash": request_hash,
            "status": None, "body": None, "created_at": now,
        }  # fmt: skip
        taken = insert(IdempotencyRow).values(values).on_conflict_do_nothing()
        async with self.engine.begin() as conn:
            await conn.execute(delete(IdempotencyRow).where(expired))
            inserted = await conn.execute(taken.returning(row.c.key))
            if inserted.one_or_none() is not None:
                return Claim.MINE
            mine = and_(row.c.key == key, row.c.actor == actor)
            found = (await conn.execute(row.select().where(mine).with_for_update())).one_or_none()
            if found is None:
                return Claim.BUSY
            if found.request_hash != request_hash:
                raise Refused(
                    "idempotency_conflict", "this Idempotency-Key was used for another request"
                )
            if found.status is not None:
                return Answer(status=found.status, body=found.body or "")
            resumed = await conn.execute(
                update(IdempotencyRow).where(mine, abandoned).values(created_at=now)
            )
            return Claim.MINE if resumed.rowcount else Claim.BUSY

    async def answer(self, key: str, actor: str, answer: Answer) -> None:
        """Keep the answer for whoever repeats the command."""
        statement = (
            update(IdempotencyRow)
            .where(IdempotencyRow.key == key, IdempotencyRow.actor == actor)
            .values(status=answer.status, body=answer.body)
        )
        async with self.engine.begin() as conn:
            await conn.execute(statement)

    async def release(self, key: str, actor: str) -> None:
        """Give the claim back: nothing was done, the same key may be tried again."""
        statement = delete(IdempotencyRow).where(
            IdempotencyRow.key == key,
            IdempotencyRow.actor == actor,
            IdempotencyRow.status.is_(None),
        )
        async with self.engine.begin() as conn:
            await conn.execute(statement)
