"""The incident's projection, timeline, promises and decisions, written by its workflow."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from adapters.db.audit import append_in
from adapters.db.links import take_in
from adapters.db.models import (
    AlertRow,
    BroadcastSpecRow,
    DraftRow,
    IncidentRow,
    NoteRow,
    PromiseRow,
    TimelineRow,
)
from domain.cascade import TakeIn
from domain.errors import NotFound, Refused
from domain.incident import IncidentState, Stage
from domain.ports import BroadcastSpec, Decision, PromiseChange, TimelineEntry


class IncidentStore:
    """Implements `IncidentRecords` on PostgreSQL."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def record(
        self,
        state: IncidentState,
        now: datetime,
        timeline: Sequence[TimelineEntry],
        promises: Sequence[PromiseChange],
        decisions: Sequence[Decision],
        broadcasts: Sequence[BroadcastSpec] = (),
        links: Sequence[TakeIn] = (),
    ) -> None:
        """Write one step in one transaction; the timeline's keys make a retry harmless.

        Raises Refused when a later step stands there: whoever writes this one runs on a state that
        was lost and found again, and would say everything twice. Raises NotFound without a row.
        """
        async with self._engine.begin() as conn:
            await _refuse_older(conn, state)
            fresh = await self._write_timeline(conn, state.id, timeline)
            await conn.execute(
                update(IncidentRow).where(IncidentRow.id == state.id).values(columns(state, now))
            )
            await take_in(conn, state.id, links, now)
            if broadcasts:
                await conn.execute(
                    insert(BroadcastSpecRow)
                    .values(
                        [
                            {
                                "incident_id": state.id,
                                "n": spec.n,
                                "spec": spec.model_dump(mode="json"),
                                "decided_at": now,
                            }
                            for spec in broadcasts
                        ]
                    )
                    .on_conflict_do_nothing()
                )
            if state.over:
                await conn.execute(
                    update(AlertRow).where(AlertRow.incident_id == state.id).values(open=False)
                )
            for change in promises:
                await self._write_promise(conn, state.id, change)
            for decision in decisions:
                await self._write_decision(conn, state.id, decision, audited=bool(fresh))

    async def note(self, note_id: str) -> str:
        async with self._engine.connect() as conn:
            text = await conn.scalar(select(NoteRow.text).where(NoteRow.id == note_id))
        if text is None:
            raise NotFound(f"no note {note_id}")
        return text

    async def _write_timeline(
        self, conn: AsyncConnection, incident_id: str, timeline: Sequence[TimelineEntry]
    ) -> set[str]:
        if not timeline:
            return set()
        rows = [{"incident_id": incident_id, **e.model_dump()} for e in timeline]
        result = await conn.execute(
            insert(TimelineRow)
            .values(rows)
            .on_conflict_do_nothing(constraint="uq_timeline_incident_key")
            .returning(TimelineRow.key)
        )
        return {row.key for row in result}

    async def _write_promise(
        self, conn: AsyncConnection, incident_id: str, change: PromiseChange
    ) -> None:
        values = change.model_dump()
        await conn.execute(
            insert(PromiseRow)
            .values(incident_id=incident_id, **values)
            .on_conflict_do_update(
                index_elements=["incident_id", "number"],
                set_={"state": change.state, "kept_at": change.kept_at, "due": change.due},
            )
        )

    async def _write_decision(
        self, conn: AsyncConnection, incident_id: str, decision: Decision, *, audited: bool
    ) -> None:
        values: dict[str, Any] = {"state": decision.state}
        if decision.state in ("approved", "rejected"):
            values |= {
                "decided_by": decision.by,
                "decided_at": decision.at,
                "decision": decision.decision,
                "reason": decision.reason,
            }
        result = await conn.execute(
            update(DraftRow)
            .where(
                DraftRow.incident_id == incident_id,
                DraftRow.version == decision.version,
                DraftRow.state != "sent",
            )
            .values(values)
            .returning(DraftRow.hash)
        )
        row = result.first()
        if audited and row is not None and decision.state in ("approved", "rejected"):
            await append_in(
                conn,
                "decision",
                decision.by or "forewarn",
                {"version": decision.version, "hash": row.hash, "decision": decision.state},
                decision.at,
                incident_id,
            )


async def _refuse_older(conn: AsyncConnection, state: IncidentState) -> None:
    recorded = (
        await conn.execute(
            select(IncidentRow.state["steps"].astext.label("steps"))
            .where(IncidentRow.id == state.id)
            .with_for_update()
        )
    ).first()
    if recorded is None:
        raise NotFound(f"there is no row of incident {state.id}")
    if recorded.steps is not None and int(recorded.steps) > state.steps:
        raise Refused(
            "behind",
            f"step {recorded.steps} of {state.id} is recorded, this run is at step {state.steps}",
        )


def columns(state: IncidentState, now: datetime) -> dict[str, Any]:
    """The incident's row as its state says it."""
    pending = state.pending
    shown = (
        None
        if pending is None
        else {
            "draft": pending.draft,
            "moment": pending.moment,
            "hash": pending.hash,
            "next_update_at": pending.next_update_at.isoformat()
            if pending.next_update_at
            else None,
            "channels": list(pending.channels),
            "invalid": pending.invalid,
            "asked_at": pending.asked_at.isoformat(),
            "approvals": len(pending.approvals),
            "approvals_needed": pending.approvals_needed,
            "suggested": pending.suggested,
        }
    )
    ended = state.over
    return {
        "severity": state.severity,
        "stage": state.stage,
        "category": state.category,
        "components": list(state.components),
        "regions": list(state.regions),
        "affected_share": state.affected_share,
        "open": not state.over,
        "started_at": state.started_at,
        "confirmed_at": state.confirmed_at,
        "resolved_at": state.resolved_at
        if state.ended or ended or state.stage is Stage.RESOLVED
        else None,
        "closed_at": now if state.over else None,
        "next_update_due": None if state.over else state.next_update_due,
        "announced": state.announced,
        "audience_id": state.audience.audience_id,
        "audience_accounts": state.audience.accounts,
        "audience_recipients": state.audience.recipients,
        "pending": shown,
        "post_mortem": state.post_mortem,
        "post_mortem_due": state.post_mortem_due,
        "updated_at": now,
        "state": state.model_dump(mode="json"),
        **({"policy_hash": state.policy_hash} if state.policy_hash else {}),
    }
