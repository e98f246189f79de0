"""What people change in drafts, as phrases without facts and without names."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Literal

from domain.message import DraftText, Facts

# Longer changes are new passages; their beginning says enough.
PHRASE_WORDS = 12
# Comparing costs the square of this at worst.
MOST_WORDS = 1500
NAME, NUMBER, LINK, FACT = "[name]", "[number]", "[link]", "[fact]"

_LINK = re.compile(r"\[\[link:[^\]]*\]\]|https?://\S+|[\w.+-]+@[\w-]+(?:\.[\w-]+)+", re.IGNORECASE)
_FACT = re.compile(r"\[\[[^\]]*\]\]")
_NUMBER = re.compile(r"\d+(?:[.,:/\u2013-]\d+)*\s?%?")
_KANA = "\u3040-\u309f"
_SPACELESS = "\u3005\u30a0-\u30ff\u3400-\u9fff\uff66-\uff9f"
_TOKEN = re.compile(
    rf"\[(?:name|number|link|fact)\]|[{_KANA}]+|[{_SPACELESS}]+"
    rf"|[^\W\d_{_KANA}{_SPACELESS}]+(?:['\u2019-][^\W\d_{_KANA}{_SPACELESS}]+)*"
)
_MARKS = frozenset({NAME, NUMBER, LINK, FACT})


@dataclass(frozen=True)
class Change:
    """A phrase that an edit took out or put in."""

    kind: Literal["removed", "added"]
    phrase: str


def without_facts(text: str, facts: Facts) -> str:
    """The text with links, figures, times, names and what a human had stated set aside."""
    for note in sorted(facts.notes.values(), key=len, reverse=True):
        for line in note.splitlines():
            if line.strip():
                text = text.replace(line.strip(), FACT)
    named = [name for names in facts.component_names.values() for name in names]
    for name in sorted({*named, *facts.names}, key=len, reverse=True):
        if name:
            text = re.sub(re.escape(name), FACT, text, flags=re.IGNORECASE)
    text = _FACT.sub(FACT, _LINK.sub(LINK, text))
    return _NUMBER.sub(NUMBER, text)


def distinct_lines(texts: Iterable[DraftText]) -> str:
    """Every line of some texts once: channels and languages repeat each other, looking is dear."""
    parts = (part for t in texts for part in (t.subject, t.text, t.html) if part)
    return "\n".join(dict.fromkeys(line for part in parts for line in part.split("\n")))


def words(text: str) -> list[str]:
    """The words of a text, with the marks that `without_facts` leaves."""
    return _TOKEN.findall(text)


def vocabulary(texts: Iterable[str]) -> frozenset[str]:
    """Words that stand in texts which no human wrote: none of them is a person's name."""
    return frozenset(word.lower() for text in texts for word in words(text))


def changes(
    before: DraftText, after: DraftText, facts: Facts, known: Collection[str]
) -> Iterator[Change]:
    """The phrases by which two versions of a text differ, subject and text.

    A word that could be a name and is not `known` (see `vocabulary`) is shown as `[name]`, so
    that no person and no customer is in the report.
    """
    pairs = ((before.subject or "", after.subject or ""), (before.text, after.text))
    for old, new in pairs:
        a = words(without_facts(old, facts))[:MOST_WORDS]
        b = words(without_facts(new, facts))[:MOST_WORDS]
        same = SequenceMatcher(None, [w.lower() for w in a], [w.lower() for w in b], autojunk=False)
        for kind, i1, i2, j1, j2 in same.get_opcodes():
            if kind == "equal":
                continue
            for which, piece in (("removed", a[i1:i2]), ("added", b[j1:j2])):
                phrase = _phrase(piece, known)
                if phrase:
                    yield Change(kind="removed" if which == "removed" else "added", phrase=phrase)


def _phrase(piece: list[str], known: Collection[str]) -> str:
    shown = [_shown(word, known) for word in piece[:PHRASE_WORDS]]
    told = [word for i, word in enumerate(shown) if i == 0 or word != shown[i - 1]]
    # Facts alone are no wording.
    if not any(word not in _MARKS for word in told):
        return ""
    return " ".join(told) + (" …" if len(piece) > PHRASE_WORDS else "")


def _shown(word: str, known: Collection[str]) -> str:
    if word in _MARKS or word.lower() in known:
        return word if word in _MARKS else word.lower()
    could_be_name = word[0].isupper() or re.match(f"[{_SPACELESS}]", word) is not None
    return NAME if could_be_name else word
