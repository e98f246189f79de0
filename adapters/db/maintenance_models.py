"""The tables of planned work, beside its rows of `incidents`."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Boolean, ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from adapters.db.models import Base


class MaintenanceRow(Base):
    """What planned work has beside its row of `incidents`, written by its workflow.

    `told_start` and `told_end` are what customers know. `run_started_at` is empty until Temporal
    runs it.
    """

    __tablename__ = "maintenances"
    id: Mapped[str] = mapped_column(ForeignKey("incidents.id"), primary_key=True)
    description: Mapped[str]
    advice: Mapped[str]
    impact: Mapped[str]
    starts_at: Mapped[datetime]
    ends_at: Mapped[datetime]
    told_start: Mapped[datetime | None]
    told_end: Mapped[datetime | None]
    began_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    objections_until: Mapped[datetime | None]
    credit_considered: Mapped[bool] = mapped_column(Boolean, server_default="false")
    incidents: Mapped[list[str]] = mapped_column(server_default="{}")
    run_started_at: Mapped[datetime | None]
    __table_args__ = (
        Index("ix_maintenances_starts_at", "starts_at", "id"),
        Index("ix_maintenances_not_run", "id", postgresql_where=text("run_started_at IS NULL")),
    )


class ObjectionRow(Base):
    """A customer's objection: a task for `assignee`, or too late and only recorded.

    `told_at` is empty until its timeline has it.
    """

    __tablename__ = "maintenance_objections"
    id: Mapped[str] = mapped_column(primary_key=True)
    maintenance_id: Mapped[str] = mapped_column(ForeignKey("maintenances.id"))
    account_id: Mapped[str]
    contact_id: Mapped[str | None]
    reason: Mapped[str]
    source: Mapped[str]
    late: Mapped[bool] = mapped_column(Boolean)
    assignee: Mapped[str | None]
    at: Mapped[datetime]
    told_at: Mapped[datetime | None]
    __table_args__ = (
        Index("ix_maintenance_objections_maintenance", "maintenance_id", "at"),
        Index(
            "ix_maintenance_objections_untold",
            "maintenance_id",
            postgresql_where=text("told_at IS NULL"),
        ),
    )
