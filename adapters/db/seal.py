"""Settling rows and sealing them: each batch leaves one digest in the audit chain."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from psycopg import AsyncConnection as Connection
from psycopg.rows import dict_row
from sqlalchemy import RowMapping, text
from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.db.chain import CHAIN_LOCK, LINK, append_in, link, storable
from adapters.db.digest import SETTLED, SETTLED_SQL, digest, tally
from adapters.db.driver import for_driver
from domain.ports import Outcome

ACTOR = "forewarn"
# Small enough that nobody waits long for the chain.
_AT_ONCE = 5000
_BODY = ("n", "version", "hash", "moment", "allowed_by", "policy_hash")
_COLUMNS = f"""
    {tally()}, {digest()} AS digest, b.id AS broadcast_id, b.incident_id,
    {", ".join(f"b.{name}" for name in _BODY)}
"""

_OUTCOMES = """
    json_to_recordset(cast(:outcomes AS json)) AS o (id bigint, fence int, state text,
        provider_id text, reason text, text_hash text, retry_at timestamptz, sent_at timestamptz,
        attempted int, resent int)
"""
# `|| ''` keeps the planner off the index of open rows: with it, it would read a whole broadcast to
# find fifty rows. The ids stand apart from the outcomes so that it sees how few they are.
_STILL_OURS = """
    d.id = ANY(cast(:ids AS bigint[])) AND d.id = o.id AND d.broadcast_id + 0 = :broadcast
    AND d.fence = o.fence AND d.state || '' = 'sending'
"""
# First the rows are locked and the digest of what they will be is taken, then the chain is locked:
# by a statement of its own, since the next one must see what was committed during the wait, and
# sent together with it, since whoever holds the chain must not wait for anybody's program.
_HOLD = for_driver(
    f"""
    WITH held AS MATERIALIZED (
        SELECT d.id, d.recipient, d.account_id, d.contact_id, d.channel, o.state, o.sent_at,
            o.reason, coalesce(o.text_hash, d.text_hash) AS text_hash
        FROM {_OUTCOMES} JOIN deliveries d ON {_STILL_OURS} ORDER BY d.id FOR UPDATE OF d
    )
    SELECT {_COLUMNS} FROM held d JOIN broadcasts b ON b.id = :broadcast
    WHERE d.state IN {SETTLED_SQL} GROUP BY b.id
    """
)
_LOCK = for_driver("SELECT pg_advisory_xact_lock(:key)")
_SETTLE = """
    UPDATE deliveries d SET state = o.state, provider_id = o.provider_id, reason = o.reason,
        text_hash = coalesce(o.text_hash, d.text_hash), sent_at = o.sent_at,
        not_before = o.retry_at, lease_until = NULL,
        attempts = d.attempts + o.attempted, resent = d.resent + o.resent,
        settled_at = CASE WHEN o.state = 'pending' THEN NULL ELSE cast(:now AS timestamptz) END
"""
_SETTLE_UNSEALED = for_driver(f"{_SETTLE} FROM {_OUTCOMES} WHERE {_STILL_OURS}")
_SETTLE_SEALED = for_driver(
    f"""
    WITH entry AS ({LINK})
    {_SETTLE}, audit_seq = CASE WHEN o.state <> 'pending' THEN (SELECT seq FROM entry) END
    FROM {_OUTCOMES} WHERE {_STILL_OURS}
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
    conn: Connection, outcomes: Sequence[Outcome], broadcast_id: int, now: datetime
) -> int:
    """Apply outcomes under their fences and seal what is settled by it: two round trips."""
    rows = json.dumps([_row(o) for o in outcomes])
    ids = f"{{{','.join(str(o.delivery_id) for o in outcomes)}}}"
    given = {"outcomes": rows, "ids": ids, "broadcast": broadcast_id, "now": now}
    async with conn.pipeline():
        cursor = conn.cursor(row_factory=dict_row)
        held = await cursor.execute(_HOLD, given)
        batch = await held.fetchone()
        if batch is None:
            done = await conn.execute(_SETTLE_UNSEALED, given)
        else:
            sealing = link("sends", ACTOR, _body(batch), now, batch["incident_id"])
            await conn.execute(_LOCK, {"key": CHAIN_LOCK})
            done = await conn.execute(_SETTLE_SEALED, given | sealing)
        await conn.commit()
    return done.rowcount


def _row(outcome: Outcome) -> dict[str, object]:
    reason, provider = outcome.reason, outcome.provider_id
    return {
        "id": outcome.delivery_id,
        "fence": outcome.fence,
        "state": outcome.state,
        # A provider's words may hold what a text column does not take.
        "provider_id": provider and storable(provider),
        "reason": reason and storable(reason),
        "text_hash": outcome.text_hash,
        "retry_at": outcome.retry_at and outcome.retry_at.isoformat(),
        "sent_at": outcome.sent_at and outcome.sent_at.isoformat(),
        "attempted": int(outcome.attempted),
        "resent": int(outcome.resent),
    }


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
    seq = await append_in(conn, "sends", ACTOR, _body(batch), now, batch["incident_id"])
    await conn.execute(_MARK, {"seq": seq, "ids": list(ids)})


def _body(batch: Mapping[str, Any] | RowMapping) -> dict[str, object]:
    names = ("broadcast_id", "rows", "first", "last", *SETTLED, "digest", *_BODY)
    return {name: batch[name] for name in names}
