"""Every name in a text comes from the facts: components, places, people, other customers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

from domain.message import Finding
from domain.policy import Component
from domain.rules.base import Passage, blank_spans, blank_words, find_names
from domain.rules.phrases import SPACELESS, find, fold, holds, key

_NAME = r"[^\W\d_a-zà-ÿ][\w'\u2019-]*[^\W\d_]\w*"
_PARTICLE = r"(?:(?:de|da|do|dos|di|del|della|van|von|der|den|le|la|ten|zu)\s)*"


def components(p: Passage) -> Iterator[Finding]:
    """Only affected components are named, with what contains them and what they contain."""
    related = _family(p)
    allowed = [n for c in related for n in c.names.values()]
    text = blank_words(p.words, [*allowed, *p.notes])
    named = ", ".join(p.facts.component_names.get(p.draft.locale, ())) or "none"
    for name in _component_names(p, related):
        # Case counts: "reports" are anybody's, "Reporting" is the component.
        start = text.find(name)
        while start >= 0:
            end = start + len(name)
            if _stands_alone(text, start, end) and _is_name(text, start, name):
                if not _works(p, start):
                    yield p.finding("component", start, name, f"affected are: {named}")
                text = blank_spans(text, [(start, end)])
            start = text.find(name, end)


def regions(p: Passage) -> Iterator[Finding]:
    """A region or another place is one of the facts'; naming all regions is naming none."""
    near = blank_spans(p.words, ((t.start, t.end) for t in p.times))
    notes = " ".join(p.notes)
    places = {key: [*p.policy.tone.places.get(key, ()), key.upper()] for key in p.policy.regions}
    told = {key: list(_place(tuple(names)).finditer(near)) for key, names in places.items()}
    everywhere = not p.facts.regions and all(told.values())
    sites = p.policy.tone.places.get("sites", ())
    told["sites"] = list(_place(sites).finditer(near)) if sites else []
    known = ", ".join(r.upper() for r in p.facts.regions) or "no region in particular"
    for region, found in told.items():
        if region in p.facts.regions or (everywhere and region != "sites"):
            continue
        for m in found:
            if m[0] not in notes and m[0] not in p.facts.names and not _works(p, m.start()):
                yield p.finding("region", m.start(), m[0], f"affected are: {known}")


def people(p: Passage) -> Iterator[Finding]:
    """Nobody is named who is not in the facts: a title or a given name gives a person away."""
    tone = p.policy.tone
    allowed = {*p.facts.names, *(w for listed in tone.anyone.values() for w in listed)}
    text = blank_words(p.visible if p.field == "html" else p.words, p.notes)
    for pattern in _people(tone.titles, tone.given_names, tone.surnames):
        for m in pattern.finditer(text):
            said = m["who"]
            if said not in allowed and said.lower() not in allowed and not _is_ours(p, said):
                yield p.finding("name", m.start("who"), said, "say what we do, not who does it")


def recipient_name(p: Passage) -> Iterator[Finding]:
    """A greeting is for the recipient, whose name is filled in later."""
    if p.field != "text" and p.draft.text:
        return
    tone = p.policy.tone
    anyone = {key(w) for listed in tone.anyone.values() for w in listed}
    folded = fold(p.visible)
    for m in find([g for listed in tone.greetings.values() for g in listed], folded):
        before = p.visible[: m.start()].rsplit("\n", 1)[-1]
        line = p.visible[m.end() :].split("\n", 1)[0]
        after = re.split(r"[,:;!.\uff08(]", line, maxsplit=1)[0].strip()
        # Only at the start of a line, and only up to a comma: "Hi-res" and "Dear me" are none.
        if before.strip() or not p.visible[m.end() : m.end() + 1].isspace():
            continue
        if (
            after[:1].isupper()
            and len(after.split()) <= 4
            and fold(after) not in anyone
            and after not in p.facts.names
            and not _is_ours(p, after)
        ):
            yield p.finding("name", m.end() + 1, after, "write [[name]]")


def other_customers(p: Passage) -> Iterator[Finding]:
    """No customer reads another customer's name."""
    for m in find_names((n for n in p.other_customers if len(n) > 2), p.words):
        yield p.finding("customer_name", m.start(), "a customer's name", "leave it out")


def _works(p: Passage, at: int) -> bool:
    """Whether the sentence says that the thing works: then it may be named."""
    phrases = p.policy.tone.unaffected.get(p.language, ())
    return any(s <= at < e and holds(phrases, p.folded[s:e]) for s, e in p.sentences)


def _is_ours(p: Passage, said: str) -> bool:
    return said.startswith(tuple(n for n in p.own_names if n))


def _component_names(p: Passage, related: list[Component]) -> list[str]:
    """Names of the other components, the longest first."""
    keys = {c.key for c in related}
    others = [c for c in p.components if c.key not in keys]
    return sorted({n for c in others for n in c.names.values()}, key=len, reverse=True)


@lru_cache(maxsize=64)
def _place(names: tuple[str, ...]) -> re.Pattern[str]:
    """Case counts, or "us" and "it" would be places; "EU-Kunden" names one, "pre-EU" none."""
    listed = sorted(names, key=len, reverse=True)
    spaced = "|".join(re.escape(n) for n in listed if not re.match(f"[{SPACELESS}]", n))
    joined = [rf"(?<![^\W{SPACELESS}])(?<!-)(?:{spaced})(?![^\W{SPACELESS}])"] if spaced else []
    joined += [re.escape(n) for n in listed if re.match(f"[{SPACELESS}]", n)]
    return re.compile("|".join(joined))


@lru_cache(maxsize=8)
def _people(
    titles: tuple[str, ...], given: tuple[str, ...], surnames: tuple[str, ...]
) -> tuple[re.Pattern[str], ...]:
    out = []
    if titles:
        joined = "|".join(re.escape(t) for t in sorted(titles, key=len, reverse=True))
        out.append(re.compile(rf"(?<!\w)(?:{joined})\s(?P<who>{_PARTICLE}{_NAME})"))
    if given:
        joined = "|".join(map(re.escape, given))
        out.append(re.compile(rf"(?<!\w)(?=[A-ZÀ-Þ])(?P<who>(?:{joined})\s{_PARTICLE}{_NAME})"))
    if surnames:
        joined = "|".join(map(re.escape, surnames))
        edge = r"[一-鿿]{0,3}(?:さん|様|氏|さま)"
        out.append(
            re.compile(rf"(?P<who>(?:{joined})(?:{edge}|[一-鿿]{{1,2}}(?=[がはをにと、。\n]|$)))")
        )
    return tuple(out)


def _family(p: Passage) -> list[Component]:
    """The affected components, those inside them and those around them."""
    everything = p.components
    keys = set(p.facts.components)
    below = {c.key: {d.key for d in _below(c)} for c in everything}
    return [
        c
        for c in everything
        if c.key in keys or below[c.key] & keys or any(c.key in below.get(k, ()) for k in keys)
    ]


def _below(component: Component) -> list[Component]:
    return [d for c in component.children for d in (c, *_below(c))]


def _stands_alone(text: str, start: int, end: int) -> bool:
    first, last = text[start], text[end - 1]
    around = (text[start - 1 : start], text[end : end + 1])
    spaceless = (re.match(f"[{SPACELESS}]", first), re.match(f"[{SPACELESS}]", last))
    return all(
        bool(free) or re.match(rf"[^\W{SPACELESS}]|-", beside) is None
        for free, beside in zip(spaceless, around, strict=True)
    )


def _is_name(text: str, start: int, name: str) -> bool:
    """A one-word name that opens a sentence may just be a word, such as "Reporting"."""
    if " " in name or "-" in name or name.isupper():
        return True
    before = text[:start].rstrip(" ")
    return bool(before) and before[-1] not in ".!?:\n\x1f"
