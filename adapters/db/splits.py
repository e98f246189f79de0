"""Takes an incident apart in one transaction: the new row, its alerts, and its people."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import insert, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from adapters.db import audience_sql
from adapters.db.chain import append_in
from adapters.db.incidents import columns
from adapters.db.links import family_of
from adapters.db.models import IncidentRow
from domain.errors import NotFound
from domain.facts import audience_rule
from domain.incident import IncidentState
from domain.plan_cascade import split_state
from domain.policy import Policy
from domain.ports import Clock
from domain.split import SplitOpening, SplitResult

_ORIGIN = text(
    """
    SELECT title, policy_hash, correlation_id, last_alert_at FROM incidents
    WHERE id = :origin FOR UPDATE
    """
)
_KNOWN = text("SELECT state FROM incidents WHERE id = :id")

# What an alert speaks of, by all its signals; it goes along where nothing of it stays behind.
_GOING = text(
    """
    SELECT a.id, a.firing FROM alerts a
    WHERE a.incident_id = :origin AND a.open AND EXISTS (
        SELECT 1 FROM signals s CROSS JOIN LATERAL unnest(s.components) c(key)
        WHERE s.incident_id = ANY(:family) AND s.source || ':' || s.dedup_key = a.fingerprint
          AND s.status = 'firing'
        HAVING bool_or(c.key = ANY(:going)) AND NOT bool_or(c.key = ANY(:staying)))
    """
)
_MOVE = text("UPDATE alerts SET incident_id = :id WHERE id = ANY(:alerts)")
# Only what spoke of the alerts that went: the rest is still to be told to the old incident.
_MOVE_UNTOLD = text(
    """
    UPDATE signals s SET incident_id = :id FROM alerts a
    WHERE s.incident_id = :origin AND s.relayed_at IS NULL
      AND a.id = ANY(:alerts) AND s.source || ':' || s.dedup_key = a.fingerprint
    """
)
_COUNT = text(
    """
    SELECT count(*) FILTER (WHERE incident_id = :id) AS moved,
           count(*) FILTER (WHERE incident_id = :origin) AS left_alerts,
           count(*) FILTER (WHERE incident_id = :origin AND firing) AS left_firing
    FROM alerts WHERE incident_id IN (:id, :origin) AND open
    """
)
_LINK = text(
    """
    INSERT INTO split_incidents (incident_id, from_id, by, at) VALUES (:id, :origin, :by, :at)
    """
)
_KIN = text(
    """
    INSERT INTO incident_kin (incident_id, of_id, at)
    SELECT :id, k.id, :at FROM (
        SELECT cast(:origin AS text) AS id
        UNION SELECT of_id FROM incident_kin WHERE incident_id = :origin) k
    """
)
_KEEP_REST = text("ALTER TABLE judged RENAME TO judged_rest")
# Affected by what goes, and by nothing that stays.
_ONLY = """
    SELECT n.account_id FROM judged n WHERE n.excluded IS NULL AND NOT EXISTS (
        SELECT 1 FROM judged_rest r WHERE r.account_id = n.account_id AND r.excluded IS NULL)
"""
# Whom others had told and this incident answered for.
_PASS_ON = text(
    f"""
    UPDATE moved_accounts v SET into_id = :id
    WHERE v.into_id = :origin AND v.account_id IN ({_ONLY})
    """
)
_GO_ALONG = text(
    f"""
    INSERT INTO moved_accounts (from_id, account_id, into_id)
    SELECT f.id, o.account_id, :id
    FROM ({_ONLY}) o CROSS JOIN (
        SELECT cast(:origin AS text) AS id
        UNION SELECT incident_id FROM merged_incidents WHERE into_id = :origin) f
    WHERE EXISTS (
        SELECT 1 FROM audience_members m JOIN audiences a ON a.id = m.audience_id
        WHERE a.incident_id = f.id AND m.account_id = o.account_id)
    ON CONFLICT DO NOTHING
    """
)


class SplitStore:
    """Implements `activities.split.Splits` on PostgreSQL."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def open(self, opening: SplitOpening, policy: Policy, clock: Clock) -> SplitResult:
        """Write the new incident with its alerts and its people; again changes nothing."""
        origin, split, now = opening.state, opening.split, clock()
        ids = {"id": split.id, "origin": origin.id}
        async with self._engine.begin() as conn:
            row = (await conn.execute(_ORIGIN, ids)).one_or_none()
            if row is None:
                raise NotFound(f"there is no row of incident {origin.id}")
            stored = await conn.scalar(_KNOWN, ids)
            if stored is not None:
                return await _result(conn, IncidentState.model_validate(stored), ids)
            going = {
                "family": [origin.id, *await family_of(conn, origin.id)],
                "going": list(split.components),
                "staying": list(origin.components),
            }
            alerts = (await conn.execute(_GOING, ids | going)).all()
            firing = sum(alert.firing for alert in alerts)
            state = split_state(origin, split, firing, now, policy)
            values = columns(state, now) | {
                "id": state.id,
                "title": row.title,
                "dry_run": state.dry_run,
                # It was set apart on purpose: only its own alerts come to it.
                "separate": True,
                "opened_at": now,
                "last_alert_at": row.last_alert_at,
                "policy_hash": row.policy_hash,
                "correlation_id": row.correlation_id,
                "opened_by": split.by,
            }
            await conn.execute(insert(IncidentRow).values(values))
            moved = ids | {"alerts": [alert.id for alert in alerts]}
            await conn.execute(_MOVE, moved)
            await conn.execute(_MOVE_UNTOLD, moved)
            await conn.execute(_LINK, ids | {"by": split.by, "at": now})
            await conn.execute(_KIN, ids | {"at": now})
            await _move_people(conn, origin, state, policy, ids, now)
            body: dict[str, object] = {"split_off": split.id, "components": list(split.components)}
            await append_in(conn, "split", split.by, body, now, origin.id)
            return await _result(conn, state, ids)


async def _move_people(
    conn: AsyncConnection,
    origin: IncidentState,
    state: IncidentState,
    policy: Policy,
    ids: dict[str, str],
    now: datetime,
) -> None:
    for number, one in enumerate((origin, state)):
        rule = audience_rule(one, policy)
        parameters = audience_sql.judge_parameters(rule, policy, now)
        await conn.execute(audience_sql.JUDGE, parameters)
        if number == 0:
            await conn.execute(_KEEP_REST)
    await conn.execute(_PASS_ON, ids)
    await conn.execute(_GO_ALONG, ids)


async def _result(conn: AsyncConnection, state: IncidentState, ids: dict[str, str]) -> SplitResult:
    count = (await conn.execute(_COUNT, ids)).one()
    return SplitResult(
        state=state,
        alerts=count.moved,
        left_firing=count.left_firing,
        left_quiet=count.left_alerts > 0 and count.left_firing == 0,
    )
