"""The audit log as CSV or JSON lines: one record per send and one per entry of the chain."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Literal

from sqlalchemy import RowMapping, text
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.db.digest import SETTLED_SQL

SEND_FIELDS = (
    "signal_at",
    "sent_at",
    "settled_at",
    "incident_id",
    "broadcast",
    "moment",
    "delivery_id",
    "recipient",
    "channel",
    "draft_version",
    "text_hash",
    "allowed_by",
    "policy_hash",
    "state",
    "suppressed_because",
    "audit_seq",
)
ENTRY_FIELDS = ("seq", "at", "kind", "actor", "incident_id", "body", "prev_hash", "hash")
# Every column once, in the order of the first that has it.
COLUMNS = tuple(dict.fromkeys(("record", *SEND_FIELDS, *ENTRY_FIELDS)))
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_CHUNK = 1000

# A reason of failure is the provider's own words, which may hold an address: it stays out.
_SENDS = text(
    f"""
    WITH heard AS (
        SELECT incident_id, min(received_at) AS at FROM signals
        WHERE incident_id IS NOT NULL GROUP BY 1
    )
    SELECT coalesce(h.at, i.opened_at) AS signal_at, d.sent_at, d.settled_at, d.incident_id,
           b.n AS broadcast, b.moment, d.id AS delivery_id, d.recipient, d.channel,
           b.version AS draft_version, d.text_hash, b.allowed_by, b.policy_hash, d.state,
           CASE WHEN d.state = 'suppressed' THEN d.reason END AS suppressed_because, d.audit_seq
    FROM deliveries d JOIN broadcasts b ON b.id = d.broadcast_id
    LEFT JOIN incidents i ON i.id = d.incident_id
    LEFT JOIN heard h ON h.incident_id = d.incident_id
    WHERE d.state IN {SETTLED_SQL}
      AND (cast(:incident AS text) IS NULL OR d.incident_id = :incident)
      AND (cast(:since AS timestamptz) IS NULL OR coalesce(d.sent_at, d.settled_at) >= :since)
      AND (cast(:until AS timestamptz) IS NULL OR coalesce(d.sent_at, d.settled_at) < :until)
    ORDER BY d.id
    """
)
_ENTRIES = text(
    """
    SELECT seq, at, kind, actor, incident_id, body, prev_hash, hash FROM audit_log
    WHERE (cast(:incident AS text) IS NULL OR incident_id = :incident)
      AND (cast(:since AS timestamptz) IS NULL OR at >= :since)
      AND (cast(:until AS timestamptz) IS NULL OR at < :until)
    ORDER BY seq
    """
)


async def export_log(
    engine: AsyncEngine,
    format: Literal["csv", "jsonl"],
    since: datetime | None,
    until: datetime | None,
    incident: str | None,
) -> AsyncIterator[str]:
    """Pieces of the file in order, on one consistent view; `until` is exclusive."""
    write = _csv if format == "csv" else _json
    if format == "csv":
        yield _csv_line(COLUMNS)
    parameters = {"since": since, "until": until, "incident": incident}
    async with engine.connect() as conn:
        await conn.execution_options(isolation_level="REPEATABLE READ", yield_per=_CHUNK)
        for record, query in (("send", _SENDS), ("entry", _ENTRIES)):
            stream = await conn.stream(query, parameters)
            async for rows in stream.mappings().partitions():
                yield "".join(write(record, row) for row in rows)


def _json(record: str, row: RowMapping) -> str:
    values = {"record": record} | {str(key): _value(value) for key, value in row.items()}
    return json.dumps(values, ensure_ascii=False) + "\n"


def _csv(record: str, row: RowMapping) -> str:
    values = {"record": record} | {str(key): _value(value) for key, value in row.items()}
    return _csv_line([values.get(column) for column in COLUMNS])


def _csv_line(cells: tuple[str, ...] | list[object]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\r\n").writerow([_cell(cell) for cell in cells])
    return buffer.getvalue()


def _cell(value: object) -> object:
    if isinstance(value, dict | list):
        value = json.dumps(value, sort_keys=True, ensure_ascii=False)
    # Spreadsheets run text that begins like a formula.
    if isinstance(value, str) and value.startswith(_FORMULA):
        return "'" + value
    return value


def _value(value: object) -> object:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, bytes | memoryview):
        return bytes(value).hex()
    return value
