"""A paragraph in another language than the rest, such as one pasted from a colleague's note."""

from __future__ import annotations

import re
from collections.abc import Iterator

from domain.message import Finding
from domain.rules.base import Passage
from domain.rules.language import scores

_LINE = re.compile(r"[^\n]+")
# A quoted name or button has fewer small words; a sentence has more.
_ENOUGH = 5


def foreign_paragraph(p: Passage) -> Iterator[Finding]:
    """Every paragraph is in the language of the text."""
    stop_words = p.policy.tone.stop_words
    if p.field == "subject" or p.language not in stop_words:
        return
    for line in _LINE.finditer(p.without_notes):
        for sentence in re.finditer(r"[^.!?]+[.!?]?", line[0]):
            counted = scores(sentence[0], stop_words)
            mine = counted.pop(p.language)
            other, hits = max(counted.items(), key=lambda item: item[1])
            if hits >= _ENOUGH and hits > 2 * mine:
                at = line.start() + sentence.start()
                wanted = f"write this text in {p.language!r}"
                yield p.finding("language", at, f"reads like {other!r}", wanted)
                return
