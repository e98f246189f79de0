"""Settling rows and sealing them: each batch leaves one digest in the audit chain."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import RowMapping, text
from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.db.chain import append_in
from adapters.db.digest import SETTLED, SETTLED_SQL, digest, tally
from domain.ports import Outcome

ACTOR = "forewarn"
# Small enough that nobody waits long for the chain.
_AT_ONCE = 5000
_BODY = ("n", "version", "hash", "moment", "allowed_by", "policy_hash")
_COLUMNS = f"""
    {tally()}, {digest()} AS digest, b.id AS broadcast_id, b.incident_id,
    {", ".join(f"b.{name}" for name in _BODY)}
"""

# `+ 0` keeps the planner off the index of open rows: with it, it would read a whole broadcast to
# find fifty rows by their ids.
_SETTLE = text(
    f"""
    WITH o AS (
        SELECT * FROM unnest(
            cast(:ids AS bigint[]), cast(:fences AS int[]), cast(:states AS text[]),
            cast(:providers AS text[]), cast(:reasons AS text[]), cast(:hashes AS text[]),
            cast(:retries AS timestamptz[]), cast(:sents AS timestamptz[]),
            cast(:attempted AS int[]), cast(:resent AS int[])
        ) AS o (id, fence, state, provider_id, reason, text_hash, retry_at, sent_at, attempted,
                resent)
    ),
    d AS (
        UPDATE deliveries d SET state = o.state, provider_id = o.provider_id, reason = o.reason,
            text_hash = coalesce(o.text_hash, d.text_hash), sent_at = o.sent_at,
            not_before = o.retry_at, lease_until = NULL,
            attempts = d.attempts + o.attempted, resent = d.resent + o.resent,
            settled_at = CASE WHEN o.state = 'pending' THEN NULL
                              ELSE cast(:now AS timestamptz) END
        FROM o
        WHERE d.id = o.id AND d.broadcast_id + 0 = :broadcast AND d.fence = o.fence
          AND d.state = 'sending'
        RETURNING d.*
    ),
    closed AS (SELECT * FROM d WHERE d.state IN {SETTLED_SQL})
    SELECT {_COLUMNS}, (SELECT count(*) FROM d) AS effective,
        array_agg(d.id) FILTER (WHERE d.id IS NOT NULL) AS ids
    FROM broadcasts b LEFT JOIN closed d ON true WHERE b.id = :broadcast GROUP BY b.id
    """
)
_BATCH = text(
    f"""
    SELECT {_COLUMNS} FROM deliveries d JOIN broadcasts b ON b.id = d.broadcast_id
    WHERE d.id = ANY(:ids) AND d.broadcast_id + 0 = :broadcast GROUP BY b.id
    """
)
_REST = text(
    f"""
    SELECT d.id FROM deliveries d
    WHERE d.incident_id = (SELECT incident_id FROM broadcasts WHERE id = :broadcast)
      AND d.id > :after AND d.broadcast_id = :broadcast AND d.audit_seq IS NULL
      AND d.state IN {SETTLED_SQL}
    ORDER BY d.id LIMIT :limit FOR UPDATE
    """
)
_MARK = text("UPDATE deliveries SET audit_seq = :seq WHERE id = ANY(:ids)")


async def sealed_settle(
    conn: AsyncConnection, outcomes: Sequence[Outcome], broadcast_id: int, now: datetime
) -> int:
    """Apply outcomes under their fences in one statement; seal those that are settled by it."""
    found = await conn.execute(
        _SETTLE,
        {
            "broadcast": broadcast_id,
            "now": now,
            "ids": [o.delivery_id for o in outcomes],
            "fences": [o.fence for o in outcomes],
            "states": [o.state for o in outcomes],
            "providers": [o.provider_id for o in outcomes],
            "reasons": [o.reason for o in outcomes],
            "hashes": [o.text_hash for o in outcomes],
            "retries": [o.retry_at for o in outcomes],
            "sents": [o.sent_at for o in outcomes],
            "attempted": [int(o.attempted) for o in outcomes],
            "resent": [int(o.resent) for o in outcomes],
        },
    )
    batch = found.mappings().one()
    if batch["ids"]:
        await _append(conn, batch, batch["ids"], now)
    return int(batch["effective"])


async def seal_batch(
    conn: AsyncConnection, broadcast_id: int, ids: Sequence[int], now: datetime
) -> None:
    """Seal rows that the caller settled, and holds locked, in this transaction."""
    if ids:
        parameters = {"ids": list(ids), "broadcast": broadcast_id}
        batch = (await conn.execute(_BATCH, parameters)).mappings().one()
        await _append(conn, batch, ids, now)


async def seal_rest(
    conn: AsyncConnection, broadcast_id: int, after: int, now: datetime
) -> int | None:
    """Seal some settled rows that no batch holds yet; the last id done, None when none is left."""
    parameters = {"broadcast": broadcast_id, "after": after, "limit": _AT_ONCE}
    ids = (await conn.execute(_REST, parameters)).scalars().all()
    await seal_batch(conn, broadcast_id, ids, now)
    return ids[-1] if ids else None


async def _append(
    conn: AsyncConnection, batch: RowMapping, ids: Sequence[int], now: datetime
) -> None:
    names = ("broadcast_id", "rows", "first", "last", *SETTLED, "digest", *_BODY)
    body: dict[str, object] = {name: batch[name] for name in names}
    seq = await append_in(conn, "sends", ACTOR, body, now, batch["incident_id"])
    await conn.execute(_MARK, {"seq": seq, "ids": list(ids)})
