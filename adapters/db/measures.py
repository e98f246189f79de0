"""Measures over what is recorded: each says whether it is known, and of how many."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict
from sqlalchemy import ColumnElement, Float, Row, Select, and_, case, cast, func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.db.models import BroadcastRow, DeliveryRow, DraftRow, IncidentRow, PromiseRow
from domain.maintenance import ID_PREFIX

MeasureState = Literal["recorded", "pending", "not_applicable"]
# What people at the company receive, and what only stands somewhere, notifies no customer.
_REACHES_A_CUSTOMER = ("email", "in_app", "sms", "slack", "teams", "status_page")


class Measure(BaseModel):
    """A figure over `n` cases; without one it is pending or does not apply, never zero."""

    model_config = ConfigDict(frozen=True)

    value: float | None
    unit: Literal["share", "seconds"]
    state: MeasureState
    n: int


class Measures:
    """The measures of incidents opened within a period; dry runs are left out."""

    def __init__(self, engine: AsyncEngine) -> None:
        self.engine = engine

    async def all(
        self, since: datetime | None = None, until: datetime | None = None
    ) -> dict[str, Measure]:
        """Every measure by name; times are medians."""
        period: list[ColumnElement[bool]] = [
            IncidentRow.dry_run.is_(False),
            # Planned work is no incident.
            ~IncidentRow.id.startswith(ID_PREFIX, autoescape=True),
        ]
        if since is not None:
            period.append(IncidentRow.opened_at >= since)
        if until is not None:
            period.append(IncidentRow.opened_at < until)
        within = and_(*period)
        async with self.engine.connect() as conn:
            promises = (await conn.execute(_promises(within))).one()
            first = (await conn.execute(_first_notification(within))).one()
            approval = (await conn.execute(_approval_delay(within))).one()
        return {
            "promises_kept": _measure("share", promises),
            "time_to_first_notification": _measure("seconds", first),
            "approval_delay": _measure("seconds", approval),
        }


def _promises(within: Any) -> Select[Any]:
    # A superseded promise was replaced by a message before it was due: neither kept nor missed.
    decided = PromiseRow.state.in_(("kept", "missed"))
    kept = cast(func.count().filter(PromiseRow.state == "kept"), Float)
    return (
        select(
            case((func.count().filter(decided) > 0, kept / func.count().filter(decided))).label(
                "value"
            ),
            func.count().filter(decided).label("n"),
            func.count().filter(PromiseRow.state == "open").label("waiting"),
        )
        .join(IncidentRow, IncidentRow.id == PromiseRow.incident_id)
        .where(within)
    )


def _first_notification(within: Any) -> Select[Any]:
    first = (
        select(
            DeliveryRow.incident_id.label("incident_id"),
            func.min(DeliveryRow.sent_at).label("sent_at"),
        )
        .join(BroadcastRow, BroadcastRow.id == DeliveryRow.broadcast_id)
        .where(DeliveryRow.channel.in_(_REACHES_A_CUSTOMER), DeliveryRow.sent_at.is_not(None))
        .group_by(DeliveryRow.incident_id)
        .subquery()
    )
    seconds = func.extract("epoch", first.c.sent_at - IncidentRow.opened_at)
    waiting = and_(first.c.sent_at.is_(None), IncidentRow.open, IncidentRow.stage != "suspected")
    return (
        select(
            func.percentile_cont(0.5).within_group(seconds).label("value"),
            func.count(first.c.sent_at).label("n"),
            func.count().filter(waiting).label("waiting"),
        )
        .select_from(IncidentRow)
        .outerjoin(first, first.c.incident_id == IncidentRow.id)
        .where(within)
    )


def _approval_delay(within: Any) -> Select[Any]:
    seconds = func.extract("epoch", DraftRow.decided_at - DraftRow.created_at)
    by_a_person = and_(DraftRow.decided_at.is_not(None), DraftRow.decided_by.is_not(None))
    still_open = IncidentRow.pending["draft"].as_integer() == DraftRow.version
    return (
        select(
            func.percentile_cont(0.5).within_group(seconds).filter(by_a_person).label("value"),
            func.count().filter(by_a_person).label("n"),
            func.count().filter(DraftRow.decided_at.is_(None), still_open).label("waiting"),
        )
        .join(IncidentRow, IncidentRow.id == DraftRow.incident_id)
        .where(within)
    )


def _measure(unit: Literal["share", "seconds"], row: Row[Any]) -> Measure:
    if row.n:
        return Measure(value=round(float(row.value), 4), unit=unit, state="recorded", n=row.n)
    state: MeasureState = "pending" if row.waiting else "not_applicable"
    return Measure(value=None, unit=unit, state=state, n=0)
