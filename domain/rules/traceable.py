"""Every time and every figure in a text comes from the facts (PRODUCT 4, frozen facts)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from functools import lru_cache

from domain.message import Finding
from domain.rules.base import Passage, blank, blank_spans
from domain.rules.known import NUMBER, close, known_numbers, known_percentages, readings
from domain.rules.phrases import SPACELESS, find, fold, key

# "1." or "2)" at the start of a line counts the lines, not something in the world.
_ENUMERATION = re.compile(r"(?m)^\s*[(\uff08]?\d{1,2}[.)\uff09、](?=\s|[^\d\s])")
_PERCENT = re.compile(
    r"[\s\u00a0\u202f]*(?:[%\uff05]|per\s?cent\b|Prozent|pour cent|por ciento|por cento|procent"
    r"|per cento|パーセント)",
    re.IGNORECASE,
)
# "2h42min", "2 h 42 min", "2h 42m": a length of time with a short unit.
_LENGTH = re.compile(
    r"(?<![\w.,:])(?P<h>\d{1,3})[\s\u00a0\u202f]?h(?:(?:rs?|ours?)\b)?(?:[\s\u00a0\u202f]?"
    r"(?P<m>\d{1,2})[\s\u00a0\u202f]?(?:m|min|mins|minutes)?\b)?(?![A-Za-zÀ-ɏ])",
    re.IGNORECASE,
)
_UNIT = re.compile(r"[\s\u00a0\u202f-]*(?P<unit>[^\W\d_]+)")
_LATIN = re.compile(r"[A-Za-zÀ-ɏ]")


def times(p: Passage) -> Iterator[Finding]:
    """A written time or date is one of the facts' instants."""
    known, notes = list(p.facts.times.values()), "\n".join(p.notes)
    lengths = p.minutes
    for t in p.times:
        if _stands_in(t.text, notes) or (t.span is not None and close(t.span, lengths)):
            continue
        if not any(t.matches(at, p.zones) for at in known):
            yield p.finding("time", t.start, t.text, _use(p))
    for d in p.dates:
        if not _stands_in(d.text, notes) and not any(d.matches(at) for at in known):
            yield p.finding("time", d.start, d.text, _use(p))


def numbers(p: Passage) -> Iterator[Finding]:
    """A written figure is one of the facts' numbers, or one of their durations."""
    text = _without_counts(p)
    lengths = p.minutes
    for m in _LENGTH.finditer(text):
        minutes = int(m["h"]) * 60 + int(m["m"] or 0)
        if not close(minutes, lengths):
            yield p.finding("number", m.start(), m[0], _known(p))
    text = blank(text, _LENGTH)
    figures = known_numbers(p.facts, p.policy, p.channel)
    percentages = known_percentages(p.facts)
    units = _units(p)
    for m in NUMBER.finditer(text):
        after = text[m.end() : m.end() + 20]
        values = readings(m[0])
        unit = _UNIT.match(after)
        seconds = _seconds(fold(unit["unit"]), units) if unit else None
        if _PERCENT.match(after):
            fine = any(close(v, percentages) for v in values)
        elif seconds:
            fine = any(close(v * seconds / 60, lengths) or close(v, figures) for v in values)
        elif unit and not m[0].endswith(" ") and _LATIN.match(after):
            # Glued to letters it is a name or a code, such as "5xx", which other rules know.
            continue
        else:
            fine = any(close(v, figures) for v in values)
        if not fine:
            yield p.finding("number", m.start(), m[0], _known(p))


def worded_numbers(p: Passage) -> Iterator[Finding]:
    """Hours, days and shares in words are the facts' too: "four hours", "one in three"."""
    span = p.policy.tone.spans.get(p.language)
    lengths, notes = p.minutes, fold("\n".join(p.notes))
    if span is not None:
        long = {key(u): d for u, d in span.units.items() if d >= timedelta(hours=1)}
        counts = {key(c): v for c, v in span.counts.items() if v > 1}
        for m in _worded(tuple(counts), tuple(long)).finditer(p.folded):
            count, unit = m["count"], m["unit"]
            minutes = counts[count] * long[unit].total_seconds() / 60
            if m[0] not in notes and not close(minutes, lengths):
                yield p.finding("number", m.start(), m[0], _known(p))
    shares = p.policy.tone.fractions.get(p.language, {})
    known = known_percentages(p.facts)
    for m in find(shares, p.folded):
        share = shares.get(" ".join(m[0].split()), 0.0)
        if m[0] not in notes and not any(abs(share - k) <= 3 for k in known):
            yield p.finding("number", m.start(), m[0], _known(p))


@lru_cache(maxsize=32)
def _worded(counts: tuple[str, ...], units: tuple[str, ...]) -> re.Pattern[str]:
    count, unit = ("|".join(map(re.escape, sorted(w, key=len)[::-1])) for w in (counts, units))
    # For a language without counts in words there is nothing to find.
    return re.compile(rf"(?<!\w)(?P<count>{count or '(?!)'})\s(?P<unit>{unit or '(?!)'})(?!\w)")


def _without_counts(p: Passage) -> str:
    """The words without times, dates, products, and figures that count nothing in the world."""
    text = blank_spans(p.words, ((t.start, t.end) for t in p.times))
    text = blank_spans(text, ((d.start, d.end) for d in p.dates))
    tone = p.policy.tone
    folded = fold(text)
    text = blank_spans(text, (m.span() for m in find(tone.fixed, folded)))
    for m in find([*tone.products, *tone.counted], folded):
        figure = re.match(r"[\s\u00a0-]{0,2}\d{1,4}(?:[.,]\d{1,2})?(?![\d%])", text[m.end() :])
        if figure is not None:
            text = blank_spans(text, [(m.start(), m.end() + figure.end())])
    return blank(text, _ENUMERATION)


def _units(p: Passage) -> dict[str, float]:
    """Seconds by the word for a unit, in the text's language and in English."""
    spans = p.policy.tone.spans
    listed = [spans[key] for key in ("en", p.language) if key in spans]
    return {key(u): d.total_seconds() for span in listed for u, d in span.units.items()}


def _seconds(word: str, units: dict[str, float]) -> float | None:
    """What a unit lasts; where no space ends the word, the longest unit that it begins with."""
    if word in units or not re.match(f"[{SPACELESS}]", word):
        return units.get(word)
    return next((units[word[:n]] for n in range(len(word), 0, -1) if word[:n] in units), None)


def _stands_in(found: str, notes: str) -> bool:
    """Whether the notes say the same; "15" of "15 Uhr" is not in "08:15"."""
    return re.search(rf"(?<![\w:.]){re.escape(found)}(?![\w:])", notes) is not None


def _use(p: Passage) -> str:
    listed = ", ".join(f"[[time:{k}]]" for k in p.facts.times)
    return f"use {listed}" if listed else "leave it out: no time is known"


def _known(p: Passage) -> str:
    listed = ", ".join(f"{v:g} ({k})" for k, v in p.facts.numbers.items())
    return f"known: {listed or 'no figures'}"
