"""A person's wish to get no more mail, taken from the link in a mail."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.db.audit import append_in
from adapters.db.models import ContactRow, SuppressionRow
from domain.message import Channel


class UnsubscribeStore:
    """Writes suppressions of mail addresses, each with its audit entry."""

    def __init__(self, engine: AsyncEngine) -> None:
        self.engine = engine

    async def unsubscribe(self, contact_id: str, at: datetime) -> bool:
        """Suppress mail to the contact's address; False where nothing was left to do.

        A contact who is gone or already unsubscribed is none of the caller's business: the wish
        is fulfilled either way.
        """
        async with self.engine.begin() as conn:
            address = await conn.scalar(select(ContactRow.email).where(ContactRow.id == contact_id))
            if not address:
                return False
            written = await conn.scalar(
                insert(SuppressionRow)
                .values(
                    channel=Channel.EMAIL.value,
                    address=address.lower(),
                    reason="unsubscribed",
                    at=at,
                )
                .on_conflict_do_nothing()
                .returning(SuppressionRow.channel)
            )
            if written is None:
                return False
            body = {"contact_id": contact_id, "channel": Channel.EMAIL.value}
            await append_in(conn, "unsubscribe", "recipient", body, at)
            return True
