"""The canonical line of a settled ledger row, and the digest of a batch, computed by PostgreSQL.

Only what never changes again is in it, and nothing personal: erasing a person's address leaves
every digest as it was. A suppressed row's reason is in it, because it proves the closure.
"""

from __future__ import annotations

SETTLED = ("sent", "failed", "suppressed", "unknown")
SETTLED_SQL = "('sent', 'failed', 'suppressed', 'unknown')"


def line(row: str = "d", broadcast: str = "b") -> str:
    """SQL of `id|recipient|account|contact|channel|version|text_hash|state|sent_at|reason`."""
    # As JSON: quoted, so that no id can be mistaken for two.
    names = ("recipient", "account_id", "contact_id")
    who = [f"coalesce(to_json({row}.{name})::text, '')" for name in names]
    sent_at = f"coalesce((extract(epoch FROM {row}.sent_at) * 1000000)::bigint::text, '')"
    reason = f"CASE WHEN {row}.state = 'suppressed' THEN coalesce({row}.reason, '') ELSE '' END"
    return (
        f"concat_ws('|', {row}.id, {', '.join(who)}, {row}.channel, {broadcast}.version,"
        f" coalesce({row}.text_hash, ''), {row}.state, {sent_at}, {reason})"
    )


def digest(row: str = "d", broadcast: str = "b") -> str:
    """SQL aggregate: SHA-256 in hex over the lines of a group, ordered by id."""
    lines = f"string_agg({line(row, broadcast)}, chr(10) ORDER BY {row}.id)"
    return f"encode(sha256(convert_to({lines}, 'UTF8')), 'hex')"


def tally(row: str = "d") -> str:
    """SQL columns of a group: rows, first and last id, and how many stand in each state."""
    states = ", ".join(
        f"count(*) FILTER (WHERE {row}.state = '{state}') AS {state}" for state in SETTLED
    )
    return f"count(*) AS rows, min({row}.id) AS first, max({row}.id) AS last, {states}"
