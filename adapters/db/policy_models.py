"""Which policy ruled when: one row per change, never updated."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey, Identity
from sqlalchemy.orm import Mapped, mapped_column

from adapters.db.models import Base


class PolicyInForceRow(Base):
    """A policy put in force; the newest row names the one that new incidents begin under.

    `from_file` says that the programs' own file was read at a start, and not that a person chose
    the policy: a file that stays as it is must not undo that choice at the next start.
    """

    __tablename__ = "policies_in_force"
    seq: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    hash: Mapped[str] = mapped_column(ForeignKey("policies.hash"))
    since: Mapped[datetime]
    by: Mapped[str]
    source: Mapped[str]
    from_file: Mapped[bool]
