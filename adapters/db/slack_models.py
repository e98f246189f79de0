"""The tables of the staff's chat: what was posted there, and what was clicked there."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Boolean, ForeignKey, Index, Integer, text
from sqlalchemy.orm import Mapped, mapped_column

from adapters.db.models import Base, Json


class StaffPostRow(Base):
    """One message to staff: a card or a reply, each posted once; `digest` names what it shows.

    `place` and `message` are the chat's own names of where it stands. `final`: it will never
    change again.
    """

    __tablename__ = "staff_posts"
    incident_id: Mapped[str] = mapped_column(ForeignKey("incidents.id"), primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    place: Mapped[str]
    message: Mapped[str]
    digest: Mapped[str]
    final: Mapped[bool] = mapped_column(Boolean)
    posted_at: Mapped[datetime]
    updated_at: Mapped[datetime]


class SlackActionRow(Base):
    """The inbox of clicks and commands: stored before Slack is answered, then carried out.

    `id` names the click, so that a repeated delivery is one row. `payload` holds what is needed
    to carry it out; a reason and a title leave with the outcome. `state`: waiting, done or
    refused; `told_at`: the person was answered.
    """

    __tablename__ = "slack_actions"
    id: Mapped[str] = mapped_column(primary_key=True)
    user_id: Mapped[str]
    action: Mapped[str]
    incident_id: Mapped[str | None] = mapped_column(index=True)
    payload: Mapped[Json]
    correlation_id: Mapped[str]
    received_at: Mapped[datetime]
    state: Mapped[str] = mapped_column(server_default="waiting")
    attempts: Mapped[int] = mapped_column(Integer, server_default="0")
    not_before: Mapped[datetime]
    outcome: Mapped[str | None]
    settled_at: Mapped[datetime | None]
    told_at: Mapped[datetime | None]
    __table_args__ = (
        Index("ix_slack_actions_waiting", "not_before", postgresql_where=text("told_at IS NULL")),
    )
