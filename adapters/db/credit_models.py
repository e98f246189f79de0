"""The table of SLA credits."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from sqlalchemy import ForeignKey, Index, Numeric
from sqlalchemy.orm import Mapped, mapped_column

from adapters.db.models import Base, Json


class CreditRow(Base):
    """What one account is owed for one incident: proposed, then approved or rejected by a person.

    `amount` is None while the account's fee is not known; `month` is the outage's (YYYY-MM).
    """

    __tablename__ = "credits"
    incident_id: Mapped[str] = mapped_column(ForeignKey("incidents.id"), primary_key=True)
    account_id: Mapped[str] = mapped_column(primary_key=True)
    plan: Mapped[str]
    percent: Mapped[Decimal] = mapped_column(Numeric(5, 2))
    amount: Mapped[Decimal | None] = mapped_column(Numeric(14, 2))
    currency: Mapped[str]
    month: Mapped[str]
    working: Mapped[Json]
    state: Mapped[str]
    policy_hash: Mapped[str]
    proposed_at: Mapped[datetime]
    decided_by: Mapped[str | None]
    decided_at: Mapped[datetime | None]
    reason: Mapped[str | None]
    __table_args__ = (Index("ix_credits_account", "account_id", "month"),)
