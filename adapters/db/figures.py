"""Figures for monitoring, each cheap however large the ledger has grown.

Nothing reads the whole of `deliveries`: open rows are counted by their partial index, and settled
ones are counted once, as the audit chain numbers them, on top of what was counted before.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from psycopg.errors import QueryCanceled
from sqlalchemy import Row, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from adapters.db.freeze import STAFF
from domain.maintenance import ID_PREFIX

STATEMENT_MS = 1500
MOST_OPEN = 10_000
# Beyond so many entries of the chain (a few hundred thousand rows) a pause in counting is not made
# good: the counter stands still for that stretch, and scraping stays cheap.
MOST_ENTRIES = 20_000
DELAY_BOUNDS = (5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0)

_TIMEOUT = text(f"SET LOCAL statement_timeout = {STATEMENT_MS}")
_INBOX = text("""
    SELECT count(*) AS waiting,
           coalesce(extract(epoch FROM :now - min(received_at)), 0) AS seconds
    FROM signals WHERE relayed_at IS NULL AND incident_id IS NOT NULL
""")
# Planned work is no incident, though a row of the same table.
_INCIDENTS = text(f"""
    SELECT stage, severity, count(*) AS n FROM incidents
    WHERE open AND NOT starts_with(id, '{ID_PREFIX}') GROUP BY 1, 2
""")
_PROMISES = text("""
    SELECT count(*) AS open, count(*) FILTER (WHERE p.due < :now) AS overdue,
           coalesce(extract(epoch FROM :now - min(p.due) FILTER (WHERE p.due < :now)), 0) AS late,
           extract(epoch FROM min(p.due)) AS next
    FROM incidents i JOIN promises p ON p.incident_id = i.id
    WHERE i.open AND p.state = 'open'
""")
_SETTLED_PROMISES = text("""
    SELECT state, count(*) AS n FROM promises WHERE state IN ('kept', 'missed') GROUP BY 1
""")
_APPROVALS = text("""
    SELECT i.severity, count(*) AS n,
           greatest(max(extract(epoch FROM :now - d.created_at)), 0) AS oldest
    FROM incidents i
    JOIN drafts d ON d.incident_id = i.id AND d.version = (i.pending->>'draft')::int
    WHERE i.open AND i.pending IS NOT NULL AND i.pending <> 'null'::jsonb GROUP BY 1
""")
# A million rows that wait would take seconds to count; how many beyond so many, nobody acts on.
_OPEN_ROWS = text("""
    SELECT c AS channel, d.state, count(*) AS n
    FROM broadcasts b CROSS JOIN unnest(b.channels) c CROSS JOIN LATERAL (
        SELECT state FROM deliveries WHERE broadcast_id = b.id AND channel = c
        AND state IN ('pending', 'sending') LIMIT :most) d
    WHERE b.finished_at IS NULL GROUP BY 1, 2
""")
_CHAIN_END = text("SELECT coalesce(max(seq), 0) FROM audit_log")
_SETTLED_ROWS = text("""
    SELECT channel, state, count(*) AS n FROM deliveries
    WHERE audit_seq > :seen AND audit_seq <= :upto GROUP BY 1, 2
""")
# A broadcast that was decided before this process began to look may have rows it did not see.
_FIRST_SENT = text("""
    SELECT b.incident_id, b.allowed_by LIKE 'policy%' AS automatic,
           extract(epoch FROM first.sent_at - i.confirmed_at) AS seconds
    FROM broadcasts b JOIN incidents i ON i.id = b.incident_id CROSS JOIN LATERAL (
        SELECT min(sent_at) AS sent_at FROM deliveries d
        WHERE d.audit_seq > :seen AND d.audit_seq <= :upto AND d.broadcast_id + 0 = b.id
          AND d.state = 'sent' AND NOT d.channel = ANY(:staff)) first
    WHERE b.moment = 'initial' AND b.created_at >= :since AND i.confirmed_at IS NOT NULL
      AND NOT b.incident_id = ANY(:known) AND first.sent_at IS NOT NULL
""")
_SWITCH = text("SELECT active FROM switches WHERE name = 'sends_paused'")
_IMPORTED = text("SELECT extract(epoch FROM :now - max(at)) FROM imports")


@dataclass(frozen=True)
class Approvals:
    """Drafts that wait for a person, and for how long the first of them has."""

    waiting: int
    oldest_seconds: float


@dataclass(frozen=True)
class Delays:
    """How long first messages took after confirmed impact: how many within each bound, and all."""

    within: tuple[int, ...] = (0,) * len(DELAY_BOUNDS)
    count: int = 0
    seconds: float = 0.0

    def plus(self, seconds: float) -> Delays:
        """With one more."""
        pairs = zip(self.within, DELAY_BOUNDS, strict=True)
        return Delays(
            within=tuple(n + (seconds <= bound) for n, bound in pairs),
            count=self.count + 1,
            seconds=self.seconds + seconds,
        )


@dataclass(frozen=True)
class Figures:
    """What PostgreSQL says of this moment.

    `settled` and `first_messages` (by who let them out: policy or person) count from when this
    process began to look. `open_rows` are at most MOST_OPEN per broadcast and channel, and None
    when counting them took too long: a slow ledger must not hide that the rest is well.
    """

    inbox_waiting: int
    inbox_lag_seconds: float
    incidents: Mapping[tuple[str, str], int]
    promises_open: int
    promises_overdue: int
    most_overdue_seconds: float
    next_promise_due: float | None
    promises: Mapping[str, int]
    approvals: Mapping[str, Approvals]
    open_rows: Mapping[tuple[str, str], int] | None
    settled: Mapping[tuple[str, str], int]
    sends_paused: bool
    customer_data_age_seconds: float | None
    first_messages: Mapping[str, Delays]


@dataclass
class FiguresStore:
    """Reads the figures; one instance per process, because it remembers what it has counted."""

    engine: AsyncEngine
    _settled: Counter[tuple[str, str]] = field(default_factory=Counter)
    _seen: int | None = None
    _since: datetime | None = None
    _first: set[str] = field(default_factory=set)
    _delays: dict[str, Delays] = field(
        default_factory=lambda: {"policy": Delays(), "person": Delays()}
    )

    async def read(self, now: datetime) -> Figures:
        """All figures; raises what SQLAlchemy raises while PostgreSQL is away or too slow."""
        at = {"now": now}
        async with self.engine.connect() as conn:
            await conn.execute(_TIMEOUT)
            inbox = (await conn.execute(_INBOX, at)).one()
            incidents = (await conn.execute(_INCIDENTS)).all()
            promises = (await conn.execute(_PROMISES, at)).one()
            settled = (await conn.execute(_SETTLED_PROMISES)).all()
            approvals = (await conn.execute(_APPROVALS, at)).all()
            paused = await conn.scalar(_SWITCH)
            age = await conn.scalar(_IMPORTED, at)
            open_rows = await self._ledger(conn, now)
        return Figures(
            inbox_waiting=inbox.waiting,
            inbox_lag_seconds=float(inbox.seconds),
            incidents={(r.stage, r.severity): r.n for r in incidents},
            promises_open=promises.open,
            promises_overdue=promises.overdue,
            most_overdue_seconds=float(promises.late),
            next_promise_due=None if promises.next is None else float(promises.next),
            promises={"kept": 0, "missed": 0} | {r.state: r.n for r in settled},
            approvals={r.severity: Approvals(r.n, float(r.oldest)) for r in approvals},
            open_rows=open_rows,
            settled=dict(self._settled),
            sends_paused=bool(paused),
            customer_data_age_seconds=None if age is None else float(age),
            first_messages=dict(self._delays),
        )

    async def _ledger(
        self, conn: AsyncConnection, now: datetime
    ) -> Mapping[tuple[str, str], int] | None:
        try:
            async with conn.begin_nested():
                await self._count_settled(conn, now)
                rows = (await conn.execute(_OPEN_ROWS, {"most": MOST_OPEN})).all()
        except OperationalError as error:
            if not isinstance(error.orig, QueryCanceled):
                raise
            return None
        return _by_channel_and_state(rows)

    async def _count_settled(self, conn: AsyncConnection, now: datetime) -> None:
        """Count the rows that were sealed since the last time; entries are numbered in order."""
        end: int = (await conn.execute(_CHAIN_END)).scalar_one()
        seen, since = self._seen, self._since
        if seen is None or since is None or not 0 <= end - seen <= MOST_ENTRIES:
            self._seen, self._since = end, now
            return
        if end == seen:
            return
        stretch: dict[str, object] = {"seen": seen, "upto": end}
        counted = _by_channel_and_state((await conn.execute(_SETTLED_ROWS, stretch)).all())
        known = {"since": since, "staff": list(STAFF), "known": list(self._first)}
        sent = (await conn.execute(_FIRST_SENT, stretch | known)).all()
        # Kept only now: a statement that failed above is asked the same again.
        self._settled.update(counted)
        self._seen = end
        for row in sent:
            if row.incident_id not in self._first:
                self._first.add(row.incident_id)
                let_by = "policy" if row.automatic else "person"
                delay = max(float(row.seconds), 0.0)
                self._delays[let_by] = self._delays[let_by].plus(delay)


def _by_channel_and_state(rows: Sequence[Row[Any]]) -> dict[tuple[str, str], int]:
    return {(r.channel, r.state): r.n for r in rows}
