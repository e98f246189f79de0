"""Figures and times in words: "four hours", "forty percent", "thousands of", "since Thursday"."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from domain.message import Finding
from domain.rules.base import Passage
from domain.rules.known import close
from domain.rules.lexicon import KEY
from domain.rules.phrases import fold, key, phrase_of
from domain.rules.traceable import known, use

_HUNDREDS = {"hundred": 100, "hundert": 100, "cent": 100, "honderd": 100, "thousand": 1000,
             "tausend": 1000, "mille": 1000, "duizend": 1000, "mila": 1000}  # fmt: skip
_PERCENT = "percent|per cent|prozent|pour cent|por ciento|por cento|procent|per cento"
# How far a share in words may be from the one that is known.
_ROUGH = 3


def lengths(p: Passage) -> Iterator[Finding]:
    """Hours and days in words are the facts': "four hours"."""
    span = p.lists.span
    if span is None:
        return
    counts = {key(c): v for c, v in span.counts.items() if v > 1}
    if not p.reading.starts.keys() & _first_letters(tuple(counts)):
        return
    long = {key(u): d for u, d in span.units.items() if d >= timedelta(hours=1)}
    notes = fold("\n".join(p.notes))
    for m in _counted(tuple(counts), tuple(long)).finditer(p.folded):
        minutes = counts[m["count"]] * long[m["unit"]].total_seconds() / 60
        if m[0] not in notes and not close(minutes, p.known.minutes):
            yield p.finding("number", m.start(), m[0], known(p))


def shares(p: Passage) -> Iterator[Finding]:
    """Shares in words are the facts': "one in three", "forty percent"."""
    notes, listed = fold("\n".join(p.notes)), p.lists.fractions
    for start, end in p.spans("fractions"):
        found = p.folded[start:end]
        share = listed[phrase_of(listed, found)]
        if found not in notes and not _is_near(p, share):
            yield p.finding("number", start, found, known(p))
    counts = p.lists.span.counts if p.lists.span is not None else {}
    if "cent" in p.folded or "cient" in p.folded or "prozent" in p.folded:
        by_word = {key(c): v for c, v in counts.items()}
        for m in _percent(tuple(by_word)).finditer(p.folded):
            if m[0] not in notes and not _is_near(p, by_word[m["count"]]):
                yield p.finding("number", m.start(), m[0], known(p))


def crowds(p: Passage) -> Iterator[Finding]:
    """ "Thousands of customers" need a figure that is as large."""
    figures, notes = p.facts.numbers.values(), fold("\n".join(p.notes))
    for start, end in p.spans("crowds"):
        found = p.folded[start:end]
        least = p.lists.tone.crowds.get(" ".join(found.split()), 0.0)
        if found not in notes and not any(figure >= least for figure in figures):
            yield p.finding("number", start, found, known(p))


def hundreds(p: Passage) -> Iterator[Finding]:
    """Large figures in words are the facts': "thirteen hundred accounts"."""
    span = p.lists.span
    if span is None or not any(word in p.folded for word in _HUNDREDS):
        return
    counts, notes = {key(c): v for c, v in span.counts.items()}, fold("\n".join(p.notes))
    for m in _scaled(tuple(counts)).finditer(p.folded):
        size = next(n for word, n in _HUNDREDS.items() if m["scale"].startswith(word))
        if m[0] not in notes and not close(counts[m["count"]] * size, p.known.figures(p.channel)):
            yield p.finding("number", m.start(), m[0], known(p))


def days(p: Passage) -> Iterator[Finding]:
    """Days and hours in words are those of the facts' instants."""
    instants = list(p.facts.times.values())
    notes = fold("\n".join(p.notes))
    found: list[tuple[int, int]] = []
    if not _is_over_night(instants):
        found += p.spans("yesterday")
    for start, end in p.spans("hours"):
        hour, minute = map(
            int, p.lists.tone.hours[" ".join(p.folded[start:end].split())].split(":")
        )
        shown = (at.astimezone(zone) for at in instants for zone in p.zones)
        if not any((t.hour, t.minute) == (hour, minute) for t in shown):
            found.append((start, end))
    weekdays = p.lists.weekdays
    for _, end in p.spans("since"):
        m = _NEXT.match(p.folded, end)
        day = weekdays.get(m["word"]) if m else None
        if m and day is not None and day not in {d.weekday() for d in _dates(instants)}:
            found.append(m.span("word"))
    local = {at.astimezone(zone).weekday() for at in instants for zone in p.zones}
    for date in p.dates:
        m = _LAST.search(p.folded, max(0, date.start - 24), date.start)
        day = weekdays.get(m["word"]) if m else None
        if m and day is not None and day not in local:
            found.append(m.span("word"))
    for start, end in found:
        if p.folded[start:end] not in notes:
            yield p.finding("time", start, p.words[start:end], use(p))


# "Saturday, 21 November", "sabato, il 21", "Samstag, den 21."
_LAST = re.compile(r"(?P<word>[^\W\d_]+(?:-feira)?)[\s,]{1,2}(?:(?:the|den|dem|le|el|il|dia)\s)?$")
_NEXT = re.compile(r"\s+(?P<word>[^\W\d_]+(?:-feira)?)")


def _is_near(p: Passage, share: float) -> bool:
    return any(abs(share - k) <= _ROUGH for k in p.known.percentages)


def _dates(instants: list[datetime]) -> set[datetime]:
    """The instants as clocks all over the earth show them."""
    return {at.astimezone(UTC) + timedelta(hours=h) for at in instants for h in (-12, 0, 14)}


def _is_over_night(instants: list[datetime]) -> bool:
    """Whether the facts tell of more than one day somewhere; without any nothing is known."""
    return not instants or max(instants) - min(instants) >= timedelta(hours=10)


@lru_cache(maxsize=32)
def _counted(counts: tuple[str, ...], units: tuple[str, ...]) -> re.Pattern[str]:
    count, unit = ("|".join(map(re.escape, sorted(w, key=len)[::-1])) for w in (counts, units))
    # For a language without counts in words there is nothing to find.
    return re.compile(rf"(?<!\w)(?P<count>{count or '(?!)'})\s(?P<unit>{unit or '(?!)'})(?!\w)")


@lru_cache(maxsize=32)
def _percent(counts: tuple[str, ...]) -> re.Pattern[str]:
    count = "|".join(map(re.escape, sorted(counts, key=len)[::-1]))
    return re.compile(rf"(?<!\w)(?P<count>{count or '(?!)'})[\s-](?:{_PERCENT})(?!\w)")


@lru_cache(maxsize=32)
def _scaled(counts: tuple[str, ...]) -> re.Pattern[str]:
    count = "|".join(map(re.escape, sorted(counts, key=len)[::-1]))
    scale = "hundred|hundert|cents?|honderd|cento|thousand|tausend|mille|duizend|mila"
    return re.compile(rf"(?<!\w)(?P<count>{count or '(?!)'})[\s-]?(?P<scale>{scale})(?!\w)")


@lru_cache(maxsize=32)
def _first_letters(counts: tuple[str, ...]) -> frozenset[str]:
    return frozenset(re.split(r"\W", count)[0][:KEY] for count in counts)
