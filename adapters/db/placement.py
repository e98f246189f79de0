"""Where an alert belongs: reads what is open, decides, and writes the decision."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ARRAY, Text, bindparam, insert, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.db.ids import new_id
from adapters.db.models import AlertRow, IncidentRow
from domain.classification import SignalClass, plausible_start
from domain.grouping import OpenIncident, accepts_refire, choose, reach
from domain.incident import Stage
from domain.policy import Policy
from domain.signal import Signal, SignalStatus

TITLE_LENGTH = 300
MAX_CANDIDATES = 200
# A storm must not write the same row a thousand times; grouping counts in minutes.
TOUCH_EVERY = timedelta(seconds=5)

# Whoever wants to open an incident waits for whoever is opening one.
LOCK = text("SELECT pg_advisory_xact_lock(hashtextextended('forewarn new incident', 0))")

_COLUMNS = (
    IncidentRow.id,
    IncidentRow.stage,
    IncidentRow.category,
    IncidentRow.components,
    IncidentRow.regions,
    IncidentRow.separate,
    IncidentRow.opened_at,
    IncidentRow.last_alert_at,
    IncidentRow.resolved_at,
)


_NAMES = tuple(column.key for column in _COLUMNS)

# Built once: in a storm, building them anew costs more than running them.
_OWNER = (
    select(
        AlertRow.id.label("alert_id"),
        AlertRow.firing,
        AlertRow.last_seen_at,
        IncidentRow.open,
        *_COLUMNS,
    )
    .join(IncidentRow, IncidentRow.id == AlertRow.incident_id)
    .where(AlertRow.fingerprint == bindparam("fingerprint"), AlertRow.open)
)
_CANDIDATES = (
    select(*_COLUMNS)
    .where(
        IncidentRow.open,
        ~IncidentRow.separate,
        IncidentRow.components.bool_op("&&")(bindparam("near", type_=ARRAY(Text()))),
    )
    .order_by(IncidentRow.last_alert_at.desc())
    .limit(MAX_CANDIDATES)
)
_ADD_ALERT = (
    upsert(AlertRow.__table__)  # type: ignore[arg-type]  # declared as FromClause, is a Table
    .on_conflict_do_nothing()
    .returning(AlertRow.id)
)


@dataclass(frozen=True)
class Circumstances:
    """What is true of a signal's arrival, apart from the signal."""

    policy: Policy
    now: datetime
    correlation_id: str
    dry_run: bool
    policy_hash: str
    separate: bool
    opened_by: str


@dataclass(frozen=True)
class Owner:
    """The alert row of a fingerprint and the incident that owns it."""

    alert_id: int
    firing: bool
    last_seen_at: datetime
    open: bool
    incident: OpenIncident


@dataclass(frozen=True)
class Decision:
    """Where a signal goes. `stale` is an incident whose fingerprints it takes over."""

    disposition: str
    incident: OpenIncident | None = None
    owner: Owner | None = None
    stale: str | None = None
    opens: bool = False


class TryAgain(Exception):
    """Another transaction was faster with the same fingerprint."""


async def decide(
    conn: AsyncConnection,
    signal: Signal,
    known: SignalClass,
    about: Circumstances,
    *,
    locked: bool,
) -> Decision:
    """Fold, resolve, ignore or open. Opening is decided again under the lock, if not yet held."""
    owner = await _owner(conn, fingerprint(signal))
    if signal.status is SignalStatus.RESOLVED:
        if owner and owner.open:
            return Decision("resolved", owner.incident, owner)
        return Decision("ignored")
    if owner and owner.open and accepts_refire(owner.incident, about.policy, about.now):
        return Decision("folded", owner.incident, owner)
    stale = owner.incident.id if owner else None
    if not about.separate:
        candidates = await _candidates(conn, known, about.policy)
        home = choose([c for c in candidates if c.id != stale], known, about.policy, about.now)
        if home:
            return Decision("folded", home, stale=stale)
    if not locked:
        await conn.execute(LOCK)
        return await decide(conn, signal, known, about, locked=True)
    disposition = "started" if known.confirms else "suspected"
    return Decision(disposition, _new_incident(known, about), stale=stale, opens=True)


async def seen_lately(
    conn: AsyncConnection, signal: Signal, about: Circumstances
) -> Decision | None:
    """Fold an alert that fires on in an open incident, all of whose rows are fresh already.

    None for any other: `decide` has to look further, or `apply` has something to write.
    """
    if signal.status is not SignalStatus.FIRING:
        return None
    owner = await _owner(conn, fingerprint(signal))
    if owner is None or not (owner.open and owner.firing):
        return None
    fresh = about.now - min(owner.last_seen_at, owner.incident.last_alert_at) < TOUCH_EVERY
    if not fresh or not accepts_refire(owner.incident, about.policy, about.now):
        return None
    return Decision("folded", owner.incident, owner)


async def _owner(conn: AsyncConnection, print_: str) -> Owner | None:
    row = (await conn.execute(_OWNER, {"fingerprint": print_})).one_or_none()
    if row is None:
        return None
    return Owner(row.alert_id, row.firing, row.last_seen_at, row.open, _incident(row))


async def _candidates(
    conn: AsyncConnection, known: SignalClass, policy: Policy
) -> list[OpenIncident]:
    if not known.components:
        return []
    rows = await conn.execute(_CANDIDATES, {"near": sorted(reach(policy, known.components))})
    return [_incident(row) for row in rows]


def _incident(row: Any) -> OpenIncident:
    return OpenIncident.model_validate({name: getattr(row, name) for name in _NAMES})


def _new_incident(known: SignalClass, about: Circumstances) -> OpenIncident:
    return OpenIncident(
        id=new_id("inc"),
        stage=Stage.SUSPECTED,
        category=known.category,
        components=known.components,
        regions=known.regions,
        separate=about.separate,
        opened_at=about.now,
        last_alert_at=about.now,
        resolved_at=None,
    )


async def apply(
    conn: AsyncConnection,
    signal: Signal,
    known: SignalClass,
    about: Circumstances,
    decision: Decision,
) -> None:
    """Write what the decision says apart from the inbox row."""
    incident = decision.incident
    if incident is None:
        return
    if decision.stale:
        await close_fingerprints(conn, decision.stale)
    if decision.opens:
        await _insert_incident(conn, signal, known, about, incident)
    elif signal.status is SignalStatus.FIRING and about.now - incident.last_alert_at >= TOUCH_EVERY:
        await conn.execute(
            update(IncidentRow)
            .where(IncidentRow.id == incident.id, IncidentRow.last_alert_at < about.now)
            .values(last_alert_at=about.now)
        )
    if decision.owner:
        await _update_alert(conn, decision.owner, signal, about.now)
    else:
        await _insert_alert(conn, signal, incident.id, about.now)


async def _update_alert(conn: AsyncConnection, owner: Owner, signal: Signal, now: datetime) -> None:
    fires = signal.status is SignalStatus.FIRING
    if owner.firing == fires and now - owner.last_seen_at < TOUCH_EVERY:
        return
    await conn.execute(
        update(AlertRow).where(AlertRow.id == owner.alert_id).values(firing=fires, last_seen_at=now)
    )


async def _insert_alert(
    conn: AsyncConnection, signal: Signal, incident_id: str, now: datetime
) -> None:
    row = {
        "fingerprint": fingerprint(signal),
        "incident_id": incident_id,
        "firing": True,
        "open": True,
        "last_seen_at": now,
    }
    inserted = await conn.execute(_ADD_ALERT, row)
    if inserted.scalar_one_or_none() is None:
        raise TryAgain


async def _insert_incident(
    conn: AsyncConnection,
    signal: Signal,
    known: SignalClass,
    about: Circumstances,
    incident: OpenIncident,
) -> None:
    await conn.execute(
        insert(IncidentRow).values(
            **incident.model_dump(mode="python", exclude={"stage"}),
            stage=incident.stage.value,
            title=signal.title[:TITLE_LENGTH],
            severity=known.severity.value,
            affected_share=signal.affected_share,
            dry_run=about.dry_run,
            started_at=plausible_start(signal.started_at, about.now),
            policy_hash=about.policy_hash,
            correlation_id=about.correlation_id,
            opened_by=about.opened_by,
            updated_at=about.now,
        )
    )


async def close_fingerprints(conn: AsyncConnection, incident_id: str) -> None:
    await conn.execute(
        update(AlertRow)
        .where(AlertRow.incident_id == incident_id, AlertRow.open)
        .values(open=False)
    )


def fingerprint(signal: Signal) -> str:
    """What names an alert across sources."""
    return f"{signal.source}:{signal.dedup_key}"
