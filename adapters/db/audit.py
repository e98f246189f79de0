"""The audit log: append-only, hash-chained, free of personal data."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from datetime import datetime
from typing import Literal

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.db.audit_export import export_log
from adapters.db.audit_verify import VerifyReport, verify_log
from adapters.db.chain import GENESIS, HEAD, anchor, append_in
from adapters.db.models import AuditRow
from domain.ports import Model

__all__ = ["Audit", "AuditEntry", "VerifyReport", "append_in"]


class AuditEntry(Model):
    """One link of the chain, as programs read it."""

    seq: int
    at: datetime
    kind: str
    actor: str
    incident_id: str | None
    body: dict[str, object]
    hash: str


class Audit:
    """The chain in PostgreSQL; `append` stands alone, `append_in` joins a transaction."""

    def __init__(self, engine: AsyncEngine) -> None:
        self.engine = engine

    async def append(
        self,
        kind: str,
        actor: str,
        body: dict[str, object],
        at: datetime,
        incident_id: str | None = None,
    ) -> int:
        """Add one entry and return its sequence number. No personal data in it."""
        async with self.engine.begin() as conn:
            return await append_in(conn, kind, actor, body, at, incident_id)

    async def head(self) -> str:
        """The anchor `seq:hash` of the newest entry, to be kept elsewhere."""
        async with self.engine.connect() as conn:
            row = (await conn.execute(HEAD)).first()
            return anchor(row.seq, row.hash) if row else anchor(0, GENESIS)

    async def page(
        self,
        after: int = 0,
        limit: int = 100,
        kind: str | None = None,
        incident_id: str | None = None,
    ) -> tuple[AuditEntry, ...]:
        """Up to `limit` entries with a sequence number above `after`, in order."""
        query = select(AuditRow.__table__).where(AuditRow.seq > after)
        if kind is not None:
            query = query.where(AuditRow.kind == kind)
        if incident_id is not None:
            query = query.where(AuditRow.incident_id == incident_id)
        async with self.engine.connect() as conn:
            rows = await conn.execute(query.order_by(AuditRow.seq).limit(limit))
            return tuple(
                AuditEntry(
                    seq=row.seq,
                    at=row.at,
                    kind=row.kind,
                    actor=row.actor,
                    incident_id=row.incident_id,
                    body=row.body,
                    hash=bytes(row.hash).hex(),
                )
                for row in rows
            )

    async def verify(
        self, expected: str | None = None, progress: Callable[[int], None] | None = None
    ) -> VerifyReport:
        """Prove chain, digests, balances and closure; `expected` is an anchor kept elsewhere."""
        return await verify_log(self.engine, expected, progress)

    def export(
        self,
        format: Literal["csv", "jsonl"],
        since: datetime | None = None,
        until: datetime | None = None,
        incident: str | None = None,
    ) -> AsyncIterator[str]:
        """The sends and the chain's entries as lines of text, without addresses and names."""
        return export_log(self.engine, format, since, until, incident)
