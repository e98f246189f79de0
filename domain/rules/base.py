"""What every rule works on: one field of a draft, with markup and known things set aside."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, tzinfo
from functools import cached_property, lru_cache
from urllib.parse import urlsplit

from domain.message import Channel, DraftText, Facts, Finding
from domain.policy import Component, Policy
from domain.rules.calendar import WrittenDate, dates
from domain.rules.clock import TimeOfDay, named_zone, times_of_day
from domain.rules.known import known_minutes
from domain.rules.phrases import SPACELESS, find, fold

PLACEHOLDER = re.compile(r"\[\[([^\[\]\n]*)\]\]")
KNOWN_PLACEHOLDER = re.compile(r"name|(?:time|link):\w+")
_TAG = re.compile(r"<!--.*?-->|<[A-Za-z/!][^<>]*>", re.DOTALL)
_ENTITY = re.compile(r"&(?:amp|lt|gt|quot|nbsp|#\d{1,5}|#x[0-9a-fA-F]{1,4});")
_URL = re.compile(r"https?://[^\s<>\"')\]\uff08\uff09、。]+", re.IGNORECASE)
_ENTITIES = {"&amp;": "&", "&lt;": "<", "&gt;": ">", "&quot;": '"', "&#34;": '"', "&#39;": "'"}
# A full stop inside a word or a time ends no sentence.
_SENTENCE = re.compile(
    r"[^.!?\n。\uff01\uff1f]+(?:\.(?=\w)[^.!?\n。\uff01\uff1f]+)*[.!?。\uff01\uff1f]*"
)
SHOWN = 80


def blank(text: str, pattern: re.Pattern[str]) -> str:
    """Replace matches by as many spaces, so that offsets stay true."""
    return pattern.sub(lambda m: " " * len(m[0]), text)


def blank_spans(text: str, spans: Iterable[tuple[int, int]]) -> str:
    """Replace pieces by as many spaces."""
    for start, end in spans:
        text = text[:start] + " " * (end - start) + text[end:]
    return text


def blank_words(text: str, words: Iterable[str]) -> str:
    """Replace known words by as many spaces, the longest first."""
    for word in sorted({w for w in words if w.strip()}, key=len, reverse=True):
        text = text.replace(word, " " * len(word))
    return text


def find_names(names: Iterable[str], text: str) -> Iterator[re.Match[str]]:
    """Where one of the names stands alone, whatever the case; beside kana no gap is needed."""
    pattern = _names(tuple(names))
    return iter(()) if pattern is None else pattern.finditer(text)


@lru_cache(maxsize=64)
def _names(names: tuple[str, ...]) -> re.Pattern[str] | None:
    listed = sorted({w for w in names if w}, key=len, reverse=True)
    if not listed:
        return None
    joined = "|".join(re.escape(w).replace(r"\ ", r"\s+") for w in listed)
    return re.compile(rf"(?<![^\W{SPACELESS}])(?:{joined})(?![^\W{SPACELESS}])", re.IGNORECASE)


@dataclass(frozen=True)
class Passage:
    """One field (subject, text or html) of a draft text, and what it is judged by."""

    draft: DraftText
    field: str
    raw: str
    facts: Facts
    policy: Policy
    other_customers: tuple[str, ...] = ()

    @property
    def channel(self) -> Channel:
        return self.draft.channel

    @cached_property
    def language(self) -> str:
        """The locale as the policy's word lists name it: `pt` and `pt-PT` read as `pt-BR`."""
        known = self.policy.tone.stop_words
        if self.draft.locale in known or self.draft.locale in self.policy.locales:
            return self.draft.locale
        short = re.split(r"[-_]", self.draft.locale)[0].lower()
        return next((k for k in known if re.split(r"[-_]", k)[0].lower() == short), short)

    @cached_property
    def visible(self) -> str:
        """What a reader sees, at the same offsets: no tags, entities resolved."""
        if self.field != "html":
            return self.raw

        def resolve(m: re.Match[str]) -> str:
            return _ENTITIES.get(m[0], " ").ljust(len(m[0]))

        return _ENTITY.sub(resolve, blank(self.raw, _TAG))

    @cached_property
    def words(self) -> str:
        """`visible` without placeholders, links and addresses of ours, and the names of things."""
        text = blank(self.visible, PLACEHOLDER)
        text = blank(text, _URL)
        return blank_words(text, [*self.own_names, self.policy.company.support_email])

    @cached_property
    def folded(self) -> str:
        """`words` as phrases are looked up in them."""
        return fold(self.words)

    @cached_property
    def sentences(self) -> tuple[tuple[int, int], ...]:
        """Where each sentence of `words` begins and ends."""
        return tuple(m.span() for m in _SENTENCE.finditer(self.words))

    @cached_property
    def told(self) -> str:
        """All that may hold times: without placeholders, links and figures of speech as 24/7."""
        text = blank(blank(self.visible, PLACEHOLDER), _URL)
        return blank_spans(text, (m.span() for m in find(self.policy.tone.fixed, fold(text))))

    @cached_property
    def times(self) -> tuple[TimeOfDay, ...]:
        """The times of day that are written out."""
        return times_of_day(self.told, self.policy.tone.zones)

    @cached_property
    def dates(self) -> tuple[WrittenDate, ...]:
        """The dates that are written out, outside of the times."""
        return tuple(dates(blank_spans(self.told, ((t.start, t.end) for t in self.times))))

    @cached_property
    def components(self) -> tuple[Component, ...]:
        """Every component of the policy."""
        return tuple(self.policy.component_list())

    @cached_property
    def minutes(self) -> tuple[float, ...]:
        """Lengths of time that the facts and the policy let a text state."""
        return known_minutes(self.facts, self.policy)

    @cached_property
    def own_names(self) -> tuple[str, ...]:
        """Names that the facts and the policy let a text use."""
        names = [n for listed in self.facts.component_names.values() for n in listed]
        for component in self.components:
            if component.key in self.facts.components:
                names += [*component.names.values(), *component.impact.values()]
        company = self.policy.company
        return (*names, *self.facts.names, company.name, *company.signature.values())

    @cached_property
    def notes(self) -> tuple[str, ...]:
        return tuple(n for n in self.facts.notes.values() if n)

    @cached_property
    def without_notes(self) -> str:
        """`words` without the lines that a human wrote, cut ones included."""
        text = self.words
        for note in self.notes:
            for line in note.splitlines():
                for start, end in _quoted(self.visible, line.strip()):
                    text = text[:start] + " " * (end - start) + text[end:]
        return text

    @cached_property
    def zones(self) -> tuple[tzinfo, ...]:
        """Zones that a time without one may be meant in."""
        return (UTC, named_zone(self.policy.company.timezone))

    @cached_property
    def urls(self) -> tuple[tuple[int, str], ...]:
        """Offset and text of every literal link, those in attributes included."""
        return tuple((m.start(), m[0].rstrip(".,;:!?")) for m in _URL.finditer(self.raw))

    @cached_property
    def own_hosts(self) -> frozenset[str]:
        hosts = {urlsplit(u).hostname or "" for u in self.facts.links.values()}
        company = self.policy.company
        hosts |= {a.rpartition("@")[2].lower() for a in (company.support_email, company.from_email)}
        return frozenset(h for h in hosts if h)

    def finding(self, rule: str, offset: int, found: str, suggestion: str) -> Finding:
        """A finding at `offset`; what was found on one line and cut short."""
        line = " ".join(found.split())
        shown = line if len(line) <= SHOWN else f"{line[: SHOWN - 1]}…"
        where = f"{self.draft.channel.value}/{self.draft.locale}/{self.field}:{offset}"
        return Finding(rule=rule, where=where, found=shown, suggestion=suggestion)


_PROBE = 12


def _quoted(text: str, line: str) -> Iterator[tuple[int, int]]:
    """Where a line, or a beginning of it, stands in a text; white space may differ."""
    probe = line[:_PROBE]
    at = text.find(probe) if probe else -1
    while at >= 0:
        i, j = at, 0
        while i < len(text) and j < len(line):
            if text[i].isspace():
                i += 1
            elif line[j].isspace():
                j += 1
            elif text[i] == line[j]:
                i, j = i + 1, j + 1
            else:
                break
        yield at, i
        at = text.find(probe, max(i, at + 1))


Rule = Callable[[Passage], Iterator[Finding]]
