"""What the ledger says: counts, pages, and who still misses the end."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import ColumnElement, func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.db.closure import GAPS, gaps_parameters
from adapters.db.freeze import STAFF
from adapters.db.models import BroadcastRow, DeliveryRow
from domain.errors import BadInput, FieldError
from domain.message import Channel, Moment
from domain.ports import ChannelCounts, Model, Remaining

_GAPS = text(GAPS)
# The partial index of open rows answers this without counting.
_REMAINING = text(
    """
    SELECT
        EXISTS (SELECT 1 FROM deliveries WHERE broadcast_id = :broadcast AND channel = :channel
                AND state = 'pending') AS pending,
        EXISTS (SELECT 1 FROM deliveries WHERE broadcast_id = :broadcast AND channel = :channel
                AND state = 'sending') AS sending,
        (SELECT min(not_before) FROM deliveries WHERE broadcast_id = :broadcast
            AND channel = :channel AND state = 'pending' AND not_before IS NOT NULL
            AND NOT EXISTS (SELECT 1 FROM deliveries WHERE broadcast_id = :broadcast
                AND channel = :channel AND state = 'pending' AND not_before IS NULL)) AS next_at
    """
)
_FILTERS = {
    "channel": DeliveryRow.channel,
    "state": DeliveryRow.state,
    "moment": BroadcastRow.moment,
    "broadcast": BroadcastRow.n,
}
_LARGEST_PAGE = 1000


class Delivery(Model):
    """One ledger row as the staff API shows it; `broadcast` numbers it within the incident."""

    id: int
    broadcast: int
    moment: Moment
    channel: Channel
    account_id: str | None
    contact_id: str | None
    address: str | None
    locale: str
    state: str
    provider_id: str | None
    attempts: int
    reason: str | None
    sent_at: datetime | None
    resent: int


class DeliveryPage(Model):
    """A page and the cursor of the next; None on the last."""

    items: tuple[Delivery, ...]
    next: str | None


async def remaining(conn: AsyncConnection, broadcast_id: int, channel: Channel) -> Remaining:
    """Whether a channel still has rows to send."""
    parameters = {"broadcast": broadcast_id, "channel": channel.value}
    row = (await conn.execute(_REMAINING, parameters)).one()
    return Remaining(pending=row.pending, sending=row.sending, next_at=row.next_at)


async def counts(conn: AsyncConnection, broadcast_id: int) -> dict[Channel, ChannelCounts]:
    """Rows of a broadcast by channel and state."""
    return await _count(conn, DeliveryRow.broadcast_id == broadcast_id)


async def incident_summary(conn: AsyncConnection, incident_id: str) -> dict[Channel, ChannelCounts]:
    """Rows of an incident by channel and state."""
    return await _count(conn, DeliveryRow.incident_id == incident_id)


async def _count(conn: AsyncConnection, where: ColumnElement[bool]) -> dict[Channel, ChannelCounts]:
    rows = await conn.execute(
        select(
            DeliveryRow.channel,
            DeliveryRow.state,
            func.count().label("rows"),
            func.sum(DeliveryRow.resent).label("resent"),
        )
        .where(where)
        .group_by(DeliveryRow.channel, DeliveryRow.state)
    )
    found: dict[Channel, dict[str, int]] = {}
    for row in rows:
        counted = found.setdefault(Channel(row.channel), {"resent": 0})
        counted[row.state] = row.rows
        counted["resent"] += row.resent
    return {c: ChannelCounts(**found[c]) for c in Channel if c in found}


async def page(
    conn: AsyncConnection,
    incident_id: str,
    cursor: str | None,
    limit: int,
    filters: Mapping[str, str],
) -> DeliveryPage:
    """Rows of an incident in the order they were frozen; raises BadInput naming the field."""
    query = (
        select(
            DeliveryRow.__table__,
            BroadcastRow.n.label("broadcast"),
            BroadcastRow.moment,
        )
        .join(BroadcastRow, BroadcastRow.id == DeliveryRow.broadcast_id)
        .where(DeliveryRow.incident_id == incident_id)
    )
    for name, value in filters.items():
        if name not in _FILTERS:
            raise _bad(name, value, f"filters: {', '.join(_FILTERS)}")
        column = _FILTERS[name]
        wanted = _number(name, value) if name == "broadcast" else value
        query = query.where(column == wanted)
    if cursor:
        query = query.where(DeliveryRow.id > _number("cursor", cursor))
    limit = max(1, min(limit, _LARGEST_PAGE))
    rows = (await conn.execute(query.order_by(DeliveryRow.id).limit(limit + 1))).all()
    items = tuple(
        Delivery.model_validate({name: getattr(row, name) for name in Delivery.model_fields})
        for row in rows[:limit]
    )
    return DeliveryPage(items=items, next=str(items[-1].id) if len(rows) > limit else None)


def _number(field: str, value: str) -> int:
    if value.isascii() and value.isdigit() and len(value) < 19:
        return int(value)
    raise _bad(field, value, "a whole number")


def _bad(field: str, value: str, allowed: str) -> BadInput:
    return BadInput(
        f"{field}: {value!r} is not allowed; allowed: {allowed}",
        [FieldError(field=field, value=value, allowed=allowed)],
    )


async def closure_gaps(conn: AsyncConnection, incident_id: str) -> int:
    """Recipients told the start without an end, over all channels."""
    rows = await conn.execute(_GAPS, gaps_parameters(incident_id, any_state=True))
    return sum(row.missing for row in rows)


async def told_channels(conn: AsyncConnection, incident_id: str) -> tuple[Channel, ...]:
    """Customer channels on which something of the incident was sent, or may have been."""
    rows = await conn.execute(
        select(DeliveryRow.channel)
        .distinct()
        .where(
            DeliveryRow.incident_id == incident_id,
            DeliveryRow.state.in_(("sent", "unknown", "sending")),
            DeliveryRow.channel.not_in(STAFF),
        )
    )
    found = {Channel(name) for name in rows.scalars()}
    return tuple(c for c in Channel if c in found)
