"""Cursors of paged lists: opaque to the caller, the position after the last item to us."""

from __future__ import annotations

import base64
import binascii
import json
from datetime import datetime
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict

from domain.errors import BadInput, FieldError

DEFAULT_LIMIT = 50
MAX_LIMIT = 200
T = TypeVar("T")


class Page(BaseModel, Generic[T]):
    """Some items of a list and where it goes on; `next` is None at its end."""

    model_config = ConfigDict(frozen=True)

    items: tuple[T, ...]
    next: str | None = None


def write_cursor(*position: object) -> str:
    """The position as a cursor."""
    words = [p.isoformat() if isinstance(p, datetime) else p for p in position]
    data = json.dumps(words, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def read_cursor(cursor: str, *kinds: type[int] | type[str] | type[datetime]) -> list[Any]:
    """The position behind a cursor; raises BadInput for one that is not of this list."""
    try:
        data = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        words = json.loads(data)
        if not isinstance(words, list) or len(words) != len(kinds):
            raise ValueError("another list's cursor")
        return [_read(word, kind) for word, kind in zip(words, kinds, strict=True)]
    except (binascii.Error, ValueError, TypeError, UnicodeError) as error:
        raise BadInput(
            "this cursor is not valid",
            [FieldError(field="cursor", value=cursor[:80], allowed="`next` of the page before")],
        ) from error


def _read(word: object, kind: type[int] | type[str] | type[datetime]) -> object:
    if kind is datetime and isinstance(word, str):
        instant = datetime.fromisoformat(word)
        if instant.tzinfo is None:
            raise ValueError("an instant without zone")
        return instant
    # A bool is an int to isinstance, and a huge int would be an error of the database.
    if isinstance(word, bool) or not isinstance(word, kind):
        raise ValueError("another list's cursor")
    if isinstance(word, int) and not -(2**62) < word < 2**62:
        raise ValueError("a position out of range")
    if isinstance(word, str) and "\x00" in word:
        raise ValueError("a position out of range")
    return word
