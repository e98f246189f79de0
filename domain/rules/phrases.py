"""Lists of phrases as policy writes them, found in a text of any language.

`*` stands for the rest of a word, ` ... ` for a few words between, and a phrase that begins with
`-` is set aside first: with `soon` and `-as soon as`, "as soon as" is not found. Case, kinds of
spaces and apostrophes make no difference. Scripts without spaces have no word boundaries.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache

_SAME = str.maketrans(
    {
        **dict.fromkeys("\u2018\u2019\u02bc\uff07", "'"),
        **dict.fromkeys("\u00a0\u202f\u2009\u3000\n\r\t", " "),
        **dict.fromkeys("\u2010\u2011", "-"),
        "\uff05": "%",
        "\uff1a": ":",
    }
)
# Kana, ideographs and the marks between them.
SPACELESS = "\u3005-\u30ff\u3400-\u9fff\uff66-\uff9f"
_SPACELESS = re.compile(f"[{SPACELESS}]")
_GAP = r"\W[^.!?。\uff01\uff1f;]{0,60}?(?<!\w)"


def fold(text: str) -> str:
    """Lower case with one kind of space and apostrophe, at the same offsets."""
    low = text.lower()
    if len(low) != len(text):
        low = "".join(c.lower() if len(c.lower()) == 1 else c for c in text)
    return low.translate(_SAME)


@lru_cache(maxsize=8192)
def key(word: str) -> str:
    """`fold` for the words of a list, which come again and again."""
    return fold(word)


def find(phrases: Iterable[str], folded: str) -> Iterator[re.Match[str]]:
    """Where one of the phrases stands in a folded text."""
    found, set_aside = _compiled(tuple(phrases))
    if found is None:
        return iter(())
    if set_aside is not None:
        folded = set_aside.sub(lambda m: " " * len(m[0]), folded)
    return found.finditer(folded)


def holds(phrases: Iterable[str], folded: str) -> bool:
    """Whether a folded text holds one of the phrases."""
    return next(find(phrases, folded), None) is not None


def meaning(listed: Mapping[str, str], found: str) -> str:
    """What the list says of a phrase that was found by it."""
    alike = (k for k in listed if key(k)[:1] in (found[:1], "*"))
    matching = (k for k in alike if _single(k).fullmatch(found))
    return listed[max(matching, key=len)]


@lru_cache(maxsize=512)
def _compiled(
    phrases: tuple[str, ...],
) -> tuple[re.Pattern[str] | None, re.Pattern[str] | None]:
    listed = sorted({p for p in phrases if p.strip("-* ")}, key=len, reverse=True)
    return (
        _joined([p for p in listed if not p.startswith("-")]),
        _joined([p[1:] for p in listed if p.startswith("-")]),
    )


@lru_cache(maxsize=4096)
def _single(phrase: str) -> re.Pattern[str]:
    return re.compile(_source(phrase))


def _joined(phrases: list[str]) -> re.Pattern[str] | None:
    """Grouped by their first letter, so that most places of a text are passed at a glance."""
    spaced = [p for p in phrases if not _SPACELESS.match(p)]
    groups: dict[str, list[str]] = {}
    for phrase in spaced:
        groups.setdefault(_source(phrase)[:1], []).append(_source(phrase))
    parts = []
    plain = [f"(?:{'|'.join(g)})" for first, g in groups.items() if first != "\\"]
    plain += groups.get("\\", [])
    if plain:
        parts.append(rf"(?<![^\W{SPACELESS}])(?:{'|'.join(plain)})")
    parts += [_source(p) for p in phrases if _SPACELESS.match(p)]
    return re.compile("|".join(parts)) if parts else None


def _source(phrase: str) -> str:
    folded = fold(" ".join(phrase.split()))
    source = re.escape(folded).replace(r"\ \.\.\.\ ", _GAP).replace(r"\*", r"\w*")
    source = source.replace(r"\.\.\.", ".{0,30}?").replace(r"\ ", r"\s{1,3}")
    return source if _SPACELESS.match(folded[-1]) else rf"{source}(?![^\W{SPACELESS}])"
