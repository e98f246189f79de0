"""Proves the audit log: chain, digests of the sends, balances and closure."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from adapters.db.chain import GENESIS, anchor, entry_hash
from adapters.db.closure import GAPS, gaps_parameters
from adapters.db.digest import SETTLED, SETTLED_SQL, digest, tally
from adapters.db.models import AuditRow
from domain.errors import BadInput, FieldError
from domain.ports import Model

# The kind of entry that `reconcile` writes where records are gone.
RECORDS_LOST = "records_lost"
# Entries per look at the ledger: each stands for at most some thousands of rows.
_PAGE = 500
_ANCHOR = re.compile(r"(\d+):([0-9a-f]{64})")
# What an entry about sends says of its broadcast, as the ledger must still say it.
BOUND = ("n", "version", "hash", "moment", "allowed_by", "policy_hash")

_BATCHES = text(
    f"""
    SELECT d.audit_seq, d.broadcast_id, {tally()}, {digest()} AS digest,
           {", ".join(f"b.{name}" for name in BOUND)}
    FROM deliveries d JOIN broadcasts b ON b.id = d.broadcast_id
    WHERE d.audit_seq BETWEEN :low AND :high
    GROUP BY d.audit_seq, d.broadcast_id, b.id
    """
)
_STRAY = text("SELECT min(audit_seq) FROM deliveries WHERE audit_seq > :head")
_UNBALANCED = text(
    f"""
    SELECT b.incident_id, b.n FROM broadcasts b
    WHERE b.finished_at IS NOT NULL AND EXISTS (
        SELECT 1 FROM deliveries d WHERE d.broadcast_id = b.id
          AND (d.state NOT IN {SETTLED_SQL} OR d.audit_seq IS NULL))
    ORDER BY 1, 2
    """
)
_GAPS = text(GAPS)


class VerifyReport(Model):
    """What was proven. `first_bad` names the first fault of the chain or its digests;
    `gaps` are broadcasts that don't balance and incidents whose customers miss an end; `cuts` are
    places where records are known to be lost, so that what was sent before cannot be proven."""

    ok: bool
    entries: int
    head: str
    first_bad: str | None
    sends_checked: int
    gaps: tuple[str, ...]
    cuts: tuple[str, ...] = ()


class _Broken(Exception):
    """The first fault found; ends the walk along the chain."""


async def verify_log(
    engine: AsyncEngine,
    expected: str | None = None,
    progress: Callable[[int], None] | None = None,
) -> VerifyReport:
    """Recompute everything from the rows, on one consistent view of the database.

    `expected` is an anchor `seq:hash` kept elsewhere: it shows a tail that was dropped or written
    anew. `progress` is told the number of entries done. Raises BadInput for a bad anchor.
    """
    known = _read_anchor(expected)
    async with engine.connect() as conn:
        await conn.execution_options(isolation_level="REPEATABLE READ")
        walk = _Walk(conn, known, progress)
        try:
            await walk.run()
            first_bad = None
        except _Broken as fault:
            first_bad = str(fault)
        gaps = await _gaps(conn)
    return VerifyReport(
        ok=first_bad is None and not gaps,
        entries=walk.seq,
        head=anchor(walk.seq, walk.hash),
        first_bad=first_bad,
        sends_checked=walk.sends,
        gaps=gaps,
        cuts=tuple(walk.cuts),
    )


def _read_anchor(expected: str | None) -> tuple[int, str] | None:
    if expected is None:
        return None
    match = _ANCHOR.fullmatch(expected.strip().lower())
    if match is None:
        allowed = "seq:hash as printed by audit verify, the hash in 64 hex digits"
        raise BadInput(
            "this is no anchor",
            [FieldError(field="anchor", value=expected, allowed=allowed)],
        )
    return int(match[1]), match[2]


class _Walk:
    """One pass along the chain; `seq` and `hash` are the last good link."""

    def __init__(
        self,
        conn: AsyncConnection,
        known: tuple[int, str] | None,
        progress: Callable[[int], None] | None,
    ) -> None:
        self.conn = conn
        self.known = known
        self.progress = progress
        self.seq = 0
        self.hash = GENESIS
        self.sends = 0
        self.cuts: list[str] = []

    async def run(self) -> None:
        while page := await self._page():
            start = page[0].seq
            for row in page:
                self._link(row)
            await self._sends(start, page)
            if self.progress:
                self.progress(self.seq)
        if self.known and self.known[0] > self.seq:
            raise _Broken(f"entry {self.seq + 1}: missing; the anchor knows {self.known[0]}")
        stray = (await self.conn.execute(_STRAY, {"head": self.seq})).scalar()
        if stray is not None:
            raise _Broken(f"entry {stray}: missing, and ledger rows refer to it")

    async def _page(self) -> Sequence[AuditRow]:
        query = select(AuditRow.__table__).where(AuditRow.seq > self.seq)
        rows = await self.conn.execute(query.order_by(AuditRow.seq).limit(_PAGE))
        return rows.all()  # type: ignore[return-value]  # rows of the table have its columns

    def _link(self, row: AuditRow) -> None:
        if row.seq != self.seq + 1:
            raise _Broken(f"entry {self.seq + 1}: missing")
        if bytes(row.prev_hash) != self.hash:
            raise _Broken(f"entry {row.seq}: does not follow from entry {self.seq}")
        computed = entry_hash(
            self.hash, row.seq, row.at, row.kind, row.actor, row.incident_id, row.body
        )
        if computed != bytes(row.hash):
            raise _Broken(f"entry {row.seq}: changed after it was written")
        if self.known and self.known[0] == row.seq and self.known[1] != computed.hex():
            raise _Broken(f"entry {row.seq}: not the one that the anchor knows")
        self.seq, self.hash = row.seq, computed
        if row.kind == RECORDS_LOST:
            self.cuts.append(_cut(row))

    async def _sends(self, low: int, page: Sequence[AuditRow]) -> None:
        bounds = {"low": low, "high": self.seq}
        batches: dict[int, list[dict[str, object]]] = {}
        for found in (await self.conn.execute(_BATCHES, bounds)).mappings():
            batches.setdefault(found["audit_seq"], []).append(dict(found))
        for row in page:
            there = batches.pop(row.seq, [])
            if row.kind == "sends":
                self._compare(row, there)
            elif there:
                raise _Broken(f"entry {row.seq}: ledger rows refer to it, but it is no batch")

    def _compare(self, row: AuditRow, there: list[dict[str, object]]) -> None:
        if not there:
            raise _Broken(f"entry {row.seq}: its ledger rows are gone")
        if len(there) > 1:
            raise _Broken(f"entry {row.seq}: rows of another broadcast were put into it")
        batch = there[0]
        for name in ("broadcast_id", "rows", "first", "last", *SETTLED, "digest", *BOUND):
            if row.body.get(name) != batch[name]:
                raise _Broken(
                    f"entry {row.seq}: the ledger's {name} is {batch[name]!r}, "
                    f"it was {row.body.get(name)!r}"
                )
        self.sends += int(row.body["rows"])


def _cut(row: AuditRow) -> str:
    """Where the log was cut, and what is not proven because of it."""
    messages = ", ".join(map(str, row.body.get("broadcasts") or ())) or "none"
    return (
        f"cut before entry {row.seq}: PostgreSQL came back older; incident {row.incident_id} lost "
        f"its steps {row.body.get('since')} to {row.body.get('until')}, "
        f"and who got messages: {messages}"
    )


async def _gaps(conn: AsyncConnection) -> tuple[str, ...]:
    found = [
        f"incident {row.incident_id} broadcast {row.n}: finished, but not every row is settled "
        "and sealed"
        for row in await conn.execute(_UNBALANCED)
    ]
    found += [
        f"incident {row.incident_id} {row.channel}: {row.missing} told the start miss the end"
        for row in await conn.execute(_GAPS, gaps_parameters(None, any_state=False))
    ]
    return tuple(found)
