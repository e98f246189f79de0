"""Recognises people who were erased: an import must not take them in again without saying so."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator, Mapping
from datetime import datetime

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.db.erasure_models import ErasureRow
from adapters.db.models import SuppressionRow
from domain.customers import CustomerRow
from domain.errors import BadInput, FieldError

CONTACT, EMAIL, PHONE = "contact_id", "email", "phone"
_PURPOSE = b"forewarn erasure"
VARIABLE = "FOREWARN_ERASURE_KEY"


class Marker:
    """Makes the keyed hash of an id or address; without the key nobody can try addresses out."""

    def __init__(self, secret: str) -> None:
        self._key = hmac.digest(secret.encode(), _PURPOSE, hashlib.sha256)
        self.key_mark = hmac.digest(self._key, b"key", hashlib.sha256)

    def mark(self, kind: str, value: str) -> bytes:
        """The hash of a value; letter case does not count, save in a contact's id."""
        plain = value.strip() if kind == CONTACT else value.strip().lower()
        return hmac.digest(self._key, f"{kind}\0{plain}".encode(), hashlib.sha256)


class Erased:
    """The erased people, as an import meets them; counts whom it leaves out or takes back."""

    def __init__(
        self, marker: Marker | None, marks: Mapping[bytes, Mapping[str, str]], readmit: bool
    ) -> None:
        self._marker = marker
        self._marks = marks
        self._readmit = readmit
        self._back: set[bytes] = set()
        self._refused: dict[tuple[str, str], str] = {}
        self.left_out = 0
        self.readmitted = 0

    def admits(self, row: CustomerRow) -> bool:
        """Whether a row goes in; call it once per row."""
        if self._marker is None or not self._marks:
            return True
        found = {}
        for kind, value in _values(row):
            mark = self._marker.mark(kind, value)
            if mark in self._marks:
                found[mark] = (kind, value)
        # A telephone may be shared: it recognises nobody, it only carries a refusal.
        person = any(kind != PHONE for kind, _ in found.values())
        if person and not self._readmit:
            self.left_out += 1
            return False
        if person:
            self.readmitted += 1
            self._back |= found.keys()
        for mark, (_, value) in found.items():
            for channel, reason in self._marks[mark].items():
                self._refused[(channel, value.strip().lower())] = reason
        return True

    async def apply(self, conn: AsyncConnection, now: datetime) -> None:
        """What was refused before the erasure is refused again; who is back is no longer marked."""
        for (channel, address), reason in self._refused.items():
            await conn.execute(
                insert(SuppressionRow)
                .values(channel=channel, address=address, reason=reason, at=now)
                .on_conflict_do_nothing()
            )
        if self._back:
            await conn.execute(delete(ErasureRow).where(ErasureRow.mark.in_(self._back)))


async def load_erased(conn: AsyncConnection, secret: str | None, readmit: bool) -> Erased:
    """Everybody who was erased; raises BadInput when they can't be recognised with this key."""
    rows = (await conn.execute(select(ErasureRow.__table__))).all()
    if not rows:
        return Erased(None, {}, readmit)
    marker = marker_for(secret, [bytes(row.key_mark) for row in rows])
    return Erased(marker, {bytes(row.mark): row.refused for row in rows}, readmit)


def marker_for(secret: str | None, key_marks: list[bytes]) -> Marker:
    """The marker of this key; raises BadInput unless all that is marked was marked with it."""
    allowed = "the key of the erasures so far; without one of its own that is FOREWARN_SECRET_KEY"
    if not secret:
        raise BadInput(
            "erased people can't be recognised without the key",
            [FieldError(field=VARIABLE, value=None, allowed=allowed)],
        )
    marker = Marker(secret)
    if any(key_mark != marker.key_mark for key_mark in key_marks):
        raise BadInput(
            "erased people can't be recognised: they were marked with another key",
            [FieldError(field=VARIABLE, value="(hidden)", allowed=allowed)],
        )
    return marker


def _values(row: CustomerRow) -> Iterator[tuple[str, str]]:
    yield CONTACT, row.contact_id
    yield EMAIL, row.email
    if row.phone:
        yield PHONE, row.phone
