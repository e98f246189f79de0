"""What readers see is what was checked: nothing hidden, and the HTML says what the text says."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator
from functools import lru_cache

from domain.message import Finding
from domain.rules.base import PLACEHOLDER, Passage, blank
from domain.rules.phrases import SPACELESS

# Joiners between emoji are left alone; everything else of no width hides or reorders letters.
_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b\u200c\u200e\u200f\u202a-\u202e"
    "\u2060-\u2069\u3164\ufeff\uffa0\U000e0000-\U000e007f]|(?<=[A-Za-z])\u200d"
)
_OTHER = re.compile("[Ͱ-ԯ]")
_MIXED = re.compile("[A-Za-zÀ-ɏ][Ͱ-ϿЀ-ԯ]|[Ͱ-ϿЀ-ԯ][A-Za-zÀ-ɏ]")
_STYLED = re.compile("[\U0001d400-\U0001d7ff\uff21-\uff3a\uff41-\uff5a]{2,}")
_UNSEEN = re.compile(
    r"display\s*:\s*none|visibility\s*:\s*hidden|opacity\s*:\s*0(?![.\d])"
    r"|font-size\s*:\s*0(?![.\d])|(?<![\w-])hidden(?=[\s>=])",
    re.IGNORECASE,
)
_TAG = re.compile(r"<[^<>]*>")
_LINK = re.compile(r"https?://\S+", re.IGNORECASE)
_WORD = re.compile(rf"[{SPACELESS}]|[^\W_{SPACELESS}]+")
# Labels such as "Status page" come and go with the layout; this share of the words may.
_LAYOUT, _LABELS = 0.25, 6


def hidden(p: Passage) -> Iterator[Finding]:
    """No letter that cannot be seen or looks like another, and no markup that hides words."""
    if not p.visible.isascii():
        for m in _INVISIBLE.finditer(p.visible):
            name = unicodedata.name(m[0], "an invisible character")
            yield p.finding("hidden", m.start(), f"U+{ord(m[0]):04X} {name}", "delete it")
        if _OTHER.search(p.visible):
            for m in _MIXED.finditer(p.visible):
                yield p.finding("hidden", m.start(), m[0], "type the word anew: letters are mixed")
        if p.language != "ja":
            for m in _STYLED.finditer(p.visible):
                yield p.finding("hidden", m.start(), m[0], "plain letters")
    if p.field == "html":
        for tag in _TAG.finditer(p.raw):
            if (found := _unseen(tag[0])) is not None:
                at = tag.start() + tag[0].find(found)
                yield p.raw_finding("hidden", at, found, "show it or delete it")


@lru_cache(maxsize=2048)
def _unseen(tag: str) -> str | None:
    """What in a tag hides what stands in it; templates use the same few tags."""
    m = _UNSEEN.search(tag)
    return None if m is None else m[0]


def html_differs(p: Passage) -> Iterator[Finding]:
    """Figures and words of the HTML are those of the text, links and their labels aside."""
    if p.field != "html" or not p.draft.text.strip():
        return
    shown, written = Counter(_words(p.visible)), Counter(_words(p.draft.text))
    for word in shown:
        if word.isdigit() and word not in written:
            at = max(p.visible.find(word), 0)
            yield p.finding("html_differs", at, word, "the text does not say so")
            return
    more, less = (shown - written).total(), (written - shown).total()
    if more > max(_LABELS, _LAYOUT * shown.total()) or less > max(
        2 * _LABELS, 2 * _LAYOUT * written.total()
    ):
        extra = " ".join(list(shown - written)[:8]) or "words are missing"
        yield p.finding("html_differs", 0, extra, "say the same in the text and in the HTML")


def _words(text: str) -> list[str]:
    bare = _LINK.sub(" ", blank(text, PLACEHOLDER))
    return [w.lower() for w in _WORD.findall(bare)]
