"""HTML as its readers see it, with the way back to where each letter stands in the source."""

from __future__ import annotations

import html
import re
from bisect import bisect_right

_PIECE = re.compile(
    r"<!--.*?(?:-->|\Z)|</?(?P<tag>[A-Za-z][A-Za-z0-9]*)[^<>]*>|<[!?][^<>]*>"
    r"|&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z]\w{1,30});|[ \r\n\t]{2,}|[\r\n\t]",
    re.DOTALL,
)
# These stand inside a line; every other tag ends one.
_INLINE = frozenset(
    {"a", "abbr", "b", "big", "bdi", "bdo", "cite", "code", "del", "em", "font", "i", "img", "ins",
     "kbd", "label", "mark", "q", "s", "small", "span", "strong", "sub", "sup", "time", "tt", "u",
     "var", "wbr"}
)  # fmt: skip


class Shown:
    """The text of an HTML fragment; `source` says where in the fragment a letter of it stands."""

    def __init__(self, fragment: str) -> None:
        parts: list[str] = []
        self._at, self._from, size, last = [0], [0], 0, 0
        for m in _PIECE.finditer(fragment):
            before = fragment[last : m.start()]
            parts.append(before)
            size += len(before)
            shown = _shown(m)
            parts.append(shown)
            size += len(shown)
            last = m.end()
            self._at.append(size)
            self._from.append(last)
        parts.append(fragment[last:])
        self.text = "".join(parts)

    def source(self, offset: int) -> int:
        """The offset in the fragment of an offset in the text."""
        i = bisect_right(self._at, offset) - 1
        return self._from[i] + offset - self._at[i]


def _shown(piece: re.Match[str]) -> str:
    if piece["tag"] is not None:
        return "" if piece["tag"].lower() in _INLINE else "\n"
    if piece[0][0] == "&":
        return html.unescape(piece[0])
    return "" if piece[0][0] == "<" else " "
