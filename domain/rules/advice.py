"""Figures in advice: "wait 30 seconds" tells readers what to do and states nothing.

A figure is advice where its sentence tells the reader to do something and announces no repair,
and where its own clause complains of nothing: "please wait 30 minutes until it works again" says
how long the repair takes.
"""

from __future__ import annotations

import re

from domain.rules.base import Passage
from domain.rules.lexicon import Span

# Nobody is told to wait longer; and a few of something may be tried.
_LONGEST, _FEW = 3600, 10
_OPENING = re.compile(r"(?:^|[,;:()\u2013\u2014¡¿、-])[\s\"'«]*$")


def allows(p: Passage, start: int, value: float, seconds: float | None) -> bool:
    """Whether a figure at an offset is advice; `seconds` are those of its unit of time."""
    sentence = p.sentence_at(start)
    if sentence is None or not is_advice(p, sentence) or any(p.within("fix", *sentence)):
        return False
    clause = clause_at(p, sentence, start)
    # "If it takes longer than 20 seconds, stop it" complains of nothing.
    listed = ("repair",) if any(p.within("unsure", *clause)) else ("repair", "trouble", "told")
    if any(any(p.within(name, *clause)) for name in listed):
        return False
    if any(p.within("limits", *clause)):
        return True
    return value <= _FEW if seconds is None else value * seconds <= _LONGEST


def is_advice(p: Passage, sentence: Span) -> bool:
    """Whether a sentence asks something of its reader, or a clause of it opens with an order."""
    if any(p.within("advice", *sentence)):
        return True
    return any(opens(p, sentence, start) for start, _ in p.within("orders", *sentence))


def opens(p: Passage, sentence: Span, at: int) -> bool:
    """Whether a clause begins at an offset."""
    before = p.folded[sentence[0] : at]
    last = [m.end() for m in p.lists.joins.finditer(p.folded, sentence[0], at + 1)]
    return _OPENING.search(before) is not None or (bool(last) and last[-1] == at)


def clause_at(p: Passage, sentence: Span, at: int) -> Span:
    """The clause of a sentence that an offset is in."""
    start, end = sentence
    for m in p.lists.joins.finditer(p.folded, *sentence):
        if m.end() <= at:
            start = m.end()
        elif m.start() >= at:
            return start, m.start()
    return start, end
