"""Figures and times in words: "four hours", "forty percent", "thousands of", "since Thursday"."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from domain.message import Finding
from domain.rules.advice import is_advice
from domain.rules.base import Passage
from domain.rules.known import close
from domain.rules.lexicon import KEY
from domain.rules.phrases import fold, key, phrase_of
from domain.rules.traceable import known, use

# How far a share in words may be from the one that is known.
_ROUGH = 3


def lengths(p: Passage) -> Iterator[Finding]:
    """Hours and days in words are the facts': "four hours"."""
    span = p.lists.span
    if span is None:
        return
    # Whole numbers in words are read as such; "anderthalb" and what else a language has are listed.
    counts = {key(c): v for c, v in span.counts.items() if v > 1 and v != int(v)}
    if _first_letters(tuple(counts)).isdisjoint(w[:KEY] for _, w in p.reading.words):
        return
    long = {key(u): d for u, d in span.units.items() if d >= timedelta(hours=1)}
    notes = fold("\n".join(p.notes))
    for m in _counted(tuple(counts), tuple(long)).finditer(p.folded):
        minutes = counts[m["count"]] * long[m["unit"]].total_seconds() / 60
        if m[0] not in notes and not close(minutes, p.known.minutes):
            yield p.finding("number", m.start(), m[0], known(p))


def shares(p: Passage) -> Iterator[Finding]:
    """Shares in words are the facts': "one in three", "half of"."""
    notes, listed = fold("\n".join(p.notes)), p.lists.fractions
    for start, end in p.spans("fractions"):
        found = p.folded[start:end]
        share = listed[phrase_of(listed, found)]
        if found not in notes and not _is_near(p, share):
            yield p.finding("number", start, found, known(p))


def crowds(p: Passage) -> Iterator[Finding]:
    """ "Thousands of customers" need a figure that is as large."""
    figures, notes = p.facts.numbers.values(), fold("\n".join(p.notes))
    for start, end in p.spans("crowds"):
        found = p.folded[start:end]
        least = p.lists.tone.crowds.get(" ".join(found.split()), 0.0)
        if found not in notes and not any(figure >= least for figure in figures):
            yield p.finding("number", start, found, known(p))


def days(p: Passage) -> Iterator[Finding]:
    """Days and hours in words are those of the facts' instants."""
    instants = list(p.facts.times.values())
    notes = fold("\n".join(p.notes))
    found: list[tuple[int, int]] = []
    if not _is_over_night(instants):
        found += [s for s in p.spans("yesterday") if not _is_advised(p, s[0])]
    for start, end in p.spans("hours"):
        hour, minute = map(
            int, p.lists.tone.hours[" ".join(p.folded[start:end].split())].split(":")
        )
        shown = (at.astimezone(zone) for at in instants for zone in p.zones)
        if not any((t.hour, t.minute) == (hour, minute) for t in shown):
            found.append((start, end))
    weekdays = p.lists.weekdays
    told = list(_weekdays(p))
    near = {d.weekday() for d in _dates(instants)} if told else set()
    found += [span for span, day in told if day not in near]
    local = {at.astimezone(zone).weekday() for at in instants for zone in p.zones}
    for date in p.dates:
        m = _LAST.search(p.folded, max(0, date.start - 24), date.start)
        day = weekdays.get(m["word"]) if m else None
        if m and day is not None and day not in local:
            found.append(m.span("word"))
    for start, end in found:
        if p.folded[start:end] not in notes:
            yield p.finding("time", start, p.words[start:end], use(p))


def _is_advised(p: Passage, at: int) -> bool:
    """Whether the sentence is advice: "open the dashboard to see yesterday's figures"."""
    sentence = p.sentence_at(at)
    return sentence is not None and is_advice(p, sentence)


def _weekdays(p: Passage) -> Iterator[tuple[tuple[int, int], int]]:
    """Days of the week that are named alone; "Monday to Friday" and "every Monday" are no dates."""
    named, ambiguous = p.lists.weekdays, p.lists.ordinals
    spans = [(at, at + len(w), w) for at, w in p.reading.words if w in named]
    if p.language == "ja" and "曜" in p.folded:
        spans += [(m.start(), m.end(), m[0]) for w in named for m in re.finditer(w, p.folded)
                  if not w[0].isascii() and w[0] > "\u3000"]  # fmt: skip
    after_since = {end for _, end in p.spans("since")}
    for i, (start, end, word) in enumerate(spans):
        beside = [s for s in spans[max(0, i - 1) : i + 2] if s[0] != start]
        ranged = any(_RANGE.fullmatch(p.folded[min(end, e) : max(start, s)]) for s, e, _ in beside)
        whole = word not in ambiguous or p.folded[end : end + 1] == "-" or start - 1 in after_since
        if whole and not ranged and _EVERY.search(p.folded, max(0, start - 12), start) is None:
            yield (start, end), named[word]


_RANGE = re.compile(
    r"(?:-feira)?(?:\s?(?:to|through|bis|à|au|a|al|tot|t/m|-|\u2013|から|and|und)\s?)"
)
_EVERY = re.compile(r"(?:every|each|jeden|chaque|cada|ogni|elke|iedere|毎週|black|cyber)\s?$")
# "Saturday, 21 November", "sabato, il 21", "Samstag, den 21."
_LAST = re.compile(r"(?P<word>[^\W\d_]+(?:-feira)?)[\s,]{1,2}(?:(?:the|den|dem|le|el|il|dia)\s)?$")


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
def _first_letters(counts: tuple[str, ...]) -> frozenset[str]:
    return frozenset(re.split(r"\W", count)[0][:KEY] for count in counts)
