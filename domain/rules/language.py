"""Right language: the small words of a text tell which language it is in."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from domain.message import Finding
from domain.rules.base import Passage

_WORD = re.compile(r"[^\W\d_]+")
# Fewer hits than this prove nothing: a name or a quoted word can look foreign.
_ENOUGH = 3


def scores(text: str, stop_words: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """How many words of a text are small words of each language."""
    words = _WORD.findall(text.lower())
    known = {locale: frozenset(listed) for locale, listed in stop_words.items()}
    return {locale: sum(w in listed for w in words) for locale, listed in known.items()}


def guess(text: str, stop_words: Mapping[str, Sequence[str]]) -> str | None:
    """The language whose small words are clearly the most; None where that is not clear."""
    ranked = sorted(scores(text, stop_words).items(), key=lambda item: -item[1])
    if not ranked or ranked[0][1] < 2:
        return None
    if len(ranked) > 1 and ranked[0][1] <= ranked[1][1]:
        return None
    return ranked[0][0]


def right_language(p: Passage) -> Iterator[Finding]:
    """A text is in the language it says it is; a human's quoted note may be in another."""
    if p.field == "subject":
        return
    stop_words = p.policy.tone.stop_words
    own = p.language
    if own not in stop_words:
        return
    counted = scores(p.without_notes, stop_words)
    mine = counted.pop(own)
    for other, hits in counted.items():
        if hits >= _ENOUGH and hits > mine:
            yield p.finding("language", 0, f"reads like {other!r}", f"write this text in {own!r}")
            return
