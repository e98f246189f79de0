"""The inbox's rows: which deliveries are stored already, and storing those that are not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.db.placement import Arrival
from adapters.db.placement_sql import rows

Delivery = tuple[str, str]

_KNOWN = text("""
    SELECT s.source, s.external_id, s.id, s.incident_id
    FROM unnest(CAST(:sources AS text[]), CAST(:ids AS text[])) g(source, external_id)
    CROSS JOIN LATERAL (
        SELECT s.source, s.external_id, s.id, s.incident_id FROM signals s
        WHERE s.source = g.source AND s.external_id = g.external_id LIMIT 1) s
""")

_STORE = text("""
    INSERT INTO signals (id, source, external_id, dedup_key, status, signal, category, severity,
        severity_stated, confirms, components, regions, affected_share, reasons, correlation_id,
        incident_id, disposition, received_at, relates)
    SELECT * FROM json_to_recordset(CAST(:rows AS json)) AS n (id text, source text,
        external_id text, dedup_key text, status text, signal jsonb, category text, severity text,
        severity_stated boolean, confirms boolean, components text[], regions text[],
        affected_share float8, reasons text[], correlation_id text, incident_id text,
        disposition text, received_at timestamptz, relates text[])
""")


class Accepted(BaseModel):
    """What became of a signal, as the bridge is told (INTERFACES, HTTP)."""

    model_config = ConfigDict(frozen=True)

    signal_id: str
    incident_id: str | None
    disposition: str
    relates: tuple[str, ...] = Field(default=(), exclude=True)


async def stored_deliveries(
    conn: AsyncConnection, arrivals: Sequence[Arrival]
) -> dict[Delivery, Accepted]:
    """Those of the deliveries that are stored already, as the repetitions they are."""
    names = [arrival.delivery for arrival in arrivals]
    found = await conn.execute(
        _KNOWN, {"sources": [source for source, _ in names], "ids": [name for _, name in names]}
    )
    return {
        (row.source, row.external_id): Accepted(
            signal_id=row.id, incident_id=row.incident_id, disposition="duplicate"
        )
        for row in found
    }


async def store(conn: AsyncConnection, answered: Sequence[tuple[Arrival, Accepted]]) -> None:
    """Write them to the inbox in their order."""
    await conn.execute(_STORE, rows([_row(arrival, answer) for arrival, answer in answered]))


def _row(arrival: Arrival, answer: Accepted) -> dict[str, Any]:
    signal, known = arrival.signal, arrival.known
    return {
        "id": answer.signal_id,
        "source": signal.source,
        "external_id": signal.external_id,
        "dedup_key": signal.dedup_key,
        "status": signal.status,
        "signal": signal,
        "category": known.category,
        "severity": known.severity,
        "severity_stated": known.severity_stated,
        "confirms": known.confirms,
        "components": known.components,
        "regions": known.regions,
        "affected_share": signal.affected_share,
        "reasons": known.reasons,
        "correlation_id": arrival.about.correlation_id,
        "incident_id": answer.incident_id,
        "disposition": answer.disposition,
        "received_at": arrival.about.now,
        "relates": answer.relates,
    }
