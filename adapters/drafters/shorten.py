"""Cutting a text to a length without hurting a word, a letter or a link."""

from __future__ import annotations

import re
import unicodedata

ELLIPSIS = "…"
_LEAST = 20
# Written without spaces: a line may break between any two of these letters.
_SPACELESS = re.compile(r"[\u2e80-\u9fff\uf900-\ufaff\uff00-\uffef\U00020000-\U0003ffff]")
# Full-width ends of a clause: comma, stop, exclamation, question, semicolon, closing brackets.
_PAUSES = frozenset("\u3001\u3002\uff0c\uff0e\uff01\uff1f\uff1b\u300d\u300f\uff09\u3011")
# What must not stand before an ellipsis: commas, colons, opening brackets, also full width.
_DANGLING = " \t\n,;:-\u2013\u00a0\u202f([\u3001\uff0c\uff1a\uff1b\u30fb\u300c\u300e\uff08\u3010"
_JOINER = "\u200d"


def shorten(text: str, limit: int) -> str:
    """Cut at a word or a pause, with an ellipsis; nothing where hardly anything would be left."""
    if len(text) <= limit:
        return text
    if limit <= _LEAST:
        return ""
    end = whole(text, limit - 1)
    cut = text[: _word(text, end)].rstrip(_DANGLING)
    return f"{cut}{ELLIPSIS}" if cut else ""


def whole(text: str, end: int) -> int:
    """The last place at or before `end` that is not inside a letter with its accents or emoji."""
    while 0 < end < len(text) and _joined(text, end):
        end -= 1
    return end


def _word(text: str, end: int) -> int:
    """Where the last whole word or, in a language without spaces, the last pause ends."""
    if end >= len(text) or text[end].isspace() or text[end - 1].isspace():
        return end
    if _breaks(text[end - 1]) and _breaks(text[end]):
        pause = max((i + 1 for i in range(end // 2, end) if text[i] in _PAUSES), default=end)
        return pause if pause > end * 2 // 3 else end
    at = end
    while at > 0 and not text[at - 1].isspace() and not _breaks(text[at - 1]):
        at -= 1
    return at


def _breaks(letter: str) -> bool:
    return _SPACELESS.match(letter) is not None


def _joined(text: str, at: int) -> bool:
    """Whether the letters before and after `at` are one to the reader."""
    before, after = text[at - 1], text[at]
    return (
        unicodedata.category(after) in ("Mn", "Mc", "Me")
        or after == _JOINER
        or before == _JOINER
        or "\U0001f3fb" <= after <= "\U0001f3ff"
        or (_flag(before) and _flag(after) and _flags_before(text, at) % 2 == 1)
    )


def _flag(letter: str) -> bool:
    return "\U0001f1e6" <= letter <= "\U0001f1ff"


def _flags_before(text: str, at: int) -> int:
    start = at
    while start > 0 and _flag(text[start - 1]):
        start -= 1
    return at - start
