"""Measures over what is recorded: each says whether it is known, and of how many."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict
from sqlalchemy import ColumnElement, Float, Row, Select, and_, case, cast, func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.db.models import (
    BroadcastRow,
    DeliveryRow,
    DraftRow,
    IncidentRow,
    PromiseRow,
    TimelineRow,
)
from domain.maintenance import ID_PREFIX

MeasureState = Literal["recorded", "pending", "not_applicable", "invalid"]
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
        return await self._of(and_(*period))

    async def incident(self, incident_id: str) -> dict[str, Measure]:
        """Every measure of one incident, a dry run too."""
        return await self._of(IncidentRow.id == incident_id)

    async def months(self, since: datetime, until: datetime) -> dict[str, dict[str, Measure]]:
        """Every measure by month of opening (UTC), such as `2026-03`; both ends as in `all`."""
        found: dict[str, dict[str, Measure]] = {}
        begin = since
        while begin < until:
            first = begin.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
            after = (first + timedelta(days=32)).replace(day=1)
            found[f"{first:%Y-%m}"] = await self.all(begin, min(after, until))
            begin = after
        return found

    async def _of(self, within: ColumnElement[bool]) -> dict[str, Measure]:
        async with self.engine.connect() as conn:
            promises = (await conn.execute(_promises(within))).one()
            first = (await conn.execute(_first_notification(within))).one()
            approval = (await conn.execute(_approval_delay(within))).one()
            acknowledged = (await conn.execute(_acknowledged(within))).one()
            response = (await conn.execute(_target(within, "response"))).one()
            resolution = (await conn.execute(_target(within, "resolution"))).one()
        return {
            "promises_kept": _measure("share", promises),
            "time_to_first_notification": _measure("seconds", first),
            "approval_delay": _measure("seconds", approval),
            "time_to_acknowledge": _measure("seconds", acknowledged),
            "response_target_met": _measure("share", response),
            "resolution_target_met": _measure("share", resolution),
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


def _acknowledged(within: Any) -> Select[Any]:
    """From the first alert to the first act of a human; before it is no figure of ours."""
    line = TimelineRow
    first = (
        select(line.incident_id.label("incident_id"), func.min(line.at).label("at"))
        .where(line.kind == "acknowledged")
        .group_by(line.incident_id)
        .subquery()
    )
    seconds = func.extract("epoch", first.c.at - IncidentRow.opened_at)
    sound = seconds >= 0
    waiting = and_(first.c.at.is_(None), IncidentRow.open, IncidentRow.confirmed_at.is_not(None))
    return (
        select(
            func.percentile_cont(0.5).within_group(seconds).filter(sound).label("value"),
            func.count().filter(sound).label("n"),
            func.count().filter(waiting).label("waiting"),
            func.count().filter(seconds < 0).label("invalid"),
        )
        .select_from(IncidentRow)
        .outerjoin(first, first.c.incident_id == IncidentRow.id)
        .where(within)
    )


def _target(within: Any, target: str) -> Select[Any]:
    """Targets met among those judged; an incident without such a target is in neither."""
    line = TimelineRow
    judged = (
        select(
            line.incident_id.label("incident_id"),
            func.bool_and(line.kind == "target_met").label("met"),
        )
        .where(
            line.kind.in_(("target_met", "target_missed")),
            line.data["target"].as_string() == target,
        )
        .group_by(line.incident_id)
        .subquery()
    )
    met = cast(func.count().filter(judged.c.met), Float)
    n = func.count(judged.c.met)
    waiting = and_(judged.c.met.is_(None), IncidentRow.open, IncidentRow.confirmed_at.is_not(None))
    return (
        select(
            case((n > 0, met / n)).label("value"),
            n.label("n"),
            func.count().filter(waiting).label("waiting"),
        )
        .select_from(IncidentRow)
        .outerjoin(judged, judged.c.incident_id == IncidentRow.id)
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
    if getattr(row, "invalid", 0):
        return Measure(value=None, unit=unit, state="invalid", n=0)
    state: MeasureState = "pending" if row.waiting else "not_applicable"
    return Measure(value=None, unit=unit, state=state, n=0)
