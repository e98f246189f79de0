"""What every rule works on: one field of a draft, with markup and known things set aside."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, tzinfo
from functools import cached_property, lru_cache
from urllib.parse import urlsplit

from domain.message import Channel, DraftText, Facts, Finding
from domain.policy import Policy
from domain.rules.clock import named_zone

PLACEHOLDER = re.compile(r"\[\[([^\[\]\n]*)\]\]")
KNOWN_PLACEHOLDER = re.compile(r"name|(?:time|link):\w+")
_TAG = re.compile(r"<!--.*?-->|<[A-Za-z/!][^<>]*>", re.DOTALL)
_ENTITY = re.compile(r"&(?:amp|lt|gt|quot|nbsp|#\d{1,5}|#x[0-9a-fA-F]{1,4});")
_URL = re.compile(r"https?://[^\s<>\"')\]]+", re.IGNORECASE)
_ENTITIES = {"&amp;": "&", "&lt;": "<", "&gt;": ">", "&quot;": '"', "&#34;": '"', "&#39;": "'"}
SHOWN = 80


def blank(text: str, pattern: re.Pattern[str]) -> str:
    """Replace matches by as many spaces, so that offsets stay true."""
    return pattern.sub(lambda m: " " * len(m[0]), text)


def blank_words(text: str, words: Iterable[str]) -> str:
    """Replace known words by as many spaces, the longest first."""
    for word in sorted({w for w in words if w.strip()}, key=len, reverse=True):
        text = text.replace(word, " " * len(word))
    return text


def whole_word(words: Iterable[str], suffix: str = "") -> re.Pattern[str] | None:
    """Matches any of the words standing alone, whatever the case; None for no words."""
    return _whole_word(tuple(words), suffix)


@lru_cache(maxsize=256)
def _whole_word(words: tuple[str, ...], suffix: str) -> re.Pattern[str] | None:
    listed = sorted({w for w in words if w}, key=len, reverse=True)
    if not listed:
        return None
    joined = "|".join(re.escape(w).replace(r"\ ", r"\s+") for w in listed)
    return re.compile(rf"(?<!\w)(?:{joined}){suffix}(?!\w)", re.IGNORECASE)


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

    @property
    def language(self) -> str:
        """The locale as the policy's word lists name it."""
        short = re.split(r"[-_]", self.draft.locale)[0].lower()
        return self.draft.locale if self.draft.locale in self.policy.locales else short

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
    def own_names(self) -> tuple[str, ...]:
        """Names that the facts and the policy let a text use."""
        names = [n for listed in self.facts.component_names.values() for n in listed]
        known = self.policy.component_keys()
        for key in self.facts.components:
            if key in known:
                component = self.policy.component(key)
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
