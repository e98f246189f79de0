"""A paragraph in another language than the rest, such as one pasted from a colleague's note."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator

from domain.message import Finding
from domain.rules.base import Passage

_SENTENCE = re.compile(r"[^\n.!?]+[.!?]?")
# A quoted name or button has fewer small words; a sentence has more.
_ENOUGH, _APART = 5, 4


def foreign_paragraph(p: Passage) -> Iterator[Finding]:
    """Every paragraph is in the language of the text."""
    stop_words = p.lists.tone.stop_words
    if p.field == "subject" or p.language not in stop_words:
        return
    text = p.without_notes
    listed = list(stop_words)
    own = 1 << listed.index(p.language)
    marked = p.small_words
    if sum(not mask & own for _, mask in marked) == 0:
        return
    for sentence in _SENTENCE.finditer(text):
        first = bisect_left(marked, (sentence.start(), 0))
        last = bisect_left(marked, (sentence.end(), 0))
        masks = [mask for _, mask in marked[first:last]]
        mine = sum(bool(mask & own) for mask in masks)
        if len(masks) < _ENOUGH or len(masks) - mine <= mine:
            continue
        for bit, other in enumerate(listed):
            hits = sum(mask >> bit & 1 for mask in masks)
            # Neighbours share small words: what is only theirs must be much more, too.
            theirs = sum(mask >> bit & 1 and not mask & own for mask in masks)
            ours = sum(bool(mask & own) and not mask >> bit & 1 for mask in masks)
            if hits >= _ENOUGH and (hits > 2 * mine or (theirs >= _APART and theirs > 2 * ours)):
                wanted = f"write this text in {p.language!r}"
                yield p.finding("language", sentence.start(), f"reads like {other!r}", wanted)
                return
