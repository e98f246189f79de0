"""Many lists of phrases, looked up in one pass over a text.

A pattern of a thousand alternatives tries them at every word; here a word leads by its first
letters to the few phrases that begin so, and only those are tried there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cached_property

from domain.rules.phrases import SPACELESS, begins_spaceless, fold, source

Span = tuple[int, int]
_WORD = re.compile(rf"[^\W{SPACELESS}]+")
_SPACELESS = re.compile(f"[{SPACELESS}]")
_SINGLE = re.compile(rf"([^\W{SPACELESS}]+)(\*?)")
KEY, STEM = 4, 3


# Words of hostile texts are not remembered without end.
_MOST = 20_000


class Reading:
    """A text made ready to look phrases up in it: folded, and where its words begin."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.folded = fold(text)

    @cached_property
    def words(self) -> list[tuple[int, str]]:
        """Where each word begins, and the word in small letters."""
        return [(m.start(), m[0]) for m in _WORD.finditer(self.folded)]


class Lexicon:
    """Named lists of phrases. `cased` ones are found only as they are written."""

    def __init__(
        self, lists: Mapping[str, Iterable[str]], cased: Mapping[str, Iterable[str]] | None = None
    ) -> None:
        self._at: dict[str, _Entry] = {}
        self._words: dict[str, tuple[str, ...]] = {}
        self._stems: dict[str, list[tuple[str, str]]] = {}
        self._by_word: dict[str, list[_Group]] = {}
        self._by_key: dict[str, list[_Group]] = {}
        self._odd: list[_Odd] = []
        self._spaceless: list[_Odd] = []
        for name, phrases in lists.items():
            self._add(name, phrases, cased=False)
        for name, phrases in (cased or {}).items():
            self._add(name, phrases, cased=True)

    def find(self, reading: Reading, outside: Iterable[Span] = ()) -> dict[str, list[Span]]:
        """By list, where its phrases stand, from left to right; none that touches `outside`."""
        hits: dict[str, list[Span]] = {}
        entries, text, folded = self._at, reading.text, reading.folded
        for at, word in reading.words:
            entry = entries.get(word)
            if entry is None:
                entry = self._entry(word)
            for name in entry[0]:
                hits.setdefault(name, []).append((at, at + len(word)))
            for group in entry[1]:
                end = group.end(text if group.cased else folded, at)
                if end:
                    hits.setdefault(group.name, []).append((at, end))
        spaceless = self._spaceless if _SPACELESS.search(reading.folded) else []
        for odd in (*self._odd, *spaceless):
            text = reading.text if odd.cased else reading.folded
            if odd.literal in text:
                found = [m.span() for m in odd.pattern.finditer(text)]
                if found:
                    hits.setdefault(odd.name, []).extend(found)
        barred = tuple(outside)
        out = {}
        for name, spans in hits.items():
            if not name.startswith("-"):
                kept = _kept(spans, (*barred, *hits.get(f"-{name}", ())))
                if kept:
                    out[name] = kept
        return out

    def _add(self, name: str, phrases: Iterable[str], *, cased: bool) -> None:
        by_start: dict[tuple[str, str, bool], list[str]] = {}
        for phrase in dict.fromkeys(phrases):
            if not phrase.strip("-* "):
                continue
            owner, said = (f"-{name}", phrase[1:]) if phrase[0] == "-" else (name, phrase)
            single = None if cased else _SINGLE.fullmatch(fold(said))
            if single is not None and (not single[2] or len(single[1]) >= STEM):
                self._add_word(owner, single[1], stem=bool(single[2]))
                continue
            first = _WORD.match(fold(said))
            short = first is not None and first.end() < KEY and said[first.end() :][:1] == "*"
            if begins_spaceless(said):
                self._spaceless.append(_Odd(owner, said, cased))
            elif first is None or short:
                self._odd.append(_Odd(owner, said, cased))
            else:
                wild = said[first.end() :][:1] == "*"
                start = first[0][:KEY] if wild else first[0]
                by_start.setdefault((owner, start, wild), []).append(said)
        for (owner, start, wild), listed in by_start.items():
            groups = self._by_key if wild else self._by_word
            groups.setdefault(start, []).append(_Group(owner, listed, cased))

    def _entry(self, word: str) -> _Entry:
        """What may begin with a word: lists that hold it, and phrases of more words."""
        stems = self._stems.get(word[:STEM], ())
        names = (*self._words.get(word, ()), *(n for stem, n in stems if word.startswith(stem)))
        groups = (*self._by_word.get(word, ()), *self._by_key.get(word[:KEY], ()))
        if len(self._at) < _MOST:
            self._at[word] = (names, groups)
        return names, groups

    def _add_word(self, name: str, word: str, *, stem: bool) -> None:
        """A phrase of one word is looked up, not searched for."""
        if not stem:
            self._words[word] = (*self._words.get(word, ()), name)
            return
        self._stems.setdefault(word[:STEM], []).append((word, name))


class _Group:
    """Phrases of one list that begin with the same letters; compiled when first needed."""

    def __init__(self, name: str, phrases: list[str], cased: bool) -> None:
        self.name, self.cased = name, cased
        self._phrases = sorted(phrases, key=len, reverse=True)

    def end(self, text: str, at: int) -> int:
        """Where the longest phrase that begins at an offset ends; 0 where none does."""
        plain, wild = self._ready
        for phrase in plain:
            if text.startswith(phrase, at):
                end = at + len(phrase)
                if _is_edge(text, end):
                    break
        else:
            end = 0
        m = wild.match(text, at) if wild is not None else None
        return end if m is None else max(end, m.end())

    @cached_property
    def _ready(self) -> tuple[list[str], re.Pattern[str] | None]:
        """Phrases that are only words, and a pattern of the others."""
        wild = [] if self.cased else [p for p in self._phrases if "*" in p or "..." in p]
        words = [" ".join(p.split()) for p in self._phrases if p not in wild]
        pattern = re.compile("|".join(map(source, wild))) if wild else None
        return words if self.cased else [fold(w) for w in words], pattern


_Entry = tuple[tuple[str, ...], tuple[_Group, ...]]


def _is_edge(text: str, end: int) -> bool:
    """Whether a word may end here: kana need no gap."""
    after = text[end : end + 1]
    if not (after.isalnum() or after == "_"):
        return True
    return begins_spaceless(after) or begins_spaceless(text[end - 1])


class _Odd:
    """A phrase that begins with no word of letters: its longest literal part is looked for."""

    def __init__(self, name: str, phrase: str, cased: bool) -> None:
        self.name, self.cased, self._phrase = name, cased, phrase
        whole = phrase if cased else fold(" ".join(phrase.split()))
        self.literal = max(re.split(r"\*|\s|\.\.\.", whole), key=len)

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        found = _cased(self._phrase) if self.cased else source(self._phrase)
        edge = "" if begins_spaceless(self._phrase) else rf"(?<![^\W{SPACELESS}])"
        return re.compile(edge + found)


def _cased(phrase: str) -> str:
    found = re.escape(" ".join(phrase.split())).replace(r"\ ", r"\s{1,3}")
    return found if begins_spaceless(phrase[-1]) else rf"{found}(?![^\W{SPACELESS}])"


def _kept(spans: list[Span], barred: tuple[Span, ...]) -> list[Span]:
    """Spans in order, the earlier and then the longer of two that overlap, without barred ones."""
    out: list[Span] = []
    for start, end in sorted(spans, key=lambda s: (s[0], -s[1])):
        if out and start < out[-1][1]:
            continue
        if not any(start < e and s < end for s, e in barred):
            out.append((start, end))
    return out
