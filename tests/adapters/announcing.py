"""An incident on a real database and a message about it, for the built-in senders."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.db.intake import Intake
from adapters.db.models import AnnouncementRow
from domain.message import Channel, Moment, OutboundMessage, Recipient
from domain.policy import Policy
from domain.signal import Signal, SignalStatus


async def incident_on(engine: AsyncEngine, policy: Policy, now: datetime) -> str:
    """The id of a fresh incident."""
    alert = Signal(
        source="generic",
        external_id="a1",
        dedup_key="a1",
        status=SignalStatus.FIRING,
        title="payments fail",
        components=("payments",),
    )
    accepted = await Intake(engine).receive(
        alert, policy, now=now, correlation_id="test", dry_run=False, policy_hash=policy.hash
    )
    assert accepted.incident_id is not None
    return accepted.incident_id


def message(incident: str, channel: Channel, contact: str, **changes: Any) -> OutboundMessage:
    """One row's message, with the texts of the whole broadcast as the ledger hands them over."""
    metadata: dict[str, Any] = {
        "broadcast_id": 7,
        "stage": "investigating",
        "severity": "P2",
        "components": ["payments"],
        "next_update_at": None,
        "texts": {
            "en": {"subject": "Payment processing", "text": "Some payments fail.", "html": None},
            "de": {"subject": "Zahlungen", "text": "Zahlungen schlagen fehl.", "html": None},
        },
    }
    return OutboundMessage(
        key=contact,
        thread=contact,
        incident_id=incident,
        moment=Moment.INITIAL,
        channel=channel,
        recipient=Recipient(delivery_id=1, contact_id=contact),
        text="Some payments fail.",
        metadata=metadata | changes,
    )


async def announced(engine: AsyncEngine) -> list[tuple[str, str, str]]:
    """(channel, locale, title) of every announcement, in order."""
    columns = (AnnouncementRow.channel, AnnouncementRow.locale, AnnouncementRow.title)
    async with engine.connect() as conn:
        rows = await conn.execute(select(*columns).order_by(AnnouncementRow.id))
        return sorted((row.channel, row.locale, row.title) for row in rows)
