"""What PostgreSQL knows of incidents that are not over: read to be compared with Temporal."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from pydantic import ValidationError
from sqlalchemy import RowMapping, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from adapters.db.models import (
    AudienceRow,
    DraftRow,
    IncidentRow,
    PromiseRow,
    SignalRow,
    TimelineRow,
)
from domain.incident import IncidentState
from domain.message import Moment
from domain.ports import BroadcastSpec, Model, PromiseChange, TimelineEntry

# Those that are not over, those that Temporal runs, and those with a message on its way.
_INCIDENTS = text(
    """
    SELECT i.id, i.open, i.policy_hash, i.dry_run, i.opened_at, i.state
    FROM incidents i
    WHERE i.open OR i.id = ANY(:ids)
       OR EXISTS (SELECT 1 FROM broadcasts b WHERE b.incident_id = i.id AND b.finished_at IS NULL)
       OR EXISTS (SELECT 1 FROM broadcast_specs s WHERE s.incident_id = i.id AND NOT EXISTS (
            SELECT 1 FROM broadcasts b WHERE b.incident_id = i.id AND b.n = s.n))
    ORDER BY i.opened_at, i.id
    """
)
_BROADCASTS = text(
    """
    SELECT coalesce(b.incident_id, s.incident_id) AS incident_id, coalesce(b.n, s.n) AS n,
           s.spec, b.id, b.finished_at, b.expires_at, b.version, b.hash, b.moment, b.number,
           b.severity, b.stage, b.channels, b.dry_run, b.allowed_by, b.policy_hash,
           b.next_update_at
    FROM broadcasts b FULL JOIN broadcast_specs s ON s.incident_id = b.incident_id AND s.n = b.n
    WHERE coalesce(b.incident_id, s.incident_id) = ANY(:ids)
    ORDER BY 1, 2
    """
)
_FROM_ROW = (
    "n", "version", "hash", "moment", "number", "severity", "stage", "channels", "dry_run",
    "allowed_by", "policy_hash", "next_update_at", "expires_at",
)  # fmt: skip
_LINES = 100


class BroadcastRecord(Model):
    """One message that was decided; `frozen` once its audience stands in the ledger."""

    n: int
    frozen: bool
    finished: bool
    expires_at: datetime | None = None
    spec: BroadcastSpec | None = None


class PostMortemDrafts(Model):
    """Versions written for the post-mortem; `approved` is one that reviewers let out."""

    written: int = 0
    turned_down: int = 0
    approved: int | None = None
    by: str = ""


class IncidentRecord(Model):
    """An incident as PostgreSQL has it; `state` None where no step was ever recorded.

    `unreadable` says that a state stands there which this program does not understand.
    """

    id: str
    open: bool
    policy_hash: str
    dry_run: bool
    opened_at: datetime
    state: IncidentState | None = None
    unreadable: bool = False
    broadcasts: tuple[BroadcastRecord, ...] = ()
    drafts: frozenset[int] = frozenset()
    audiences: frozenset[str] = frozenset()
    promises: tuple[PromiseChange, ...] = ()
    """Those that stand open."""
    post_mortem: PostMortemDrafts = PostMortemDrafts()

    @property
    def steps(self) -> int:
        """How many steps are recorded."""
        return self.state.steps if self.state else 0

    def broadcast(self, n: int) -> BroadcastRecord | None:
        return next((b for b in self.broadcasts if b.n == n), None)


class Records:
    """Reads what `reconcile` compares."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def load(self, ids: Collection[str] = ()) -> tuple[IncidentRecord, ...]:
        """Every incident that is not over or has a message on its way, and those named."""
        async with self._engine.connect() as conn:
            rows = (await conn.execute(_INCIDENTS, {"ids": list(ids)})).mappings().all()
            found = [row["id"] for row in rows]
            given = {"ids": found}
            broadcasts = (await conn.execute(_BROADCASTS, given)).mappings().all()
            drafts = await _drafts(conn, found)
            audiences = (
                await conn.execute(
                    select(AudienceRow.incident_id, AudienceRow.id).where(
                        AudienceRow.incident_id.in_(found)
                    )
                )
            ).all()
            promises = await _promises(conn, found)
        return tuple(
            _record(
                row,
                [b for b in broadcasts if b["incident_id"] == row["id"]],
                [d for d in drafts if d["incident_id"] == row["id"]],
                frozenset(a.id for a in audiences if a.incident_id == row["id"]),
                [p for p in promises if p["incident_id"] == row["id"]],
            )
            for row in rows
        )

    async def missing(self, ids: Collection[str]) -> tuple[str, ...]:
        """Which of these incidents have no row."""
        async with self._engine.connect() as conn:
            query = select(IncidentRow.id).where(IncidentRow.id.in_(ids))
            known = set(await conn.scalars(query))
        return tuple(id_ for id_ in ids if id_ not in known)

    async def lines(self, incident_id: str) -> tuple[TimelineEntry, ...]:
        """The newest lines of the timeline, oldest first."""
        async with self._engine.connect() as conn:
            rows = await conn.execute(
                select(TimelineRow.__table__)
                .where(TimelineRow.incident_id == incident_id)
                .order_by(TimelineRow.at.desc(), TimelineRow.id.desc())
                .limit(_LINES)
            )
            found = [TimelineEntry.model_validate(dict(row)) for row in rows.mappings()]
        return tuple(reversed(found))

    async def mark_told(self, incident_id: str, watermark: int, now: datetime) -> None:
        """Signals up to a watermark went along with the start: the relay need not tell them."""
        async with self._engine.begin() as conn:
            await conn.execute(
                update(SignalRow)
                .where(
                    SignalRow.incident_id == incident_id,
                    SignalRow.seq <= watermark,
                    SignalRow.relayed_at.is_(None),
                )
                .values(relayed_at=now)
            )


async def _drafts(conn: AsyncConnection, ids: Sequence[str]) -> Sequence[RowMapping]:
    row = DraftRow
    query = select(
        row.incident_id, row.version, row.moment, row.request, row.state, row.decided_by
    ).where(row.incident_id.in_(ids))
    return (await conn.execute(query.order_by(row.incident_id, row.version))).mappings().all()


async def _promises(conn: AsyncConnection, ids: Sequence[str]) -> Sequence[RowMapping]:
    query = (
        select(PromiseRow.__table__)
        .where(PromiseRow.incident_id.in_(ids), PromiseRow.state == "open")
        .order_by(PromiseRow.number)
    )
    return (await conn.execute(query)).mappings().all()


def _record(
    row: RowMapping,
    broadcasts: Sequence[RowMapping],
    drafts: Sequence[RowMapping],
    audiences: frozenset[str],
    promises: Sequence[RowMapping],
) -> IncidentRecord:
    state, unreadable = _state(row["state"])
    return IncidentRecord(
        **{key: row[key] for key in ("id", "open", "policy_hash", "dry_run", "opened_at")},
        state=state,
        unreadable=unreadable,
        broadcasts=tuple(_broadcast(b, state) for b in broadcasts),
        drafts=frozenset(d["version"] for d in drafts),
        audiences=audiences,
        promises=tuple(PromiseChange.model_validate(dict(p)) for p in promises),
        post_mortem=_post_mortem(drafts),
    )


def _state(stored: dict[str, Any] | None) -> tuple[IncidentState | None, bool]:
    if stored is None:
        return None, False
    try:
        return IncidentState.model_validate(stored), False
    except ValidationError:
        return None, True


def _broadcast(row: RowMapping, state: IncidentState | None) -> BroadcastRecord:
    frozen = row["id"] is not None
    spec = BroadcastSpec.model_validate(row["spec"]) if row["spec"] else None
    if spec is None and frozen and state is not None:
        # Of a release that did not keep specs: its audience is frozen, so that it isn't asked for.
        values = {name: row[name] for name in _FROM_ROW}
        scope = {"category": state.category, "components": state.components, "audience_id": None}
        spec = BroadcastSpec.model_validate({"incident_id": row["incident_id"], **values, **scope})
    return BroadcastRecord(
        n=row["n"],
        frozen=frozen,
        finished=row["finished_at"] is not None,
        expires_at=spec.expires_at if spec else row["expires_at"],
        spec=spec,
    )


def _post_mortem(drafts: Sequence[RowMapping]) -> PostMortemDrafts:
    about = [d for d in drafts if d["moment"] == Moment.POST_MORTEM.value]
    written = [d for d in about if d["request"].startswith("post-mortem-")]
    approved = next((d for d in reversed(about) if d["state"] == "approved"), None)
    return PostMortemDrafts(
        written=len(written),
        turned_down=sum(d["state"] in ("rejected", "superseded") for d in written),
        approved=approved["version"] if approved else None,
        by=(approved["decided_by"] or "") if approved else "",
    )
