"""What every rule works on: one field of a draft, with markup and known things set aside."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, tzinfo
from functools import cached_property, lru_cache
from urllib.parse import urlsplit

from domain.message import Channel, DraftText, Facts, Finding
from domain.policy import Policy
from domain.rules import tokens
from domain.rules.calendar import WrittenDate, dates
from domain.rules.clock import TimeOfDay, named_zone, times_of_day
from domain.rules.lexicon import Reading, Span
from domain.rules.markup import Shown
from domain.rules.numerals import Said, said
from domain.rules.phrases import SPACELESS
from domain.rules.spoken import Spoken, spoken
from domain.rules.words import Known, Words, known_of, words_of

PLACEHOLDER = re.compile(r"\[\[([^\[\]\n]*)\]\]")
KNOWN_PLACEHOLDER = re.compile(r"name|(?:time|link):\w+")
# Only what an address may hold: kana or a bracket after one ends it.
_URL = re.compile(r"https?://[\w.~:/?#@!$&*+,;=%\[\]-]+", re.IGNORECASE | re.ASCII)
_END = ".,;:!?]*"
# A full stop inside a word or a time ends no sentence.
_SENTENCE = re.compile(
    r"[^.!?\n。\uff01\uff1f]+(?:\.(?=\w)[^.!?\n。\uff01\uff1f]+)*[.!?。\uff01\uff1f]*"
)
# A line that a mail program or a person wrapped goes on in the next one; Japanese is not wrapped
# in the middle of a sentence, and its letters don't tell whether a line begins one.
_WRAPPED = re.compile(r"(?<=[^\s.!?:;])[ \t]*\n(?=[^\W\d_A-ZÀ-Þ\u3040-\u30ff\u3400-\u9fff])")
_LETTERS = re.compile(r"[^\W\d_]+")
SHOWN = 80


def blank(text: str, pattern: re.Pattern[str]) -> str:
    """Replace matches by as many spaces, so that offsets stay true."""
    return pattern.sub(lambda m: " " * len(m[0]), text)


def blank_spans(text: str, spans: Iterable[Span]) -> str:
    """Replace pieces by as many spaces."""
    for start, end in spans:
        text = text[:start] + " " * (end - start) + text[end:]
    return text


def blank_words(text: str, words: Iterable[str]) -> str:
    """Replace known words by as many spaces; the longest must come first."""
    for word in words:
        if word in text:
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
    def lists(self) -> Words:
        """The policy's words for the language."""
        return words_of(self.policy, self.language)

    @cached_property
    def known(self) -> Known:
        """What the facts and the policy let a text state."""
        return known_of(self.facts, self.policy)

    @cached_property
    def _shown(self) -> Shown | None:
        return Shown(self.raw) if self.field == "html" else None

    @cached_property
    def visible(self) -> str:
        """What a reader sees: of HTML the text, with entities resolved."""
        return self.raw if self._shown is None else self._shown.text

    @cached_property
    def told(self) -> str:
        """All that may hold times: without placeholders, links and figures of speech as 24/7."""
        text = blank(blank(self.visible, PLACEHOLDER), _URL)
        return blank_spans(text, self.spans("fixed"))

    @cached_property
    def words(self) -> str:
        """`visible` without placeholders, links and addresses of ours, and the names of things."""
        text = blank(self.visible, PLACEHOLDER) if "[[" in self.visible else self.visible
        return blank_words(blank(text, _URL), self.known.blanked)

    @cached_property
    def reading(self) -> Reading:
        """`words` as phrases are looked up in them."""
        return Reading(self.words)

    @property
    def folded(self) -> str:
        """`words` in small letters, with one kind of space and apostrophe."""
        return self.reading.folded

    @cached_property
    def _found(self) -> dict[str, list[Span]]:
        return self.lists.lexicon.find(self.reading)

    def spans(self, listed: str) -> list[Span]:
        """Where phrases of one of the policy's lists stand in `words`."""
        return self._found.get(listed, [])

    def within(self, listed: str, start: int, end: int) -> Iterator[Span]:
        """The same in a part of the text."""
        spans = self.spans(listed)
        for i in range(bisect_left(spans, (start, 0)), len(spans)):
            if spans[i][0] >= end:
                return
            if spans[i][1] <= end:
                yield spans[i]

    @cached_property
    def sentences(self) -> tuple[Span, ...]:
        """Where each sentence of `words` begins and ends."""
        joined = _WRAPPED.sub(lambda m: " " * len(m[0]), self.words)
        for listed in self.lists.places:
            for start, end in self.spans(listed):
                # The full stops of "EE. UU." end nothing.
                joined = joined[:start] + joined[start:end].replace(".", "_") + joined[end:]
        return tuple(m.span() for m in _SENTENCE.finditer(joined))

    def sentence_at(self, offset: int) -> Span | None:
        """The sentence that an offset is in."""
        i = bisect_right(self.sentences, (offset, len(self.words))) - 1
        found = self.sentences[i] if i >= 0 else None
        return found if found is not None and offset < found[1] else None

    @cached_property
    def odd(self) -> tuple[tuple[str, int, str], ...]:
        """What in `words` is a host, an address, an id or a key: kind, offset and text."""
        return tuple(tokens.found(self.words))

    @cached_property
    def times(self) -> tuple[TimeOfDay, ...]:
        """The times of day that are written out."""
        return times_of_day(self.told, self.lists.tone.zones)

    @cached_property
    def dates(self) -> tuple[WrittenDate, ...]:
        """The dates that are written out, outside of the times."""
        text = blank_spans(self.told, ((t.start, t.end) for t in self.times))
        return tuple(dates(text, (word for _, word in self.reading.words)))

    @cached_property
    def numerals(self) -> tuple[Said, ...]:
        """The numbers in words."""
        return tuple(said(self.reading, self.language))

    @cached_property
    def spoken(self) -> tuple[Spoken, ...]:
        """The times of day in words."""
        return tuple(spoken(self.folded, self.language, bool(self.numerals)))

    @property
    def notes(self) -> tuple[str, ...]:
        return self.known.notes

    @cached_property
    def without_notes(self) -> str:
        """`words` without the lines that a human wrote, cut ones included."""
        text = self.words
        for note in self.notes:
            for line in note.splitlines():
                text = blank_spans(text, _quoted(self.visible, line.strip()))
        return text

    @cached_property
    def small_words(self) -> list[tuple[int, int]]:
        """Where a small word of any language stands, and a bit for each language that has it."""
        masks = self.lists.masks
        found = (
            (m.start(), masks.get(m[0])) for m in _LETTERS.finditer(self.without_notes.lower())
        )
        return [(at, mask) for at, mask in found if mask]

    @cached_property
    def zones(self) -> tuple[tzinfo, ...]:
        """Zones that a time without one may be meant in."""
        home = self.lists.tone.home.get(self.language, "UTC")
        return (UTC, named_zone(self.policy.company.timezone), named_zone(home))

    @cached_property
    def urls(self) -> tuple[tuple[int, str], ...]:
        """Offset and text of every literal link, those in attributes included."""
        return tuple((m.start(), m[0].rstrip(_END)) for m in _URL.finditer(self.raw))

    def finding(self, rule: str, offset: int, found: str, suggestion: str) -> Finding:
        """A finding at an offset of `visible`."""
        at = offset if self._shown is None else self._shown.source(offset)
        return self.raw_finding(rule, at, found, suggestion)

    def raw_finding(self, rule: str, offset: int, found: str, suggestion: str) -> Finding:
        """A finding at an offset of `raw`; what was found on one line and cut short."""
        line = " ".join(found.split())
        shown = line if len(line) <= SHOWN else f"{line[: SHOWN - 1]}…"
        where = f"{self.draft.channel.value}/{self.draft.locale}/{self.field}:{offset}"
        return Finding(rule=rule, where=where, found=shown, suggestion=suggestion)


_PROBE = 12


def _quoted(text: str, line: str) -> Iterator[Span]:
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


def host_of(url: str) -> str:
    """The host of a link; empty where it has none that can be read."""
    try:
        return (urlsplit(url).hostname or "").lower()
    except ValueError:
        return ""


Rule = Callable[[Passage], Iterator[Finding]]
