"""Lists of phrases as policy writes them, found in a text of any language.

`*` stands for the rest of a word, ` ... ` for a few words between, and a phrase that begins with
`-` is set aside first: with `soon` and `-as soon as`, "as soon as" is not found. Case, kinds of
spaces and apostrophes make no difference. Scripts without spaces have no word boundaries.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache

_SAME = str.maketrans(
    {
        **dict.fromkeys("\u2018\u2019\u02bc\uff07", "'"),
        **dict.fromkeys("\u00a0\u202f\u2009\u3000\n\r\t", " "),
        **dict.fromkeys("\u2010\u2011", "-"),
        "\uff05": "%",
        "\uff1a": ":",
    }
)
# Kana, ideographs and the marks between them.
SPACELESS = "\u3005-\u30ff\u3400-\u9fff\uff66-\uff9f"
_SPACELESS = re.compile(f"[{SPACELESS}]")
_GAP = r"\W[^.!?。\uff01\uff1f;]{0,60}?(?<!\w)"


def fold(text: str) -> str:
    """Lower case with one kind of space and apostrophe, at the same offsets."""
    low = text.lower()
    if len(low) != len(text):
        low = "".join(c.lower() if len(c.lower()) == 1 else c for c in text)
    return low.translate(_SAME)


@lru_cache(maxsize=8192)
def key(word: str) -> str:
    """`fold` for the words of a list, which come again and again."""
    return fold(word)


def holds(phrases: Iterable[str], folded: str) -> bool:
    """Whether a short folded text holds one of the phrases."""
    pattern = joined(tuple(phrases))
    return pattern is not None and pattern.search(folded) is not None


def meaning(listed: Mapping[str, str], found: str) -> str:
    """What the list says of a phrase that was found by it."""
    return listed[phrase_of(listed, found)]


def phrase_of(listed: Iterable[str], found: str) -> str:
    """The phrase of the list by which something was found, the longest where there are more."""
    alike = (k for k in listed if key(k)[:1] in (found[:1], "*"))
    return max((k for k in alike if _is_whole(k, found)), key=len)


def _is_whole(phrase: str, found: str) -> bool:
    pattern = joined((phrase,), whole=True)
    return pattern is not None and pattern.fullmatch(found) is not None


@lru_cache(maxsize=4096)
def joined(phrases: tuple[str, ...], whole: bool = False) -> re.Pattern[str] | None:
    """A pattern that finds any of the phrases, the longest first; `whole` leaves edges open."""
    listed = sorted({p for p in phrases if p.strip("-* ")}, key=len, reverse=True)
    if not listed:
        return None
    edge = "" if whole else rf"(?<![^\W{SPACELESS}])"
    return re.compile(
        "|".join(source(p) if begins_spaceless(p) else edge + source(p) for p in listed)
    )


def begins_spaceless(phrase: str) -> bool:
    """Whether a phrase begins in a script that has no spaces between words."""
    return _SPACELESS.match(phrase) is not None


@lru_cache(maxsize=8192)
def source(phrase: str) -> str:
    """The expression for a phrase, with its right edge."""
    folded = fold(" ".join(phrase.split()))
    return _source(folded)


def _source(folded: str) -> str:
    found = re.escape(folded).replace(r"\ \.\.\.\ ", _GAP).replace(r"\*", r"\w*")
    found = found.replace(r"\.\.\.", ".{0,30}?").replace(r"\ ", r"\s{1,3}")
    return found if _SPACELESS.match(folded[-1]) else rf"{found}(?![^\W{SPACELESS}])"
