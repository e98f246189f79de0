"""Incidents that belong together: written with the step that decides it, and read by staff."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from adapters.db.chain import append_in
from domain.cascade import TakeIn
from domain.ports import Model

# Who answers for a person that a message of `d` told: whoever got their account in a split, else
# the incident that this one was merged into, else itself. `into_id` is always the last in line.
OWNER = "coalesce(v.into_id, g.into_id, d.incident_id)"
OWNER_JOINS = """
    LEFT JOIN moved_accounts v ON v.from_id = d.incident_id AND v.account_id = d.account_id
    LEFT JOIN merged_incidents g ON g.incident_id = d.incident_id
"""

_TAKE_IN = [
    text(statement)
    for statement in (
        """
        INSERT INTO merged_incidents (incident_id, into_id, by, at)
        VALUES (:origin, :incident, :by, :at)
        ON CONFLICT (incident_id) DO UPDATE SET into_id = excluded.into_id
        RETURNING xmax = 0 AS fresh
        """,
        "UPDATE merged_incidents SET into_id = :incident WHERE into_id = :origin",
        "DELETE FROM merged_incidents WHERE incident_id = into_id",
        "UPDATE moved_accounts SET into_id = :incident WHERE into_id = :origin",
        "DELETE FROM moved_accounts WHERE from_id = into_id",
        """
        INSERT INTO incident_kin (incident_id, of_id, at)
        SELECT :incident, k.id, :at FROM (
            SELECT cast(:origin AS text) AS id
            UNION SELECT of_id FROM incident_kin WHERE incident_id = :origin) k
        WHERE k.id <> :incident ON CONFLICT DO NOTHING
        """,
        # What fires, fires here from now on, and what was not told yet is told here.
        "UPDATE alerts SET incident_id = :incident WHERE incident_id = :origin AND open",
        """
        UPDATE signals SET incident_id = :incident
        WHERE incident_id = :origin AND relayed_at IS NULL
        """,
        """
        UPDATE incidents i SET last_alert_at = greatest(i.last_alert_at, o.last_alert_at)
        FROM incidents o WHERE i.id = :incident AND o.id = :origin
        """,
    )
]

_FAMILY = text("SELECT of_id FROM incident_kin WHERE incident_id = :incident ORDER BY of_id")
_MOVED_AWAY = text("SELECT EXISTS (SELECT 1 FROM moved_accounts WHERE from_id = :incident)")

_LINKS = text(
    """
    SELECT i.state->>'merged_into' AS merged_into, i.state->>'split_from' AS split_from,
           ARRAY(SELECT g.incident_id FROM merged_incidents g WHERE g.into_id = i.id
                 ORDER BY g.at, g.incident_id) AS merged,
           ARRAY(SELECT s.incident_id FROM split_incidents s WHERE s.from_id = i.id
                 ORDER BY s.at, s.incident_id) AS split_off
    FROM incidents i WHERE i.id = :incident
    """
)

# A sub-issue is what alerts say of one component; the alerts may have come to an incident that
# goes on here. Bounded: a policy has tens of components.
_SUB_ISSUES = text(
    """
    SELECT c.key AS component, min(s.received_at) AS first_seen,
           min(CASE WHEN (s.signal->>'started_at')::timestamptz <= s.received_at
                         AND (s.signal->>'started_at')::timestamptz
                             >= s.received_at - interval '7 days'
                    THEN (s.signal->>'started_at')::timestamptz ELSE s.received_at END) AS since,
           max(a.last_seen_at) AS last_seen, bool_or(a.firing) AS firing,
           count(DISTINCT a.id) AS alerts
    FROM alerts a
    JOIN signals s ON s.source || ':' || s.dedup_key = a.fingerprint AND s.status = 'firing'
                  AND s.incident_id = ANY(:family)
    CROSS JOIN LATERAL unnest(s.components) c(key)
    WHERE a.incident_id = :incident
    GROUP BY c.key ORDER BY since, component LIMIT 100
    """
)


class SubIssue(Model):
    """One component of an incident: since when alerts speak of it, and whether any still fires."""

    component: str
    since: datetime
    last_seen: datetime
    firing: bool
    alerts: int


class IncidentLinks(Model):
    """The incidents that one belongs with, and the components that alerts brought into it."""

    merged_into: str | None = None
    merged: tuple[str, ...] = ()
    split_from: str | None = None
    split_off: tuple[str, ...] = ()
    sub_issues: tuple[SubIssue, ...] = ()


class LinksRead:
    """Reads what belongs together."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def of(self, incident_id: str) -> IncidentLinks:
        """Links and sub-issues of an incident; empty for one that is not known."""
        async with self._engine.connect() as conn:
            row = (await conn.execute(_LINKS, {"incident": incident_id})).one_or_none()
            if row is None:
                return IncidentLinks()
            family = [incident_id, *await family_of(conn, incident_id)]
            found = await conn.execute(_SUB_ISSUES, {"incident": incident_id, "family": family})
            issues = tuple(SubIssue.model_validate(dict(r)) for r in found.mappings())
        return IncidentLinks(
            merged_into=row.merged_into,
            merged=tuple(row.merged),
            split_from=row.split_from,
            split_off=tuple(row.split_off),
            sub_issues=issues,
        )


async def take_in(
    conn: AsyncConnection, incident_id: str, links: Sequence[TakeIn], now: datetime
) -> None:
    """Let all of other incidents belong to this one; again takes what came since."""
    for link in links:
        given = {"incident": incident_id, "origin": link.origin, "by": link.by, "at": now}
        fresh = await conn.scalar(_TAKE_IN[0], given)
        for statement in _TAKE_IN[1:]:
            await conn.execute(statement, given)
        if fresh:
            body: dict[str, object] = {"merged": link.origin}
            await append_in(conn, "merge", link.by, body, now, incident_id)


async def family_of(conn: AsyncConnection, incident_id: str) -> list[str]:
    """Incidents whose messages told people that this one answers for."""
    return list(await conn.scalars(_FAMILY, {"incident": incident_id}))


async def has_kin(conn: AsyncConnection, incident_id: str) -> bool:
    """Whether others told people of this incident, or people of it went along with another."""
    if await family_of(conn, incident_id):
        return True
    return bool(await conn.scalar(_MOVED_AWAY, {"incident": incident_id}))
