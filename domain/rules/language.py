"""Right language: the small words of a text tell which language it is in, or its letters do."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache

from domain.message import Finding
from domain.rules.base import Passage

_WORD = re.compile(r"[^\W\d_]+")
_KANA = re.compile("[\u3041-\u309f\u30a1-\u30ff\uff66-\uff9f]")
# Kana and ideographs: Japanese mixes both.
_JAPANESE = re.compile("[\u3041-\u309f\u30a1-\u30ff\u3400-\u9fff\uff66-\uff9f]")
# More of them in a row than a name has.
_SENTENCE_OF_KANA = re.compile("[\u3041-\u30ff\u3400-\u9fff]{10,}")
# As many ideographs without kana between them are Chinese.
_NO_KANA = re.compile("[\u3400-\u9fff]{14,}|[\u3400-\u9fff]{6,}[\uff0c,][\u3400-\u9fff]{8,}")
_NOT_LATIN = re.compile("[^\\W\\d_A-Za-z\u00aa-\u024f\u1e00-\u1eff]")
# Fewer hits than this prove nothing: a name or a quoted word can look foreign.
_ENOUGH = 3
# As many letters in a script that the language is not written in are more than a name.
_MANY_LETTERS = 20


def scores(text: str, stop_words: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """How many words of a text are small words of each language.

    Small words in kana are counted wherever they stand, for Japanese has no spaces.
    """
    words = _WORD.findall(text.lower())
    counted = {}
    for locale, listed in stop_words.items():
        spaced, unspaced = _split(tuple(listed))
        counted[locale] = sum(w in spaced for w in words)
        if unspaced is not None:
            counted[locale] += len(unspaced.findall(text))
    return counted


def guess(text: str, stop_words: Mapping[str, Sequence[str]]) -> str | None:
    """The language whose small words are clearly the most; None where that is not clear."""
    japanese = next((x for x, listed in stop_words.items() if _in_kana(listed)), None)
    if japanese is not None and _reads_japanese(text):
        # A note of a few words may hold no small word, but only one language has these letters.
        return japanese
    ranked = sorted(scores(text, stop_words).items(), key=lambda item: -item[1])
    if not ranked or ranked[0][1] < 2:
        return None
    if len(ranked) > 1 and ranked[0][1] <= ranked[1][1]:
        return None
    return ranked[0][0]


def right_language(p: Passage) -> Iterator[Finding]:
    """A text is in the language it says it is; a human's quoted note may be in another."""
    if p.field == "subject":
        return
    stop_words = p.policy.tone.stop_words
    own = p.language
    if own not in stop_words:
        return
    text = p.without_notes
    if _wrong_script(text, stop_words[own]):
        yield p.finding("language", 0, f"not in {own!r}", f"write this text in {own!r}")
        return
    strange = (_NO_KANA if _in_kana(stop_words[own]) else _SENTENCE_OF_KANA).search(text)
    if strange is not None:
        said = f"write this text in {own!r}"
        yield p.finding("language", strange.start(), strange[0], said)
        return
    masks = Counter(mask for _, mask in p.small_words)
    bit = 1 << list(p.lists.tone.stop_words).index(own)
    if sum(n for mask, n in masks.items() if not mask & bit) < _ENOUGH:
        return
    for other in stop_words:
        # Neighbours such as French and Italian share small words: those prove nothing.
        mine, theirs = apart(masks, p, own, other)
        if theirs >= _ENOUGH and theirs > mine + _kana(p, text, own):
            yield p.finding("language", 0, f"reads like {other!r}", f"write this text in {own!r}")
            return


def apart(masks: Mapping[int, int], p: Passage, own: str, other: str) -> tuple[int, int]:
    """How many small words are of one language and not of the other, and the reverse."""
    listed = list(p.lists.tone.stop_words)
    mine, theirs = 1 << listed.index(own), 1 << listed.index(other)
    return (
        sum(n for mask, n in masks.items() if mask & mine and not mask & theirs),
        sum(n for mask, n in masks.items() if mask & theirs and not mask & mine),
    )


def _kana(p: Passage, text: str, own: str) -> int:
    """Small words in kana, which stand inside of others."""
    unspaced = _split(p.lists.tone.stop_words[own])[1]
    return len(unspaced.findall(text)) if unspaced is not None else 0


def _wrong_script(text: str, own_words: Sequence[str]) -> bool:
    """Whether the letters are not those of the language whose small words are given."""
    if _in_kana(own_words):
        return _KANA.search(text) is None and _letters(text) >= _MANY_LETTERS
    if text.isascii() or not _in_latin(tuple(own_words)):
        return False
    letters = _letters(text)
    if letters < _MANY_LETTERS:
        return False
    return len(_NOT_LATIN.findall(text)) * 2 > letters


def _letters(text: str) -> int:
    return sum(map(len, _WORD.findall(text)))


@lru_cache(maxsize=64)
def _in_latin(listed: tuple[str, ...]) -> bool:
    return not any(_NOT_LATIN.search(w) for w in listed)


def _reads_japanese(text: str) -> bool:
    """Whether a text has kana, and those and ideographs are a good part of its letters."""
    if _KANA.search(text) is None:
        return False
    # Names in Latin letters are long, and a Japanese word quoted elsewhere is short.
    return len(_JAPANESE.findall(text)) * 4 > sum(map(len, _WORD.findall(text)))


def _in_kana(listed: Sequence[str]) -> bool:
    return _split(tuple(listed))[1] is not None


@lru_cache(maxsize=64)
def _split(listed: tuple[str, ...]) -> tuple[frozenset[str], re.Pattern[str] | None]:
    """Small words that stand alone, and a pattern of those in kana, the longest first."""
    unspaced = sorted((w for w in listed if _KANA.search(w)), key=len, reverse=True)
    spaced = frozenset(w.lower() for w in listed if not _KANA.search(w))
    return spaced, re.compile("|".join(map(re.escape, unspaced))) if unspaced else None
