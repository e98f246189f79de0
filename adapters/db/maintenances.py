"""Planned work in PostgreSQL: made once, moved by its workflow, read by staff."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import RowMapping, select, text, tuple_, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.db.audit import append_in
from adapters.db.cursors import DEFAULT_LIMIT, Page, read_cursor, write_cursor
from adapters.db.ids import ALPHABET, LENGTH
from adapters.db.incidents_read import IncidentView, Utc, View, incident_view
from adapters.db.maintenance_models import MaintenanceRow
from adapters.db.models import IncidentRow, NoteRow
from domain.errors import NotFound
from domain.maintenance import ID_PREFIX, MaintenanceState
from domain.maintenance_facts import MaintenanceWords

# One reading per account: its last use of one of the components, else its last activity at all.
_ACTIVITY = text(
    """
    SELECT extract(hour FROM at AT TIME ZONE 'UTC')::int AS hour, count(*) AS n
    FROM (
        SELECT coalesce(
            (SELECT max(CAST(e.value AS timestamptz)) FROM jsonb_each_text(a.activity) e
             WHERE e.key = ANY(CAST(:components AS text[]))),
            a.last_active_at) AS at
        FROM accounts a WHERE a.active
          AND (cardinality(CAST(:regions AS text[])) = 0
               OR a.region = ANY(CAST(:regions AS text[])))) r
    WHERE at >= :since AND at <= :now
    GROUP BY 1
    """
)


class MaintenanceView(View):
    """Planned work as staff see it: its incident's row and what it has beside it."""

    case: IncidentView
    description: str
    advice: str
    impact: str
    starts_at: Utc
    ends_at: Utc
    told_start: Utc | None
    told_end: Utc | None
    began_at: Utc | None
    ended_at: Utc | None
    objections_until: Utc | None
    credit_considered: bool
    incidents: tuple[str, ...]


class NewMaintenance(View):
    """What is written when planned work is made; `request` makes its repetition the same."""

    state: MaintenanceState
    title: str
    description: str
    advice: str
    by: str
    policy_hash: str
    correlation_id: str
    request: str


def maintenance_id(request: str) -> str:
    """The id that a request makes: the same request again names the same work."""
    number = int.from_bytes(hashlib.sha256(request.encode()).digest()[:16])
    letters = (ALPHABET[number >> 5 * place & 31] for place in range(LENGTH))
    return ID_PREFIX + "".join(letters)


class MaintenanceStore:
    """Writes and reads planned work."""

    def __init__(self, engine: AsyncEngine) -> None:
        self.engine = engine

    async def create(self, new: NewMaintenance, now: datetime) -> bool:
        """Write it with both its rows; False where this request made it before."""
        state = new.state
        row = {
            "id": state.id,
            "title": new.title,
            "severity": state.severity.value,
            "stage": state.stage.value,
            "category": state.category,
            "components": list(state.components),
            "regions": list(state.regions),
            "dry_run": state.dry_run,
            "separate": True,
            "started_at": state.starts_at,
            "opened_at": now,
            "confirmed_at": now,
            "last_alert_at": now,
            "policy_hash": new.policy_hash,
            "correlation_id": new.correlation_id,
            "opened_by": new.by,
            "updated_at": now,
            "state": state.model_dump(mode="json"),
        }
        async with self.engine.begin() as conn:
            made = await conn.scalar(
                insert(IncidentRow).values(row).on_conflict_do_nothing().returning(IncidentRow.id)
            )
            if made is None:
                return False
            await conn.execute(
                insert(MaintenanceRow).values(
                    id=state.id, description=new.description, advice=new.advice, **_columns(state)
                )
            )
            facts = {
                "starts_at": state.starts_at.isoformat(),
                "ends_at": state.ends_at.isoformat(),
                "impact": state.impact.value,
                "components": list(state.components),
            }
            await append_in(conn, "maintenance_scheduled", new.by, facts, now, state.id)
        return True

    async def update(self, state: MaintenanceState) -> None:
        """Write where the work stands; the incident's row is written with the step."""
        async with self.engine.begin() as conn:
            await conn.execute(
                update(MaintenanceRow).where(MaintenanceRow.id == state.id).values(_columns(state))
            )

    async def restore(self, state: MaintenanceState, now: datetime) -> None:
        """Write what a lost row was, as far as its run knows: the words about it are gone."""
        async with self.engine.begin() as conn:
            await conn.execute(
                insert(MaintenanceRow)
                .values(
                    id=state.id, description="", advice="", run_started_at=now, **_columns(state)
                )
                .on_conflict_do_nothing()
            )

    async def words(self, id_: str, note_id: str | None) -> MaintenanceWords:
        """What humans wrote about it, and about this message. Raises NotFound."""
        async with self.engine.connect() as conn:
            row = (
                await conn.execute(
                    select(IncidentRow.title, MaintenanceRow.description, MaintenanceRow.advice)
                    .join(MaintenanceRow, MaintenanceRow.id == IncidentRow.id)
                    .where(IncidentRow.id == id_)
                )
            ).first()
            if row is None:
                raise NotFound(f"there is no maintenance {id_}")
            note = ""
            if note_id is not None:
                note = await conn.scalar(select(NoteRow.text).where(NoteRow.id == note_id)) or ""
        return MaintenanceWords(
            title=row.title, description=row.description, advice=row.advice, note=note
        )

    async def state(self, id_: str) -> tuple[MaintenanceState, str]:
        """The state that was recorded last, and the policy's hash. Raises NotFound."""
        async with self.engine.connect() as conn:
            row = (
                await conn.execute(
                    select(IncidentRow.state, IncidentRow.policy_hash)
                    .join(MaintenanceRow, MaintenanceRow.id == IncidentRow.id)
                    .where(IncidentRow.id == id_)
                )
            ).first()
        if row is None:
            raise NotFound("there is no maintenance with this id")
        return MaintenanceState.model_validate(row.state), row.policy_hash

    async def not_run(self) -> list[str]:
        """Those that Temporal was never told of, oldest first."""
        async with self.engine.connect() as conn:
            found = await conn.scalars(
                select(MaintenanceRow.id)
                .join(IncidentRow, IncidentRow.id == MaintenanceRow.id)
                .where(MaintenanceRow.run_started_at.is_(None), IncidentRow.open)
                .order_by(IncidentRow.opened_at)
                .limit(100)
            )
            return list(found)

    async def run(self, id_: str, now: datetime) -> None:
        """Remember that Temporal runs it."""
        async with self.engine.begin() as conn:
            await conn.execute(
                update(MaintenanceRow)
                .where(MaintenanceRow.id == id_, MaintenanceRow.run_started_at.is_(None))
                .values(run_started_at=now)
            )

    async def detail(self, id_: str) -> MaintenanceView:
        """One maintenance. Raises NotFound."""
        found = await self._rows(MaintenanceRow.id == id_, limit=1)
        if not found:
            raise NotFound("there is no maintenance with this id")
        return found[0]

    async def page(
        self,
        *,
        cursor: str | None = None,
        limit: int = DEFAULT_LIMIT,
        is_open: bool | None = None,
        prefix: str | None = None,
    ) -> Page[MaintenanceView]:
        """Planned work by its start, the latest first."""
        where: list[Any] = []
        if is_open is not None:
            where.append(IncidentRow.open.is_(is_open))
        if prefix:
            where.append(MaintenanceRow.id.startswith(prefix, autoescape=True))
        if cursor:
            position = read_cursor(cursor, datetime, str)
            where.append(tuple_(MaintenanceRow.starts_at, MaintenanceRow.id) < tuple_(*position))
        found = await self._rows(*where, limit=limit + 1)
        items, more = tuple(found[:limit]), len(found) > limit
        following = write_cursor(items[-1].starts_at, items[-1].case.id) if more else None
        return Page(items=items, next=following)

    async def activity(
        self, components: Sequence[str], regions: Sequence[str], since: timedelta, now: datetime
    ) -> list[int]:
        """How many accounts were last active in each hour of the day (UTC, 24 numbers)."""
        parameters = {
            "components": list(components), "regions": list(regions), "since": now - since,
            "now": now,
        }  # fmt: skip
        hours = [0] * 24
        async with self.engine.connect() as conn:
            for row in await conn.execute(_ACTIVITY, parameters):
                hours[row.hour] = row.n
        return hours

    async def _rows(self, *where: Any, limit: int) -> list[MaintenanceView]:
        statement = (
            select(IncidentRow.__table__, *(c.label(f"m_{c.name}") for c in _OWN))
            .join(MaintenanceRow, MaintenanceRow.id == IncidentRow.id)
            .where(*where)
            .order_by(MaintenanceRow.starts_at.desc(), MaintenanceRow.id.desc())
            .limit(limit)
        )
        async with self.engine.connect() as conn:
            rows = (await conn.execute(statement)).all()
        return [_view(row._mapping, incident_view(row)) for row in rows]


_OWN = [c for c in MaintenanceRow.__table__.columns if c.name not in ("id", "run_started_at")]


def _view(row: RowMapping, case: IncidentView) -> MaintenanceView:
    own = {c.name: row[f"m_{c.name}"] for c in _OWN}
    return MaintenanceView(case=case, **own)


def _columns(state: MaintenanceState) -> dict[str, Any]:
    return {
        "impact": state.impact.value,
        "starts_at": state.starts_at,
        "ends_at": state.ends_at,
        "told_start": state.told_start,
        "told_end": state.told_end,
        "began_at": state.began_at,
        "ended_at": state.ended_at,
        "objections_until": state.objections_until,
        "credit_considered": state.credit_considered,
        "incidents": list(state.incidents),
    }
