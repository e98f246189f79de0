"""The table of what humans state for post-mortems."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from adapters.db.models import Base, Json


class StatementRow(Base):
    """The latest statement of an incident (`domain.post_mortem.Statement`)."""

    __tablename__ = "post_mortem_statements"
    incident_id: Mapped[str] = mapped_column(ForeignKey("incidents.id"), primary_key=True)
    statement: Mapped[Json]
    author: Mapped[str]
    stated_at: Mapped[datetime]
