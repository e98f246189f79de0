"""The inbox of what people click and command in Slack: stored first, carried out afterwards."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal

from pydantic import BaseModel, ConfigDict
from sqlalchemy import select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.db.slack_models import SlackActionRow

# Longer than a command may take, so that nobody else takes up what is being carried out.
LEASE = timedelta(seconds=60)


class SlackAction(BaseModel):
    """One click or command, reduced to what carrying it out needs; `place` is where to answer."""

    model_config = ConfigDict(frozen=True)

    id: str
    user_id: str
    action: Literal["approve", "reject", "confirm", "dismiss", "start"]
    place: str
    incident_id: str | None = None
    draft: int | None = None
    hash: str | None = None
    reason: str = ""
    title: str = ""
    correlation_id: str = ""


class DueAction(BaseModel):
    """An action to carry out, or one whose `answer` is still to be told."""

    model_config = ConfigDict(frozen=True)

    action: SlackAction
    attempts: int
    received_at: datetime
    answer: str | None = None


class SlackInbox:
    """The actions in PostgreSQL; several gateways may work on them at once."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def keep(self, action: SlackAction, now: datetime) -> bool:
        """Store an action for good; False when this very one is here already."""
        row = SlackActionRow
        payload = action.model_dump(include={"place", "draft", "hash", "reason", "title"})
        statement = (
            insert(row)
            .values(
                id=action.id,
                user_id=action.user_id,
                action=action.action,
                incident_id=action.incident_id,
                payload=payload,
                correlation_id=action.correlation_id,
                received_at=now,
                not_before=now,
            )
            .on_conflict_do_nothing()
            .returning(row.id)
        )
        async with self._engine.begin() as conn:
            return (await conn.execute(statement)).first() is not None

    async def take(self, now: datetime, limit: int) -> tuple[DueAction, ...]:
        """Lease what is due, oldest first: nobody else gets it before the lease runs out."""
        row = SlackActionRow
        due = (
            select(row.id)
            .where(row.told_at.is_(None), row.not_before <= now)
            .order_by(row.received_at, row.id)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        statement = (
            update(row)
            .where(row.id.in_(due))
            .values(not_before=now + LEASE, attempts=row.attempts + 1)
            .returning(row.__table__)
        )
        async with self._engine.begin() as conn:
            found = (await conn.execute(statement)).all()
        return tuple(
            DueAction(
                action=SlackAction(
                    id=one.id,
                    user_id=one.user_id,
                    action=one.action,
                    incident_id=one.incident_id,
                    correlation_id=one.correlation_id,
                    **one.payload,
                ),
                attempts=one.attempts,
                received_at=one.received_at,
                answer=None if one.state == "waiting" else one.outcome,
            )
            for one in sorted(found, key=lambda one: (one.received_at, one.id))
        )

    async def put_off(self, action_id: str, until: datetime) -> None:
        """Give an action back, to be tried again."""
        row = SlackActionRow
        async with self._engine.begin() as conn:
            await conn.execute(update(row).where(row.id == action_id).values(not_before=until))

    async def settle(
        self, action_id: str, state: Literal["done", "refused"], outcome: str, now: datetime
    ) -> None:
        """Keep what became of it; what people wrote leaves the row, for it stands elsewhere."""
        row = SlackActionRow
        without_words = text("payload - 'reason' - 'title'")
        async with self._engine.begin() as conn:
            await conn.execute(
                update(row)
                .where(row.id == action_id)
                .values(state=state, outcome=outcome, settled_at=now, payload=without_words)
            )

    async def told(self, action_id: str, now: datetime) -> None:
        """The person knows, or nothing is left to be said."""
        row = SlackActionRow
        async with self._engine.begin() as conn:
            await conn.execute(update(row).where(row.id == action_id).values(told_at=now))
