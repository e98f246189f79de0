"""Tells people on another channel whom a channel of a broadcast cannot reach for good.

A stand-in is a row like any other; its `why` begins with the channel that failed. It is written
only for whoever can be reached there now: preferences, suppressions, segments and quiet hours
count as for everybody else.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.db.freeze import ADDRESS, JUDGED, TOLD_ONLY, judging
from domain.message import PER_CONTACT, Channel
from domain.policy import Policy
from domain.ports import BroadcastSpec

# Who cannot be reached; a preference, an unsubscription or the hour of night is another matter.
OUT_OF_REACH = ("bounced", "complained", "no_address")
_STANDS_IN = "instead-of-"

_LOST = "({row}.state = 'failed' OR {row}.state = 'suppressed' AND {row}.reason = ANY(:lost))"


def _statement(channel: Channel) -> TextClause:
    address = f"nullif({ADDRESS[channel]}, '')"
    return text(
        f"""
        WITH lost AS MATERIALIZED (
            SELECT d.recipient, d.why FROM deliveries d
            WHERE d.broadcast_id = :broadcast AND d.channel = :failed AND {_LOST.format(row="d")}
              -- Nobody stands in for a stand-in.
              AND NOT starts_with(d.why, '{_STANDS_IN}')
        ),
        -- Each read once: looked up per person, they would be read through for every one of them.
        reached AS MATERIALIZED (
            -- By an earlier channel of the order, or about to be.
            SELECT s.recipient FROM deliveries s
            WHERE s.broadcast_id = :broadcast AND s.channel = ANY(:order)
              AND starts_with(s.why, :mark) AND NOT {_LOST.format(row="s")}
        ),
        anyway AS MATERIALIZED (
            -- To whom this message goes, or went, there anyway, if in another part of it.
            SELECT o.recipient, o.state, lower(o.address) AS address FROM deliveries o
            WHERE o.broadcast_id = ANY(:parts) AND o.channel = :channel
        ),
        waiting AS (
            SELECT l.* FROM lost l
            WHERE NOT EXISTS (SELECT 1 FROM reached x WHERE x.recipient = l.recipient)
              AND NOT EXISTS (SELECT 1 FROM anyway x WHERE x.recipient = l.recipient)
        ),
        seen AS (
            SELECT c.id AS recipient, c.id AS contact_id, :mark || w.why AS why, false AS told,
                   true AS sure, c.account_id, c.name, {address} AS address, c.locale, c.timezone,
                   a.segment,
                   :channel = ANY(CASE WHEN cardinality(c.channels) = 0
                                       THEN ARRAY['email', 'in_app'] ELSE c.channels END)
                   AS allowed
            FROM waiting w JOIN contacts c ON c.id = w.recipient
            LEFT JOIN accounts a ON a.id = c.account_id
            -- One telephone of two people rings once.
            WHERE NOT EXISTS (SELECT 1 FROM anyway x WHERE x.address = lower({address})
                                                       AND x.state <> 'suppressed')
        ),
        {JUDGED}
        INSERT INTO deliveries (broadcast_id, incident_id, channel, recipient, account_id,
            contact_id, name, address, locale, timezone, why, priority, state, reason, settled_at)
        SELECT :broadcast, :incident, :channel, r.recipient, r.account_id, r.contact_id, r.name,
            r.address, coalesce(r.locale, :locale), coalesce(r.timezone, :timezone), r.why,
            :rank + CASE WHEN r.segment = ANY(:first_segments) THEN 0 ELSE 1 END,
            CASE WHEN r.suppressed IS NULL THEN 'pending' ELSE 'suppressed' END, r.suppressed,
            CASE WHEN r.suppressed IS NOT NULL THEN cast(:now AS timestamptz) END
        FROM ranked r
        WHERE r.suppressed IS NULL OR r.suppressed = 'dry_run'
        ON CONFLICT (broadcast_id, channel, recipient) DO NOTHING
        """
    )


_STATEMENTS = {channel: _statement(channel) for channel in PER_CONTACT}

# A version may leave in parts, each a broadcast of its own.
_PARTS = text(
    """
    SELECT b.id, b.channels FROM broadcasts b
    WHERE b.incident_id = :incident AND b.version = :version
    """
)
_OPEN = text(
    """
    SELECT channel, count(*) AS rows FROM deliveries
    WHERE broadcast_id = :broadcast AND state IN ('pending', 'sending')
      AND channel = ANY(:order) AND starts_with(why, :mark)
    GROUP BY channel
    """
)


async def fall_back(
    conn: AsyncConnection,
    broadcast_id: int,
    spec: BroadcastSpec,
    policy: Policy,
    failed: Channel,
    order: Sequence[Channel],
    now: datetime,
) -> dict[Channel, int]:
    """Write rows on the next channel of `order` for those whom `failed` cannot reach.

    The channels of `order` have a way out. Returns how many rows still stand in for `failed` and
    are not settled, by channel; again changes nothing until they are.
    """
    parts = (
        await conn.execute(_PARTS, {"incident": spec.incident_id, "version": spec.version})
    ).all()
    given = {
        "broadcast": broadcast_id,
        "failed": failed.value,
        "order": [c.value for c in order],
        "mark": f"{_STANDS_IN}{failed.value}: ",
        "lost": list(OUT_OF_REACH),
        "parts": [part.id for part in parts],
    }
    for channel in order:
        about = judging(broadcast_id, spec, policy, channel, True, now)
        await conn.execute(_STATEMENTS[channel], about | given)
    rows = await conn.execute(_OPEN, given)
    return {Channel(row.channel): row.rows for row in rows}


async def resting(
    conn: AsyncConnection, spec: BroadcastSpec, fallbacks: Mapping[Channel, Collection[Channel]]
) -> tuple[Channel, ...]:
    """Fallback channels that no part of an end goes to: people may have been told there."""
    named = dict.fromkeys(c for order in fallbacks.values() for c in order)
    if not named or spec.moment not in TOLD_ONLY:
        return ()
    parts = await conn.execute(_PARTS, {"incident": spec.incident_id, "version": spec.version})
    used = {name for part in parts for name in part.channels}
    return tuple(c for c in named if c not in used)
