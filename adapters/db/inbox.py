"""The stored signals on their way to the workflows: what is untold, and in what batch."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime

from pydantic import BaseModel, ConfigDict
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from domain.classification import NOT_CONFIRMED, OLDEST_START, UNKNOWN_COMPONENT, UNKNOWN_REGION
from domain.grouping import category_of_all
from domain.signal import AlertBatch, Severity

MAX_REASONS = 5
MAX_WAITING = 200

_UNRELAYED = text("""
    SELECT incident_id FROM signals
    WHERE relayed_at IS NULL AND incident_id IS NOT NULL
    GROUP BY incident_id ORDER BY min(severity), min(seq) LIMIT :most
""")

_LOCK = text("SELECT pg_try_advisory_xact_lock(hashtextextended('relay ' || :incident_id, 0))")

# Numbers are drawn before their rows are committed, so a row may turn up below the watermark that
# the workflow has already reached, and would be skipped there.
_RENUMBER = text("""
    UPDATE signals SET seq = nextval(pg_get_serial_sequence('signals', 'seq'))
    WHERE incident_id = :incident_id AND relayed_at IS NULL AND seq <= (
        SELECT seq FROM signals WHERE incident_id = :incident_id AND relayed_at IS NOT NULL
        ORDER BY seq DESC LIMIT 1)
""")

_CLAIM = text("""
    WITH told AS (
        UPDATE signals SET relayed_at = :now
        WHERE incident_id = :incident_id AND relayed_at IS NULL RETURNING seq)
    SELECT min(seq) - 1 AS low, max(seq) AS high FROM told
""")

_INCIDENT = text("""
    SELECT policy_hash, dry_run, opened_at, correlation_id, severity, components,
           state IS NOT NULL AS recorded
    FROM incidents WHERE id = :incident_id
""")

# Only what fires says how bad it is; what resolved only counts.
_BATCH = text("""
    WITH s AS MATERIALIZED (
        SELECT seq, source, severity, severity_stated, category, confirms, affected_share,
               components, regions, reasons, status = 'firing' AS fires, received_at, relates,
               (signal->>'started_at')::timestamptz AS started_at
        FROM signals WHERE incident_id = :incident_id AND seq > :low AND seq <= :high
          AND (:untold_too OR relayed_at IS NOT NULL))
    SELECT count(*) AS received,
           max(seq) AS watermark,
           min(severity) FILTER (WHERE fires) AS severity,
           bool_or(severity_stated) FILTER (WHERE fires) AS severity_stated,
           bool_or(confirms) FILTER (WHERE fires) AS confirms,
           max(affected_share) FILTER (WHERE fires) AS affected_share,
           bool_or(cardinality(regions) = 0) FILTER (WHERE fires) AS everywhere,
           min(CASE WHEN started_at BETWEEN received_at - :oldest AND received_at
                    THEN started_at ELSE received_at END) FILTER (WHERE fires) AS started_at,
           array_agg(DISTINCT category) FILTER (WHERE fires) AS categories,
           array_agg(DISTINCT source) AS sources,
           (SELECT array_agg(DISTINCT c) FROM s, unnest(components) c WHERE fires) AS components,
           (SELECT array_agg(DISTINCT r) FROM s, unnest(relates) r
            WHERE cardinality(relates) > 0) AS relates,
           (SELECT array_agg(DISTINCT r) FROM s, unnest(regions) r WHERE fires) AS regions,
           (SELECT array_agg(reason ORDER BY first, place) FROM (
                SELECT CASE WHEN starts_with(r, :strange_component)
                              OR starts_with(r, :strange_region)
                            THEN split_part(r, ':', 1) ELSE r END AS reason,
                       min(seq) AS first, min(n) AS place
                FROM s, unnest(reasons) WITH ORDINALITY u(r, n) WHERE fires
                GROUP BY 1) AS said) AS reasons,
           (SELECT count(*) FROM alerts
            WHERE incident_id = :incident_id AND open AND firing) AS firing,
           (SELECT array_agg(DISTINCT split_part(fingerprint, ':', 1)) FROM alerts
            WHERE incident_id = :incident_id AND open AND firing) AS firing_sources
    FROM s
""")


class Untold(BaseModel):
    """What a workflow has to be told of its incident, and what it is started with.

    `recorded` says that it has run before: then it is told, and never started from nothing.
    """

    model_config = ConfigDict(frozen=True)

    incident_id: str
    policy_hash: str
    dry_run: bool
    opened_at: datetime
    correlation_id: str
    severity: str
    components: tuple[str, ...]
    recorded: bool = False
    batch: AlertBatch


class Inbox:
    """Reads and marks the inbox; implements the port `SignalInbox`."""

    def __init__(self, engine: AsyncEngine) -> None:
        self.engine = engine

    async def batch_after(self, incident_id: str, watermark: int) -> AlertBatch | None:
        """The stored signals of an incident above a watermark as one batch; None for none.

        `regions` empty with a severity given means that an alert spoke of all regions.
        """
        async with self.engine.connect() as conn:
            return await _batch(conn, incident_id, watermark, 2**63 - 1, untold_too=True)

    async def unrelayed(self) -> list[str]:
        """At most 200 incidents with signals that their workflow was not told, worst first."""
        async with self.engine.connect() as conn:
            rows = await conn.execute(_UNRELAYED, {"most": MAX_WAITING})
            return [row.incident_id for row in rows]

    @asynccontextmanager
    async def telling(self, incident_id: str, now: datetime) -> AsyncIterator[Untold | None]:
        """What to tell, marked as told when the block ends without an error.

        None when there is nothing, or when another process is telling it at this moment. Dying
        within the block means telling again: the batch's watermark makes that harmless.
        """
        async with self.engine.begin() as conn:
            key = {"incident_id": incident_id}
            if not (await conn.execute(_LOCK, key)).scalar_one():
                yield None
                return
            await conn.execute(_RENUMBER, key)
            claimed = (await conn.execute(_CLAIM, key | {"now": now})).one()
            incident = (await conn.execute(_INCIDENT, key)).one_or_none()
            if claimed.high is None or incident is None:
                yield None
                return
            # What was committed since the claim is left out: it is claimed, and told, another time.
            batch = await _batch(conn, incident_id, claimed.low, claimed.high, untold_too=False)
            if batch is None:
                yield None
                return
            yield Untold(incident_id=incident_id, batch=batch, **incident._mapping)


async def _batch(
    conn: AsyncConnection, incident_id: str, low: int, high: int, *, untold_too: bool
) -> AlertBatch | None:
    bounds = {"incident_id": incident_id, "low": low, "high": high, "oldest": OLDEST_START}
    bounds["untold_too"] = untold_too
    prefixes = {"strange_component": UNKNOWN_COMPONENT, "strange_region": UNKNOWN_REGION}
    row = (await conn.execute(_BATCH, bounds | prefixes)).one()
    if row.watermark is None:
        return None
    reasons = [r for r in row.reasons or () if not (row.confirms and r == NOT_CONFIRMED)]
    return AlertBatch(
        watermark=row.watermark,
        received=row.received,
        firing=row.firing,
        severity=Severity(row.severity) if row.severity else None,
        severity_stated=bool(row.severity_stated),
        category=category_of_all(row.categories or ()),
        confirms=bool(row.confirms),
        affected_share=row.affected_share,
        components=tuple(row.components or ()),
        regions=() if row.everywhere else tuple(row.regions or ()),
        started_at=row.started_at,
        sources=tuple(row.sources),
        firing_sources=tuple(row.firing_sources or ()),
        reasons=tuple(reasons[:MAX_REASONS]),
        relates=tuple(row.relates or ()),
    )
