"""The table by which erased people are recognised without being kept."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import LargeBinary
from sqlalchemy.orm import Mapped, mapped_column

from adapters.db.models import Base, Json


class ErasureRow(Base):
    """A keyed hash of an erased person's contact id or address; `kind` says of which.

    `refused` maps a channel to the reason for which the address must not be written to.
    `key_mark` tells whether a key is the one that `mark` was made with.
    """

    __tablename__ = "erasures"
    mark: Mapped[bytes] = mapped_column(LargeBinary(32), primary_key=True)
    kind: Mapped[str]
    key_mark: Mapped[bytes] = mapped_column(LargeBinary(32))
    refused: Mapped[Json]
    at: Mapped[datetime]
