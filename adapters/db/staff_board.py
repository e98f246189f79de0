"""What staff should see of an incident, and what was posted to them already."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import get_args

from sqlalchemy import Row, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from adapters.db.blast_radius import BlastRadiusRead
from adapters.db.drafts import DraftStore
from adapters.db.models import BroadcastRow, DraftRow, IncidentRow, Json, TimelineRow
from adapters.db.policies import PolicyStore
from adapters.db.slack_models import StaffPostRow
from domain.card import CONFIRM, Case, Closing, Ended, Nudge, NudgeKind, Place, decide_key
from domain.casework import Asked, asked
from domain.errors import NotFound
from domain.incident import ACTIVE, IncidentState
from domain.maintenance import is_maintenance
from domain.message import Moment

NUDGES = get_args(NudgeKind)
# What a nudge's own columns hold; the rest of its line goes into its sentence.
_OF_ITS_OWN = ("version", "due", "who")
CLOSINGS = ("confirmed", "dismissed", "closed_unconfirmed", "false_alarm")
_LOCK = text("SELECT pg_advisory_lock(hashtextextended(:key, 0))")
_UNLOCK = text("SELECT pg_advisory_unlock(hashtextextended(:key, 0))")


class StaffBoard:
    """Implements `activities.approval.StaffBoard` on PostgreSQL."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._policies = PolicyStore(engine)
        self._drafts = DraftStore(engine)
        self._radius = BlastRadiusRead(engine)

    @asynccontextmanager
    async def at(self, incident_id: str) -> AsyncIterator[Sheet]:
        """One incident's posts, held against everybody else who would post for it.

        The lock is the connection's own, not a transaction's: each post is kept at once, and a
        worker that dies lets go of it with its connection.
        """
        key = {"key": f"staff-posts:{incident_id}"}
        async with self._engine.connect() as conn:
            await conn.execution_options(isolation_level="AUTOCOMMIT")
            try:
                await conn.execute(_LOCK, key)
                yield Sheet(conn, incident_id)
            except BaseException:
                # The lock goes with the connection, whatever state an interrupted call left it in.
                await conn.invalidate()
                raise
            await conn.execute(_UNLOCK, key)

    async def asked(self, incident_id: str) -> Asked | None:
        """Who is asked now; None for an incident whose workflow has written nothing yet."""
        async with self._engine.connect() as conn:
            found = await conn.execute(
                select(IncidentRow.state, IncidentRow.policy_hash).where(
                    IncidentRow.id == incident_id
                )
            )
            row = found.first()
        if row is None or row.state is None:
            return None
        policy = await self._policies.by_hash(row.policy_hash)
        return asked(IncidentState.model_validate(row.state), policy)

    async def case(self, incident_id: str, shown: frozenset[str]) -> Case | None:
        """The incident as it stands; None while its workflow has written nothing of it yet."""
        async with self._engine.connect() as conn:
            found = await conn.execute(
                select(IncidentRow.title, IncidentRow.state, IncidentRow.policy_hash).where(
                    IncidentRow.id == incident_id
                )
            )
            row = found.first()
            if row is None:
                raise NotFound(f"no incident {incident_id}")
            if row.state is None:
                return None
            state = IncidentState.model_validate(row.state)
            waiting = state.pending.draft if state.pending else None
            watched = state.pending or state.promise or state.stage in ACTIVE
            watched = watched or is_maintenance(incident_id)
            nudges = await _nudges(conn, incident_id) if watched else ()
            ended = await _ended(conn, incident_id, shown, waiting)
            closing = await _closing(conn, incident_id) if CONFIRM in shown else None
        policy = await self._policies.by_hash(row.policy_hash)
        draft = radius = None
        if state.pending is not None:
            draft = await self._drafts.load(incident_id, state.pending.draft)
            audience_id = state.pending.audience.audience_id
            if audience_id is not None:
                # Ages count to when it was asked, so that a card does not change by itself.
                radius = await self._radius.read(
                    audience_id, state.pending.channels, policy, state.pending.asked_at
                )
        return Case(
            incident_id=incident_id,
            title=row.title,
            state=state,
            policy=policy,
            draft=draft,
            radius=radius,
            nudges=nudges,
            ended=ended,
            suspicion_ended=closing,
            shown=shown,
        )


class Sheet:
    """The posts of one incident, while nobody else changes them; each change is kept at once."""

    def __init__(self, conn: AsyncConnection, incident_id: str) -> None:
        self._conn = conn
        self._incident_id = incident_id

    async def posts(self) -> dict[str, Place]:
        """What was posted, by key."""
        row = StaffPostRow
        found = await self._conn.execute(
            select(row.key, row.place, row.message, row.digest, row.final).where(
                row.incident_id == self._incident_id
            )
        )
        return {
            post.key: Place(
                place=post.place, message=post.message, digest=post.digest, final=post.final
            )
            for post in found
        }

    async def posted(self, key: str, place: Place, now: datetime) -> None:
        """Remember a new post."""
        await self._conn.execute(
            insert(StaffPostRow).values(
                incident_id=self._incident_id,
                key=key,
                posted_at=now,
                updated_at=now,
                **place.model_dump(),
            )
        )

    async def changed(self, key: str, place: Place, now: datetime) -> None:
        """Remember what a post shows now."""
        row = StaffPostRow
        await self._conn.execute(
            update(row)
            .where(row.incident_id == self._incident_id, row.key == key)
            .values(updated_at=now, **place.model_dump())
        )


async def _nudges(conn: AsyncConnection, incident_id: str) -> tuple[Nudge, ...]:
    rows = await _lines(conn, incident_id, NUDGES)
    return tuple(
        Nudge(
            key=row.key,
            kind=row.kind,
            version=row.data.get("version"),
            due=row.data.get("due"),
            who=row.data.get("who"),
            words={k: str(v) for k, v in row.data.items() if k not in _OF_ITS_OWN},
        )
        for row in rows
    )


async def _closing(conn: AsyncConnection, incident_id: str) -> Closing | None:
    for row in await _lines(conn, incident_id, CLOSINGS):
        return Closing(kind=row.kind, actor=row.actor, reason=row.data.get("reason"))
    return None


async def _lines(
    conn: AsyncConnection, incident_id: str, kinds: tuple[str, ...]
) -> Sequence[Row[str, str, str, Json]]:
    line = TimelineRow
    found = await conn.execute(
        select(line.key, line.kind, line.actor, line.data)
        .where(line.incident_id == incident_id, line.kind.in_(kinds))
        .order_by(line.at, line.id)
    )
    return found.all()


async def _ended(
    conn: AsyncConnection, incident_id: str, shown: frozenset[str], waiting: int | None
) -> tuple[Ended, ...]:
    """The versions whose cards still ask, and which wait no longer."""
    draft = DraftRow
    found = await conn.execute(
        select(
            draft.version,
            draft.moment,
            draft.state,
            draft.decided_by,
            draft.reason,
            draft.facts["holding"].as_boolean().label("holding"),
            select(BroadcastRow.allowed_by)
            .where(BroadcastRow.incident_id == incident_id, BroadcastRow.version == draft.version)
            .order_by(BroadcastRow.n.desc())
            .limit(1)
            .scalar_subquery()
            .label("allowed_by"),
        )
        .where(draft.incident_id == incident_id)
        .order_by(draft.version)
    )
    rows = list(found)
    # A holding line, or a note to executives, goes out beside a version and replaces none.
    versions = [r.version for r in rows if not r.holding and r.moment != Moment.EXECUTIVE.value]
    return tuple(
        Ended(
            version=row.version,
            moment=row.moment,
            state=row.state,
            decided_by=row.decided_by,
            allowed_by=row.allowed_by,
            reason=row.reason,
            newer=next((v for v in versions if v > row.version), None),
        )
        for row in rows
        if decide_key(row.version) in shown and row.version != waiting
    )
