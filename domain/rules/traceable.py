"""Every time and every figure in a text comes from the facts (PRODUCT 4, frozen facts)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from domain.message import Finding
from domain.rules import advice
from domain.rules.base import Passage, blank, blank_spans
from domain.rules.known import NUMBER, close, readings
from domain.rules.lexicon import Span
from domain.rules.phrases import SPACELESS, fold

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
_RATIO = re.compile(
    r"(?<![\d.,])(?P<a>\d{1,3})\s?(?:in|out of|of|von|sur|de cada|em cada|op de|op|su|/"
    r"|(?:人|社|件)に)\s?(?P<b>\d{1,3})(?![\d.,]*\d)",
    re.IGNORECASE,
)
# Tenths, as Japanese counts shares.
_TENTHS = re.compile("割(?![引当])")
_UNIT = re.compile(r"[\s\u00a0\u202f-]*(?P<unit>[^\W\d_]+)")
_FIGURE = re.compile(r"[\s\u00a0-]{0,2}\d{1,4}(?:[.,]\d{1,2})?(?![\d%])")
_ZONE = re.compile(r"\b(?:UTC|GMT)\s?[+\u2212\u00b1-]\s?\d{1,2}(?::\d\d)?(?!\d)")
_PROMISED = frozenset({"next_update", "eta"})
_LATIN = re.compile(r"[A-Za-zÀ-ɏ]")


def times(p: Passage) -> Iterator[Finding]:
    """A written time or date is one of the facts' instants."""
    instants, notes = list(p.facts.times.values()), "\n".join(p.notes)
    lengths = p.known.minutes
    for t in p.times:
        if stands_in(t.text, notes) or (t.span is not None and close(t.span, lengths)):
            continue
        rough = any(t.start - 2 <= end <= t.start + 1 for _, end in p.spans("roughly"))
        # What is promised is promised to the minute.
        seen = [at for key, at in p.facts.times.items() if rough and key not in _PROMISED]
        if not any(t.matches(at, p.zones) for at in instants) and not any(
            t.is_near(at, p.zones) for at in seen
        ):
            yield p.finding("time", t.start, t.text, use(p))
    zones = {*p.zones, *(zone for t in p.times for zone in t.zones)}
    for d in p.dates:
        if not stands_in(d.text, notes) and not any(d.matches(at, zones) for at in instants):
            yield p.finding("time", d.start, d.text, use(p))


def numbers(p: Passage) -> Iterator[Finding]:
    """A written figure is one of the facts' numbers, or one of their durations."""
    text = _without_counts(p)
    lengths = p.known.minutes
    for m in _LENGTH.finditer(text):
        minutes = int(m["h"]) * 60 + int(m["m"] or 0)
        if not close(minutes, lengths) and not advice.allows(p, m.start(), minutes, 60):
            yield p.finding("number", m.start(), m[0], known(p))
    text = blank(text, _LENGTH)
    figures, percentages = p.known.figures(p.channel), p.known.percentages
    units = p.lists.units
    for m in NUMBER.finditer(text):
        after = text[m.end() : m.end() + 20]
        values = readings(m[0])
        unit = _UNIT.match(after)
        word = fold(unit["unit"]) if unit else ""
        seconds, scale = _of(word, units), _of(word, p.lists.scales)
        if _TENTHS.match(after):
            fine = any(close(v * 10, percentages) for v in values)
        elif _PERCENT.match(after):
            fine = any(close(v, percentages) for v in values)
        elif seconds:
            fine = any(close(v * seconds / 60, lengths) or close(v, figures) for v in values)
        elif scale:
            fine = any(close(v * scale, figures) for v in values)
        elif unit and not m[0].endswith(" ") and _LATIN.match(after):
            # Glued to letters it is a name or a code, such as "5xx", which other rules know.
            continue
        else:
            fine = any(close(v, figures) for v in values)
        if not fine and not _is_advice(p, m.start(), values, seconds, after):
            yield p.finding("number", m.start(), m[0], known(p))


def _is_advice(
    p: Passage, start: int, values: list[float], seconds: float | None, after: str
) -> bool:
    if not values or _PERCENT.match(after):
        return False
    return advice.allows(p, start, values[0], seconds)


def ratios(text: str, percentages: Iterable[float]) -> Iterator[Span]:
    """Shares written as "1 in 8" that are a known share."""
    known = list(percentages)
    for m in _RATIO.finditer(text):
        a, b = sorted(int(m[k]) for k in ("a", "b"))
        if b and any(abs(100 * a / b - share) <= 1 for share in known):
            yield m.span()


def _without_counts(p: Passage) -> str:
    """The words without times, dates, products, and figures that count nothing in the world."""
    text = blank_spans(p.words, ((t.start, t.end) for t in p.times))
    text = blank_spans(text, ((d.start, d.end) for d in p.dates))
    text = blank(blank_spans(text, p.spans("fixed")), _ZONE)
    for start, end in p.spans("numbered"):
        figure = _FIGURE.match(text, end)
        if figure is not None:
            text = blank_spans(text, [(start, figure.end())])
    for start, end in ratios(text, p.known.percentages):
        text = blank_spans(text, [(start, end)])
    return blank(text, _ENUMERATION)


def _of(word: str, units: dict[str, float]) -> float | None:
    """What a unit stands for; where no space ends the word, the longest one it begins with."""
    if word in units or not re.match(f"[{SPACELESS}]", word):
        return units.get(word)
    return next((units[word[:n]] for n in range(len(word), 0, -1) if word[:n] in units), None)


def stands_in(found: str, notes: str) -> bool:
    """Whether the notes say the same; "15" of "15 Uhr" is not in "08:15"."""
    return re.search(rf"(?<![\w:.]){re.escape(found)}(?![\w:])", notes) is not None


def use(p: Passage) -> str:
    listed = ", ".join(f"[[time:{k}]]" for k in p.facts.times)
    return f"use {listed}" if listed else "leave it out: no time is known"


def known(p: Passage) -> str:
    listed = ", ".join(f"{v:g} ({k})" for k, v in p.facts.numbers.items())
    return f"known: {listed or 'no figures'}"
