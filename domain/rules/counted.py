"""Figures and times of day in words: "eleven thousand", "one in six", "half past two"."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

from domain.message import Finding
from domain.rules import advice
from domain.rules.base import Passage
from domain.rules.known import close
from domain.rules.numerals import KANJI, kanji
from domain.rules.phrases import fold
from domain.rules.traceable import known, use

_PROMISED = frozenset({"next_update", "eta"})
_AFTER = re.compile(r"[\s-]*(?P<unit>[^\W\d_]+(?:\s(?:cent|cento|ciento))?)")
_PERCENT = frozenset(
    {"percent", "per cent", "prozent", "pour cent", "por ciento", "por cento", "procent",
     "per cento"}
)  # fmt: skip
# Up to here figures in words are words: "two things", "the three of us".
_SMALL = 12
# How far a share in words may be from the one that is known.
_ROUGH = 3
_IDEOGRAPHS = re.compile(
    rf"(?P<n>[{KANJI}]{{1,7}})"
    "の?(?P<unit>割|パーセント|%|時間|分間|分|日間|週間|社|人|件|名|台|アカウント|ユーザー|お客様)"
)
_PARTS_OF = re.compile(
    rf"(?P<b>[{KANJI}]|\d{{1,2}})(?:分の|人に|社に|件に|回に)(?P<a>[{KANJI}]|\d{{1,2}})"
)
_LENGTHS = {"時間": 60, "分間": 1, "分": 1, "日間": 1440, "週間": 10_080}
# Between the two figures of a share.
_OF = {
    "en": r"in|out of|in every", "de": r"von", "fr": r"sur", "es": r"de cada",
    "pt-BR": r"em cada|de cada", "nl": r"op|op de|van de", "it": r"su",
}  # fmt: skip
_ONE = re.compile(r"one|eine?[rs]?|une?|un[ao]?|uma?|één")
_WORD = re.compile(r"[^\W\d_]+(?:-[^\W\d_]+)*")
# "One customer in three regions" tells no share.
_PLACES = re.compile(
    r"\s(?:region|countr|countries|place|step|part|way|hour|day|minute|week)", re.IGNORECASE
)


def clocks(p: Passage) -> Iterator[Finding]:
    """A time of day in words is one of the facts' instants."""
    notes = fold("\n".join(p.notes))
    for told in p.spoken:
        said = p.folded[told.start : told.end]
        # "Trois heures et quart" may tell a length as well.
        if said in notes or (" heures" in said and close(told.minutes, p.known.minutes)):
            continue
        # What is promised is promised to the minute.
        if not any(
            told.matches(at, p.zones, exact=key in _PROMISED) for key, at in p.facts.times.items()
        ):
            yield p.finding("time", told.start, p.words[told.start : told.end], use(p))


def numerals(p: Passage) -> Iterator[Finding]:
    """A figure in words is one of the facts', as one in digits is."""
    if p.language == "ja":
        yield from _ideographs(p)
        return
    notes, units = fold("\n".join(p.notes)), p.lists.units
    taken = [(t.start, t.end) for t in p.spoken]
    taken += [*p.spans("fixed"), *p.spans("fractions"), *((s, e) for s, e, _ in _shares(p))]
    for n in p.numerals:
        said = p.folded[n.start : n.end]
        if said in notes or any(s < n.end and n.start < e for s, e in taken):
            continue
        after = _AFTER.match(p.folded, n.end)
        unit = after["unit"] if after else ""
        seconds = units.get(unit.split()[0]) if unit else None
        if unit in _PERCENT:
            fine = any(abs(n.value - k) <= _ROUGH for k in p.known.percentages)
        elif seconds is not None:
            # Seconds and minutes in words are words, but for a number that nobody counts by.
            fine = seconds < 3600 and n.value <= _SMALL
            fine = fine or close(n.value * seconds / 60, p.known.minutes)
        else:
            fine = n.value <= _SMALL and not _counts(p, n.end)
            fine = fine or close(n.value, p.known.figures(p.channel))
        if not fine and not advice.allows(p, n.start, n.value, seconds):
            yield p.finding("number", n.start, p.words[n.start : n.end], known(p))


def ratios(p: Passage) -> Iterator[Finding]:
    """A share that is told as one of so many is the facts'."""
    notes = fold("\n".join(p.notes))
    for start, end, share in _shares(p):
        listed = any(s < end and start < e for s, e in p.spans("fractions"))
        fine = listed or any(abs(share - k) <= _ROUGH for k in p.known.percentages)
        if not fine and p.folded[start:end] not in notes:
            yield p.finding("number", start, p.words[start:end], known(p))


def _shares(p: Passage) -> Iterator[tuple[int, int, float]]:
    """Where a share is told as one of so many, and its percentage."""
    pattern = _ratio(p.language)
    if pattern is None:
        return
    by_start = {n.start: n for n in p.numerals}
    for of in p.numerals:
        m = pattern.search(p.folded, max(0, of.start - 60), of.start)
        if m is None or _PLACES.match(p.folded, of.end) is not None:
            continue
        # The first of the few words before that is a number.
        for word in _WORD.finditer(p.folded, m.start(), m.end("words")):
            several = by_start.get(word.start())
            if several is None and not _ONE.fullmatch(word[0]):
                continue
            share = 100 * (several.value if several is not None else 1) / of.value
            if share <= 100:
                yield word.start(), of.end, share
            break


def _ideographs(p: Passage) -> Iterator[Finding]:
    notes = "\n".join(p.notes)
    for m in _PARTS_OF.finditer(p.words):
        a, b = (kanji(m[k]) if not m[k].isdigit() else int(m[k]) for k in ("a", "b"))
        shares = p.known.percentages
        if (
            a
            and b
            and m[0] not in notes
            and not any(abs(100 * a / b - k) <= _ROUGH for k in shares)
        ):
            yield p.finding("number", m.start(), m[0], known(p))
    for m in _IDEOGRAPHS.finditer(p.words):
        value, unit = kanji(m["n"]), m["unit"]
        if value is None or value == 0 or m[0] in notes or m.start() in _starts(p, _PARTS_OF):
            continue
        if unit in _LENGTHS:
            fine = close(value * _LENGTHS[unit], p.known.minutes)
        elif unit in ("割", "パーセント", "%"):
            fine = close(value * (10 if unit == "割" else 1), p.known.percentages)
        else:
            fine = close(value, p.known.figures(p.channel))
        seconds = _LENGTHS[unit] * 60 if unit in _LENGTHS else None
        timed = any(t.start <= m.start() < t.end for t in p.spoken)
        if not fine and not timed and not advice.allows(p, m.start(), value, seconds):
            yield p.finding("number", m.start(), m[0], known(p))


def _starts(p: Passage, pattern: re.Pattern[str]) -> set[int]:
    return {i for m in pattern.finditer(p.words) for i in range(*m.span())}


def _counts(p: Passage, end: int) -> bool:
    """Whether customers, or what they do, are counted right after an offset."""
    return any(0 <= start - end <= 16 for start, _ in p.within("things", end, end + 40))


@lru_cache(maxsize=16)
def _ratio(language: str) -> re.Pattern[str] | None:
    of = _OF.get(language)
    if of is None:
        return None
    return re.compile(rf"(?<!\w)(?P<words>(?:{_WORD.pattern} ){{1,3}})(?:{of}) $")
