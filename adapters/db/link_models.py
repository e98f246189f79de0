"""The tables of incidents that belong together."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from adapters.db.models import Base


class MergedIncidentRow(Base):
    """An incident that goes on in another one: `into_id` is always the one that goes on now."""

    __tablename__ = "merged_incidents"
    incident_id: Mapped[str] = mapped_column(ForeignKey("incidents.id"), primary_key=True)
    into_id: Mapped[str] = mapped_column(ForeignKey("incidents.id"))
    by: Mapped[str]
    at: Mapped[datetime]
    __table_args__ = (Index("ix_merged_incidents_into", "into_id"),)


class SplitIncidentRow(Base):
    """An incident that was split off another one."""

    __tablename__ = "split_incidents"
    incident_id: Mapped[str] = mapped_column(ForeignKey("incidents.id"), primary_key=True)
    from_id: Mapped[str] = mapped_column(ForeignKey("incidents.id"))
    by: Mapped[str]
    at: Mapped[datetime]
    __table_args__ = (Index("ix_split_incidents_from", "from_id"),)


class IncidentKinRow(Base):
    """An incident whose messages may have told people that `incident_id` answers for now.

    Whom exactly, say merged incidents (all of them) and moved accounts.
    """

    __tablename__ = "incident_kin"
    incident_id: Mapped[str] = mapped_column(primary_key=True)
    of_id: Mapped[str] = mapped_column(primary_key=True)
    at: Mapped[datetime]


class MovedAccountRow(Base):
    """An account that was told by `from_id` and hears the rest from `into_id`."""

    __tablename__ = "moved_accounts"
    from_id: Mapped[str] = mapped_column(primary_key=True)
    account_id: Mapped[str] = mapped_column(primary_key=True)
    into_id: Mapped[str]
    __table_args__ = (Index("ix_moved_accounts_into", "into_id"),)
