"""The hash chain itself: what one entry is, and how it is linked to the one before."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from enum import Enum

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.db.models import AuditRow

# One lock for the one chain; held from reading the head to the commit.
CHAIN_LOCK = 0x464F5245
_LOCK = text("SELECT pg_advisory_xact_lock(:key)")
HEAD = select(AuditRow.seq, AuditRow.hash).order_by(AuditRow.seq.desc()).limit(1)
GENESIS = bytes(32)
# One entry, by a caller who holds the chain. What `link` gives is its canonical form up to the
# number, which comes last.
LINK = f"""
    INSERT INTO audit_log (seq, at, kind, actor, incident_id, body, prev_hash, hash)
    SELECT h.seq + 1, :at, :kind, :actor, :incident, cast(:body AS jsonb), h.hash,
        sha256(h.hash || convert_to(cast(:entry AS text) || (h.seq + 1) || '}}', 'UTF8'))
    FROM (SELECT coalesce(newest.seq, 0) AS seq,
                 coalesce(newest.hash, '\\x{GENESIS.hex()}') AS hash
          FROM (SELECT 1) always LEFT JOIN
               (SELECT seq, hash FROM audit_log ORDER BY seq DESC LIMIT 1) newest ON true) h
    RETURNING seq
"""
_LINK = text(LINK)

Plain = str | int | bool | None | list["Plain"] | dict[str, "Plain"]


async def append_in(
    conn: AsyncConnection,
    kind: str,
    actor: str,
    body: Mapping[str, object],
    at: datetime,
    incident_id: str | None = None,
) -> int:
    """Add one entry within the caller's transaction.

    Call it after the transaction's row locks are taken, and soon before its commit: the chain is
    locked from here on, and whoever waits for it must not be waited for.
    """
    # A statement of its own: the next one must see what was committed during the wait.
    await conn.execute(_LOCK, {"key": CHAIN_LOCK})
    added = await conn.execute(_LINK, link(kind, actor, body, at, incident_id))
    return int(added.scalar_one())


def link(
    kind: str, actor: str, body: Mapping[str, object], at: datetime, incident_id: str | None
) -> dict[str, object]:
    """What `LINK` is run with."""
    content = {str(k): plain(v) for k, v in body.items()}
    entry = _entry(at, kind, actor, incident_id, content)
    return {
        "at": at,
        "kind": kind,
        "actor": actor,
        "incident": incident_id,
        "body": canonical(content).decode(),
        "entry": canonical(entry).decode().removesuffix("}") + ',"seq":',
    }


def entry_hash(
    previous: bytes,
    seq: int,
    at: datetime,
    kind: str,
    actor: str,
    incident_id: str | None,
    body: Mapping[str, object],
) -> bytes:
    """SHA-256 over the previous hash and the entry as canonical JSON."""
    entry = _entry(at, kind, actor, incident_id, body) | {"seq": seq}
    return hashlib.sha256(previous + canonical(entry)).digest()


def _entry(
    at: datetime, kind: str, actor: str, incident_id: str | None, body: Mapping[str, object]
) -> dict[str, object]:
    return {
        "at": at.astimezone(UTC).isoformat(timespec="microseconds"),
        "kind": kind,
        "actor": actor,
        "incident_id": incident_id,
        "body": body,
    }


def canonical(value: object) -> bytes:
    """The one JSON form of a value: sorted keys, no blanks, UTF-8."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def plain(value: object) -> Plain:
    """The value as JSON that PostgreSQL gives back unchanged: numbers with a fraction as text."""
    match value:
        case None | bool():
            return value
        case Enum():
            return plain(value.value)
        case int():
            return int(value)
        case float():
            return repr(value)
        case datetime():
            return value.astimezone(UTC).isoformat()
        case str():
            return storable(value)
        case Mapping():
            return {str(plain(k)): plain(v) for k, v in value.items()}
        case Sequence() | set() | frozenset():
            return [
                plain(v) for v in (sorted(value) if isinstance(value, set | frozenset) else value)
            ]
        case _:
            return plain(str(value))


def storable(text: str) -> str:
    """The text without what PostgreSQL refuses: NUL and half a character."""
    return text.replace("\x00", "").encode("utf-8", "replace").decode()


def anchor(seq: int, digest: bytes) -> str:
    return f"{seq}:{bytes(digest).hex()}"
