"""The parts of a message in Slack's Block Kit, each within Slack's limits."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from adapters.chat.mrkdwn import line

Block = dict[str, Any]

MAX_TEXT = 2900
MAX_HEADER = 150


def plain(text: str, limit: int) -> Block:
    """Text without markup, cut at `limit`."""
    return {"type": "plain_text", "text": text[:limit], "emoji": True}


def header(text: str) -> Block:
    """The bold line at the top."""
    return {"type": "header", "text": plain(text[:1].upper() + text[1:], MAX_HEADER)}


def section(text: str) -> Block:
    """A paragraph of Slack's markup."""
    # Our own lines are bounded; this only guards against many of them.
    if len(text) > MAX_TEXT:
        end = text.rfind("\n", 0, MAX_TEXT)
        text = text[: end if end > 0 else MAX_TEXT] + "\n…"
    return {"type": "section", "text": {"type": "mrkdwn", "text": text, "verbatim": True}}


def context(text: str) -> Block:
    """A small grey line of Slack's markup."""
    return {"type": "context", "elements": [{"type": "mrkdwn", "text": text, "verbatim": True}]}


def joined(keys: Sequence[str]) -> str:
    """Keys in one escaped line."""
    return line(", ".join(keys))


def instant(at: datetime) -> str:
    """An instant in UTC, to the minute."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def age(of: timedelta) -> str:
    """A length of time in the one unit that matters."""
    hours = of.total_seconds() / 3600
    if hours < 1:
        return f"{max(0, round(hours * 60))} min"
    return f"{hours:.0f} h" if hours < 72 else f"{hours / 24:.0f} days"


def number(value: float) -> str:
    """A number with thousands set apart."""
    return f"{value:,.0f}"
