"""Reads JSON from outside so that nothing in it can surprise what comes after."""

from __future__ import annotations

import hashlib
import json
import math
import re
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from domain.errors import BadInput, FieldError
from domain.signal import Severity

MAX_DEPTH = 32
KEY_LENGTH = 200
TITLE_LENGTH = 1000
DESCRIPTION_LENGTH = 20_000
URL_LENGTH = 2000
LABELS = 100
LABEL_LENGTH = 2000
_SHOWN = 200

# PostgreSQL stores neither NUL nor lone surrogates; an alert is worth more than its odd bytes.
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_BREAKS = re.compile(r"[\x00-\x20\x7f-\x9f\u2028\u2029]+")
# Alertmanager writes nanoseconds, which datetime does not read.
_TIME = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:\.(\d{1,6})\d*)?\s*(Z|z|[+-]\d\d:?\d\d)"
)
_P_NUMBER = re.compile(r"\b(?:P|S|SEV|PRIORITY|SEVERITY)[ _-]?([0-9])\b", re.IGNORECASE)
_WORDS = {
    **dict.fromkeys(("critical", "fatal", "emergency", "page", "disaster"), Severity.P1),
    **dict.fromkeys(("error", "major", "high"), Severity.P2),
    **dict.fromkeys(("warning", "warn", "minor", "medium", "moderate"), Severity.P3),
    **dict.fromkeys(("info", "informational", "none", "low", "notice"), Severity.P4),
}


def bad(field: str, value: object, allowed: str) -> BadInput:
    """The error for one field, with its value cut to what an answer may carry."""
    return BadInput(f"{field}: not allowed", [FieldError(field=field, value=shown(value),
                                                         allowed=allowed)])  # fmt: skip


def shown(value: object) -> str | int | float | bool | None:
    """A value as an error may show it: short, and representable in JSON."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int) and abs(value) <= 2**63:
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    if isinstance(value, dict):
        return f"an object with {len(value)} keys"
    if isinstance(value, list):
        return f"a list of {len(value)}"
    return clean(str(value))[:_SHOWN]


def clean(text: str) -> str:
    """The text without what PostgreSQL cannot store: replaced, so that a reader notices."""
    return _UNSTORABLE.sub("\ufffd", text)


def one_line(text: str, limit: int) -> str:
    """The text on one line, without control characters, cut with an ellipsis at `limit`."""
    line = _BREAKS.sub(" ", clean(text)).strip()
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"


def cut(text: str, limit: int) -> str:
    """The text cut with an ellipsis at `limit` characters."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def key(text: str) -> str:
    """A text as a key: itself, or a digest of it when it is longer than a key may be."""
    if len(text) <= KEY_LENGTH:
        return text
    return f"{text[:100]}#{hashlib.sha256(text.encode()).hexdigest()}"


def read_json(body: bytes) -> Any:
    """The document of a body with every text cleaned. Raises BadInput.

    Refused: another encoding than UTF-8, NaN and Infinity, nesting deeper than 32.
    """
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise bad("body", f"byte {error.start}", "JSON in UTF-8") from None
    try:
        document = json.loads(text, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno} column {error.colno}"
        raise bad("body", where, f"JSON; there: {error.msg}") from None
    except (RecursionError, ValueError):
        # ValueError: an integer of more digits than Python converts.
        raise bad("body", None, f"JSON nested at most {MAX_DEPTH} deep, numbers of sane length") \
            from None  # fmt: skip
    # Raw bytes cannot hold what is unstorable, only escapes can; and what opens no more than so
    # many brackets is not nested deeper.
    if "\\u" not in text and text.count("{") + text.count("[") <= MAX_DEPTH:
        return document
    return _cleaned(document, 0)


def _refuse_constant(name: str) -> Any:
    raise bad("body", name, "JSON, which has no NaN and no Infinity")


def _cleaned(value: Any, depth: int) -> Any:
    if depth > MAX_DEPTH:
        raise bad("body", None, f"JSON nested at most {MAX_DEPTH} deep")
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, list):
        return [_cleaned(item, depth + 1) for item in value]
    if isinstance(value, dict):
        return {clean(k): _cleaned(item, depth + 1) for k, item in value.items()}
    return value


def as_object(value: Any, field: str) -> dict[str, Any]:
    """The value if it is an object. Raises BadInput naming `field`."""
    if not isinstance(value, dict):
        raise bad(field, value, "an object")
    return value


def text_of(holder: Any, *path: str) -> str:
    """The text (or number) at a path of nested objects on one line; empty where there is none."""
    for name in path:
        holder = holder.get(name) if isinstance(holder, dict) else None
    if isinstance(holder, bool) or not isinstance(holder, str | int):
        return ""
    return one_line(str(holder), TITLE_LENGTH)


def labels_of(value: Any) -> dict[str, str]:
    """At most 100 labels of bounded length, texts and numbers only; the rest is dropped."""
    if not isinstance(value, dict):
        return {}
    pairs = (
        (cut(k, KEY_LENGTH), cut(v if isinstance(v, str) else str(v), LABEL_LENGTH))
        for k, v in value.items()
        if isinstance(v, str | int | float)
    )
    return dict(list(pairs)[:LABELS])


def web_address(value: Any) -> str | None:
    """The value if it is an http or https address of sane length, else None."""
    if not isinstance(value, str) or len(value) > URL_LENGTH or _BREAKS.search(value):
        return None
    try:
        parts = urlsplit(value)
    except ValueError:
        return None
    return value if parts.scheme in ("http", "https") and parts.netloc else None


def instant(value: Any) -> datetime | None:
    """An RFC 3339 time in UTC; None for anything else and for "never" (years before 1970)."""
    match = _TIME.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        return None
    day, clock, fraction, zone = match.groups()
    offset = "+00:00" if zone in "Zz" else zone
    try:
        read = datetime.fromisoformat(f"{day}T{clock}.{(fraction or '0').ljust(6, '0')}{offset}")
        read = read.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return read if read.year >= 1970 else None


def severity_of(text: str) -> Severity | None:
    """The severity that a monitor's word or number means; P0 is P1, below P4 is P4."""
    match = _P_NUMBER.search(text)
    if match:
        return Severity(f"P{min(max(int(match[1]), 1), 4)}")
    return _WORDS.get(text.strip().lower())


def share_of(text: str) -> float | None:
    """A share 0…1 from a label; None for anything else."""
    try:
        share = float(text)
    except ValueError:
        return None
    return share if 0 <= share <= 1 else None
