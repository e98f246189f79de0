"""Every name in a text comes from the facts: components, places, people, other customers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache

from domain.message import Finding
from domain.rules.advice import is_advice
from domain.rules.base import Passage, blank_spans, blank_words, find_names
from domain.rules.lexicon import Span
from domain.rules.phrases import SPACELESS, fold

_IDEOGRAPH = re.compile("[一-鿿]")
_NAME = r"[^\W\d_a-zà-ÿ][\w'\u2019-]*[^\W\d_]\w*"
_PARTICLE = r"(?:(?:de|da|do|dos|di|del|della|van|von|der|den|le|la|ten|zu)\s)*"

# A Japanese letter names whom it is for in a line of its own, before the form of address.
_HEAD = re.compile(
    r"^[ \u3000]*(?P<who>[^\s、。:\uff1a「」]{1,20}(?:[ \u3000][^\s、。]{1,10})?)[ \u3000]?"
    r"(?P<honorific>様|さま|御中|殿)(?=[ \u3000]*(?:$|[、,:\uff1a]))",
    re.MULTILINE,
)
_LONGEST = 40
_KAISHA = re.compile(
    r"(?:株式|有限|合同)会社[^\s、。「」はがのをにで様]{1,20}|[^\s、。「」はがのをにで]{2,15}(?:株式|有限|合同)会社"
)
_BEFORE_FORM = re.compile(r"(?P<who>[A-ZÀ-Þ][\w'\u2019-]+(?:\s[A-ZÀ-Þ][\w'\u2019-]+){0,3})\s$")
_AFTER_TITLE = re.compile(rf"\s(?P<who>{_PARTICLE}{_NAME})")
_AFTER_GIVEN = re.compile(rf"\s(?P<who>{_PARTICLE}{_NAME})")


def components(p: Passage) -> Iterator[Finding]:
    """Only affected components are named, with what contains them and what they contain."""
    text = blank_words(blank_words(p.words, p.known.related_names), p.notes)
    named = ", ".join(p.facts.component_names.get(p.draft.locale, ())) or "none"
    for name in p.known.other_names:
        # Case counts: "reports" are anybody's, "Reporting" is the component.
        start = text.find(name)
        while start >= 0:
            end = start + len(name)
            if _stands_alone(text, start, end) and _is_name(text, start, name):
                harmless = _works(p, start) or _is_word(p, name, start) or _is_offered(p, start)
                if not harmless:
                    yield p.finding("component", start, name, f"affected are: {named}")
                text = blank_spans(text, [(start, end)])
            start = text.find(name, end)


def regions(p: Passage) -> Iterator[Finding]:
    """A region or another place is one of the facts'; naming all regions is naming none."""
    told = {key: _places(p, key) for key in (*p.policy.regions, *p.lists.tone.places)}
    ours = [s for key, spans in told.items() if _is_affected(p, key) for s in spans]
    everywhere = not p.facts.regions and all(told[key] for key in p.policy.regions)
    known = ", ".join(r.upper() for r in p.facts.regions) or "no region in particular"
    seen = set(ours)
    for key, spans in told.items():
        if _is_affected(p, key) or (everywhere and key in p.policy.regions):
            continue
        for start, end in spans:
            said = p.words[start:end]
            quoted = said in p.facts.names or any(said in note for note in p.notes)
            if not quoted and not _touches(seen, start, end) and not _works(p, start):
                seen.add((start, end))
                yield p.finding("region", start, said, f"affected are: {known}")


def _is_affected(p: Passage, place: str) -> bool:
    """Whether a place is a region of the facts, or as `us` holds one of them as `us-east`."""
    return any(r == place or r.startswith(f"{place}-") for r in p.facts.regions)


def _places(p: Passage, key: str) -> list[Span]:
    """Where a place is named: not in the name of a zone beside a time, nor within a word."""
    clocks = [(t.start, t.end) for t in p.times]
    return [
        (start, end)
        for start, end in p.spans(f"place {key}")
        if p.words[start - 1 : start] != "-" and not _touches(clocks, start, end)
    ]


def _touches(spans: Iterable[Span], start: int, end: int) -> bool:
    return any(s < end and start < e for s, e in spans)


def people(p: Passage) -> Iterator[Finding]:
    """Nobody is named who is not in the facts: a title or a given name gives a person away."""
    text = blank_words(p.words, p.notes)
    for listed, pattern in (("title", _AFTER_TITLE), ("given", _AFTER_GIVEN)):
        for start, end in p.spans(listed):
            m = pattern.match(text, end)
            if m is not None:
                at = m.start("who") if listed == "title" else start
                yield from _person(p, at, text[at : m.end()])
    for start, end in p.spans("given"):
        called = any(
            0 <= start - e <= 2 and not text[e:start].strip() for _, e in p.spans("callers")
        )
        # "Marcus from our team", "Julien, de l'équipe".
        belongs = any(
            1 <= s - end <= 2 and not text[end:s].strip(" ,") for s, _ in p.spans("belonging")
        )
        if called or belongs:
            yield from _person(p, start, text[start:end])
    surnames = _surnames(p.lists.tone.surnames)
    if surnames is not None and _IDEOGRAPH.search(text):
        for m in surnames.finditer(text):
            yield from _person(p, m.start(), m[0])


def _person(p: Passage, at: int, said: str) -> Iterator[Finding]:
    allowed = said in p.facts.names or said in p.lists.anyone_written
    if not allowed and fold(said) not in p.lists.anyone and not _is_ours(p, said):
        yield p.finding("name", at, said, "say what we do, not who does it")


def recipient_name(p: Passage) -> Iterator[Finding]:
    """A greeting is for the recipient, whose name is filled in later."""
    if p.field != "text" and p.draft.text:
        return
    for m in _HEAD.finditer(p.words):
        who, honorific = m["who"], m["honorific"]
        if not (who + honorific).endswith(p.lists.anyone_written) and not _is_ours(p, who):
            yield p.finding("name", m.start("who"), who, "write [[name]]")
    for start, end in p.spans("greetings"):
        before = p.words[:start].rsplit("\n", 1)[-1]
        line = p.words[end:].split("\n", 1)[0]
        after = re.split(r"[,:;!.\uff08(]", line, maxsplit=1)[0].strip()
        # Only at the start of a line, and only up to a comma: "Hi-res" and "Dear me" are none.
        if before.strip() or not p.words[end : end + 1].isspace():
            continue
        if (
            after[:1].isupper()
            and len(after.split()) <= 4
            and fold(after) not in p.lists.anyone
            and after not in p.facts.names
            and not _is_ours(p, after)
        ):
            yield p.finding("name", end + 1, after, "write [[name]]")


def other_customers(p: Passage) -> Iterator[Finding]:
    """No customer reads another customer's name."""
    for m in find_names((n for n in p.other_customers if len(n) > 2), p.words):
        yield p.finding("customer_name", m.start(), "a customer's name", "leave it out")


def companies(p: Passage) -> Iterator[Finding]:
    """A company by its legal form is a customer or a supplier, and named in no fact."""
    if _IDEOGRAPH.search(p.words):
        for found in _KAISHA.finditer(p.words):
            said = found[0]
            if not _is_ours(p, said) and not any(said in note for note in p.notes):
                yield p.finding("customer_name", found.start(), said, "leave it out")
    for start, end in p.spans("company"):
        m = _BEFORE_FORM.search(p.words, max(0, start - _LONGEST), start)
        if m is None or any(m["who"] in note for note in p.notes) or _is_ours(p, m["who"]):
            continue
        if not any(name.startswith(m["who"]) for name in p.facts.names):
            said = p.words[m.start("who") : end]
            yield p.finding("customer_name", m.start("who"), said, "leave it out")


def _works(p: Passage, at: int) -> bool:
    """Whether the sentence says that the thing works: then it may be named."""
    sentence = p.sentence_at(at)
    return sentence is not None and any(p.within("unaffected", *sentence))


def _is_ours(p: Passage, said: str) -> bool:
    return said.startswith(p.known.names)


@lru_cache(maxsize=8)
def _surnames(listed: tuple[str, ...]) -> re.Pattern[str] | None:
    """A surname with a form of address, or with the rest of a name before a particle."""
    if not listed:
        return None
    edge = r"[一-鿿]{0,3}(?:さん|様|氏|さま)"
    rest = r"(?![県市区町村府駅])[一-鿿]{1,2}(?=[がはをにと、。\n]|$)"
    joined = "|".join(listed)
    busy = "(?=[がは][^。\n]{0,20}(?:担当|対応|調査|責任|指揮))"
    role = "(?:担当|責任者|エンジニア|部長|社長|課長|サポート|窓口|当直|技術部)の?"
    return re.compile(rf"(?:{joined})(?:{edge}|{rest})|{role}(?:{joined})|(?:{joined}){busy}")


def _is_offered(p: Passage, at: int) -> bool:
    """Whether readers are advised to use a thing, and nothing is said to fail."""
    sentence = p.sentence_at(at)
    return (
        sentence is not None and not any(p.within("failing", *sentence)) and is_advice(p, sentence)
    )


def _is_word(p: Passage, name: str, at: int) -> bool:
    """Whether a name is but a word here: "uns erreichen Berichte, dass", "connexion internet"."""
    keys = (k for k, listed in p.lists.parts.items() if listed[0] == name)
    return any(not any(s <= at < e for s, e in p.spans(f"part {key}")) for key in keys)


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
