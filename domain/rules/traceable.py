"""Every time, number and name in a text comes from the facts (PRODUCT 4, frozen facts)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import timedelta

from domain.message import Channel, Finding
from domain.policy import Component
from domain.rules.base import PLACEHOLDER, Passage, blank, blank_words, whole_word
from domain.rules.clock import dates, times_of_day

_NUMBER = re.compile(r"(?<![\w.,])(?<!\w-)\d+(?:[.,  ]\d{3})*(?:[.,]\d+)?(?![\w])")
# "1." or "2)" at the start of a line counts the lines, not something in the world.
_ENUMERATION = re.compile(r"(?m)^\s*\d{1,2}[.)](?=\s)")
_PERCENT = re.compile(r"\s*(?:%|percent|per cent|Prozent)", re.IGNORECASE)
_UNIT = re.compile(r"[\s-]*(?:h\b|min|sec|sek|hour|day|week|stunde|tag|woche)", re.IGNORECASE)
_FIXED = re.compile(r"(?<!\w)24/7(?!\w)")
_CAPITALISED = re.compile(r"[A-ZÄÖÜ][\w.'\u2019-]*")


def times(p: Passage) -> Iterator[Finding]:
    """A written time or date is one of the facts' instants."""
    known = list(p.facts.times.values())
    text, notes = blank(p.visible, PLACEHOLDER), "\n".join(p.notes)
    for t in times_of_day(text):
        if t.text not in notes and not any(t.matches(at, p.zones) for at in known):
            yield p.finding("time", t.start, t.text, _use(p, "time"))
    for d in dates(text):
        if d.text not in notes and not any(d.matches(at) for at in known):
            yield p.finding("time", d.start, d.text, _use(p, "time"))


def numbers(p: Passage) -> Iterator[Finding]:
    """A written figure is one of the facts' numbers, or one of their durations."""
    text = p.words
    written = [(t.start, t.end) for t in times_of_day(text)]
    written += [(d.start, d.end) for d in dates(text)]
    for start, end in written:
        text = text[:start] + " " * (end - start) + text[end:]
    for pattern in (_ENUMERATION, _FIXED):
        text = blank(text, pattern)
    figures, spans, percentages = _known_numbers(p), _known_spans(p), _known_percentages(p)
    for m in _NUMBER.finditer(text):
        after = text[m.end() : m.end() + 20]
        known = figures
        if _PERCENT.match(after):
            known = percentages
        elif _UNIT.match(after):
            known = figures + spans
        if not any(_close(value, known) for value in _readings(m[0])):
            listed = ", ".join(f"{v:g} ({k})" for k, v in p.facts.numbers.items())
            yield p.finding("number", m.start(), m[0], f"known: {listed or 'no figures'}")


def components(p: Passage) -> Iterator[Finding]:
    """Only affected components are named, with what contains them and what they contain."""
    related = _family(p)
    allowed = [n for c in related for n in c.names.values()]
    text = blank_words(p.words, [*allowed, *p.notes])
    others = {
        name: c.key
        for c in p.policy.component_list()
        if c not in related
        for name in c.names.values()
    }
    for name in sorted(others, key=len, reverse=True):
        # Case counts: "reports" are anybody's, "Reporting" is the component.
        for m in re.finditer(rf"(?<![\w-]){re.escape(name)}(?![\w-])", text):
            if _is_name(text, m.start(), name):
                text = text[: m.start()] + " " * len(name) + text[m.end() :]
                named = ", ".join(p.facts.component_names.get(p.draft.locale, ())) or "none"
                yield p.finding("component", m.start(), name, f"affected are: {named}")


def regions(p: Passage) -> Iterator[Finding]:
    """A region in capitals, such as EU, is one of the facts'."""
    if not p.facts.regions:
        return
    for key in p.policy.regions:
        if key in p.facts.regions:
            continue
        for m in re.finditer(rf"(?<![\w-]){re.escape(key.upper())}(?![\w-])", p.words):
            listed = ", ".join(r.upper() for r in p.facts.regions)
            yield p.finding("region", m.start(), m[0], f"affected are: {listed}")


def recipient_name(p: Passage) -> Iterator[Finding]:
    """A greeting is for the recipient, whose name is filled in later."""
    if p.field == "html" and p.draft.text:
        return
    tone = p.policy.tone
    greetings = [g for listed in tone.greetings.values() for g in listed]
    opening = whole_word(greetings)
    if opening is None:
        return
    anyone = {w.lower() for listed in tone.anyone.values() for w in listed}
    for m in opening.finditer(p.visible):
        before = p.visible[: m.start()].rsplit("\n", 1)[-1]
        after = p.visible[m.end() :].split("\n", 1)[0].split(",", 1)[0].strip()
        # Only at the start of a line, and only up to a comma: "Hi-res" and "Dear me" are none.
        if before.strip() or not p.visible[m.end() : m.end() + 1].isspace():
            continue
        if (
            _CAPITALISED.match(after)
            and len(after.split()) <= 4
            and after.lower() not in anyone
            and after not in p.facts.names
        ):
            yield p.finding("name", m.end() + 1, after, "write [[name]]")


def other_customers(p: Passage) -> Iterator[Finding]:
    """No customer reads another customer's name."""
    pattern = whole_word(n for n in p.other_customers if len(n) > 2)
    if pattern is not None:
        for m in pattern.finditer(p.words):
            yield p.finding("customer_name", m.start(), "a customer's name", "leave it out")


def _use(p: Passage, kind: str) -> str:
    keys = p.facts.times if kind == "time" else p.facts.links
    listed = ", ".join(f"[[{kind}:{k}]]" for k in keys)
    return f"use {listed}" if listed else "leave it out: no time is known"


def _known_numbers(p: Passage) -> list[float]:
    facts = p.facts
    known = [float(facts.number), float(len(facts.components)), float(len(facts.regions))]
    # "… and 3 more" counts the rest of a list.
    known += [float(n) for n in range(1, max(map(len, facts.component_names.values()), default=0))]
    for key, value in facts.numbers.items():
        known += [value, float(round(value)), round(value, 1), round(value, 2)]
        if key.endswith("minutes"):
            known += [value // 60, value % 60, int(value), int(value % 60), round(value / 60, 1)]
        if key.endswith("hours"):
            known += [value * 60]
    known += _noted(p)
    company = p.policy.company.name
    known += [float(n) for n in re.findall(r"\d+", f"{company} {p.facts.incident_id}")]
    if p.channel is Channel.INTERNAL:
        known += [float(s.rank) for s in p.policy.severities]
    return known


def _known_spans(p: Passage) -> list[float]:
    """How often policy lets us write, and when it wants the report."""
    known: list[float] = []
    for plan in p.policy.severities.values():
        for span in (plan.update_every, plan.post_mortem.within):
            known += _spans(span)
    return known


def _known_percentages(p: Passage) -> list[float]:
    known = _noted(p)
    for key, value in p.facts.numbers.items():
        if "percent" in key:
            known += [value, float(round(value)), round(value, 1), round(value, 2)]
        elif "share" in key or "rate" in key:
            known += [value * 100, float(round(value * 100)), round(value * 100, 1)]
    return known


def _noted(p: Passage) -> list[float]:
    return [v for note in p.notes for m in _NUMBER.finditer(note) for v in _readings(m[0])]


def _spans(span: timedelta | None) -> list[float]:
    if span is None:
        return []
    seconds = span.total_seconds()
    return [seconds / n for n in (1, 60, 3600, 86_400, 604_800)]


def _readings(text: str) -> list[float]:
    """What a written number can mean: comma and point mean opposite things in en and de."""
    bare = re.sub(r"[  ]", "", text)
    candidates = {
        bare.replace(",", ""),
        bare.replace(".", "").replace(",", "."),
        bare.replace(",", "."),
    }
    out = []
    for c in candidates:
        try:
            out.append(float(c))
        except ValueError:
            continue
    return out


def _close(value: float, known: Iterable[float]) -> bool:
    return any(abs(value - k) < 1e-6 for k in known)


def _family(p: Passage) -> list[Component]:
    """The affected components, those inside them and those around them."""
    everything = p.policy.component_list()
    keys = set(p.facts.components)
    out = []
    for c in everything:
        inside = {d.key for d in _below(c)}
        around = any(c in _below(x) for x in everything if x.key in keys)
        if c.key in keys or inside & keys or around:
            out.append(c)
    return out


def _below(component: Component) -> list[Component]:
    return [d for c in component.children for d in (c, *_below(c))]


def _is_name(text: str, start: int, name: str) -> bool:
    """A one-word name that opens a sentence may just be a word, such as "Reporting"."""
    if " " in name or "-" in name or name.isupper():
        return True
    before = text[:start].rstrip(" ")
    return bool(before) and before[-1] not in ".!?:\n\x1f"
