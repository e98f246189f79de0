"""Reads the scene that alerts arrive at, and writes what became of it: few statements for many."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from pydantic_core import to_json
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.db.placement import Arrival, Owner, Scene
from domain.classification import plausible_start
from domain.grouping import OpenIncident
from domain.maintenance_window import Window

TITLE_LENGTH = 300
MAX_CANDIDATES = 200

# Whoever wants to open an incident waits for whoever is opening one.
LOCK = text("SELECT pg_advisory_xact_lock(hashtextextended('forewarn new incident', 0))")

_INCIDENT = """i.id, i.stage, i.category, i.components, i.regions, i.separate, i.dry_run,
               i.opened_at, i.last_alert_at, i.resolved_at, i.open"""

# LATERAL with a LIMIT asks the index once for each: a table that grew in this very storm looks
# small to the planner, which would rather read it whole.
_OWNERS = text(f"""
    WITH owners AS MATERIALIZED (
        SELECT g.fingerprint, a.* FROM unnest(CAST(:prints AS text[])) g(fingerprint)
        CROSS JOIN LATERAL (
            SELECT a.id, a.incident_id, a.firing, a.last_seen_at FROM alerts a
            WHERE a.fingerprint = g.fingerprint AND a.open LIMIT 1) a)
    SELECT (SELECT json_agg(o) FROM owners o) AS owners,
           (SELECT json_agg(i) FROM (SELECT DISTINCT incident_id FROM owners) o
            CROSS JOIN LATERAL (
                SELECT {_INCIDENT} FROM incidents i WHERE i.id = o.incident_id LIMIT 1) i
           ) AS incidents
""")

_CANDIDATES = text(f"""
    SELECT json_agg(i) AS incidents FROM (
        SELECT {_INCIDENT} FROM incidents i
        WHERE i.open AND NOT i.separate AND i.components && CAST(:near AS text[])
        ORDER BY i.last_alert_at DESC LIMIT :most) i
""")

# Planned work that is under way, or whose time has come: few rows, whatever was ever planned.
_WINDOWS = text("""
    SELECT json_agg(w) AS windows FROM (
        SELECT m.id, m.impact, m.starts_at, m.ends_at, i.stage, i.dry_run, i.components, i.regions
        FROM maintenances m JOIN incidents i ON i.id = m.id
        WHERE i.open AND m.starts_at <= CAST(:now AS timestamptz) ORDER BY m.starts_at, m.id) w
""")

_THESE = text(f"""
    SELECT json_agg(i) AS incidents FROM (
        SELECT {_INCIDENT} FROM incidents i WHERE i.id = ANY(CAST(:ids AS text[]))) i
""")

_CLOSE = text("UPDATE alerts SET open = false WHERE incident_id = ANY(:incidents) AND open")

_OPEN = text("""
    INSERT INTO incidents (id, title, severity, stage, category, components, regions,
        affected_share, dry_run, separate, started_at, opened_at, last_alert_at, policy_hash,
        correlation_id, opened_by, updated_at)
    SELECT * FROM json_to_recordset(CAST(:rows AS json)) AS n (id text, title text, severity text,
        stage text, category text, components text[], regions text[], affected_share float8,
        dry_run boolean, separate boolean, started_at timestamptz, opened_at timestamptz,
        last_alert_at timestamptz, policy_hash text, correlation_id text, opened_by text,
        updated_at timestamptz)
""")

_ADD = text("""
    INSERT INTO alerts (fingerprint, incident_id, firing, open, last_seen_at)
    SELECT n.fingerprint, n.incident_id, n.firing, true, n.last_seen_at
    FROM json_to_recordset(CAST(:rows AS json)) AS n (fingerprint text, incident_id text,
        firing boolean, last_seen_at timestamptz)
""")

_SEEN = text("""
    UPDATE alerts a SET firing = n.firing, last_seen_at = n.last_seen_at,
        incident_id = n.incident_id
    FROM json_to_recordset(CAST(:rows AS json)) AS n (alert_id bigint, firing boolean,
        last_seen_at timestamptz, incident_id text)
    WHERE a.id = n.alert_id
""")

_TOUCH = text("""
    UPDATE incidents i SET last_alert_at = n.at
    FROM json_to_recordset(CAST(:rows AS json)) AS n (id text, at timestamptz)
    WHERE i.id = n.id AND i.last_alert_at < n.at
""")


async def look(conn: AsyncConnection, arrivals: Sequence[Arrival], *, locked: bool) -> Scene:
    """What is open as far as these arrivals are concerned."""
    prints = sorted({arrival.fingerprint for arrival in arrivals})
    row = (await conn.execute(_OWNERS, {"prints": prints})).one()
    incidents = {item["id"]: item for item in row.incidents or ()}
    scene = Scene(
        owners={item["fingerprint"]: _owner(item) for item in row.owners or ()},
        incidents={key: _incident(item) for key, item in incidents.items()},
        over={key for key, item in incidents.items() if not item["open"]},
        candidates=set(),
        locked=locked,
    )
    await _look_at_windows(conn, scene, arrivals)
    homeless = scene.homeless(arrivals)
    kinds = {arrival.known.components for arrival in homeless if arrival.known.components}
    if kinds:
        near: set[str] = set().union(*(a.near for a in homeless))
        bounds = {"near": sorted(near), "most": MAX_CANDIDATES * len(kinds)}
        for item in await conn.scalar(_CANDIDATES, bounds) or ():
            scene.incidents.setdefault(item["id"], _incident(item))
            scene.candidates.add(item["id"])
    return scene


async def _look_at_windows(
    conn: AsyncConnection, scene: Scene, arrivals: Sequence[Arrival]
) -> None:
    """The windows that alerts may fold into; not asked for where the policy plans none."""
    if all(a.about.policy.maintenance is None for a in arrivals):
        return
    now = max(arrival.about.now for arrival in arrivals)
    found = await conn.scalar(_WINDOWS, {"now": now}) or ()
    scene.windows = tuple(Window.model_validate(item) for item in found)
    missing = sorted({w.id for w in scene.windows} - scene.incidents.keys())
    if missing:
        for item in await conn.scalar(_THESE, {"ids": missing}) or ():
            scene.incidents[item["id"]] = _incident(item)


async def write(conn: AsyncConnection, scene: Scene) -> None:
    """The changes to the scene, in an order that two gateways share."""
    if scene.stale:
        await close_fingerprints(conn, scene.stale)
    if scene.opened:
        opened = [_incident_row(scene, i, a) for i, a in scene.opened.items()]
        await conn.execute(_OPEN, rows(opened))
    if scene.added:
        added = [
            {"fingerprint": fingerprint} | _state(owner)
            for fingerprint, owner in sorted(scene.added.items())
        ]
        await conn.execute(_ADD, rows(added))
    if scene.seen:
        seen = [_state(owner) for _, owner in sorted(scene.seen.items())]
        await conn.execute(_SEEN, rows(seen))
    touched = {i: at for i, at in scene.touched.items() if i not in scene.opened}
    if touched:
        changes = [{"id": i, "at": at} for i, at in sorted(touched.items())]
        await conn.execute(_TOUCH, rows(changes))


async def close_fingerprints(conn: AsyncConnection, incidents: Iterable[str]) -> None:
    """The incidents are over for good: their alerts may belong to others."""
    await conn.execute(_CLOSE, {"incidents": sorted(incidents)})


def rows(items: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Many rows as the one parameter of a statement that reads them from JSON."""
    return {"rows": to_json(items).decode()}


def _state(owner: Owner) -> dict[str, Any]:
    return {
        "alert_id": owner.alert_id,
        "incident_id": owner.incident_id,
        "firing": owner.firing,
        "last_seen_at": owner.last_seen_at,
    }


def _owner(item: Mapping[str, Any]) -> Owner:
    seen = datetime.fromisoformat(item["last_seen_at"])
    return Owner(item["id"], item["incident_id"], item["firing"], seen)


def _incident(item: Mapping[str, Any]) -> OpenIncident:
    return OpenIncident.model_validate({k: v for k, v in item.items() if k != "open"})


def _incident_row(scene: Scene, incident_id: str, first: Arrival) -> dict[str, Any]:
    incident, signal, about = scene.incidents[incident_id], first.signal, first.about
    return incident.model_dump() | {
        "title": signal.title[:TITLE_LENGTH],
        "severity": first.known.severity,
        "affected_share": signal.affected_share,
        "started_at": plausible_start(signal.started_at, about.now),
        "policy_hash": about.policy_hash,
        "correlation_id": about.correlation_id,
        "opened_by": about.opened_by,
        "updated_at": about.now,
    }
