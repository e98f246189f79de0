"""Text from outside in Slack's markup: it can neither mention anybody nor grow past a limit."""

from __future__ import annotations

import re

_UNSAFE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_ESCAPES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}


def escape(text: str) -> str:
    """As Slack asks: `&`, `<` and `>` as entities, so that no mention, link or command is left."""
    return "".join(_ESCAPES.get(c, c) for c in _UNSAFE.sub("", text))


def line(text: object, limit: int = 300) -> str:
    """A text from outside as part of a line: escaped, without line breaks and code marks."""
    flat = " ".join(str(text).split()).replace("`", "'")
    return cut(flat, limit, "…")


def paragraphs(text: str, limit: int, note: str) -> str:
    """A longer text from outside, escaped, with its line breaks; `note` ends one that was cut."""
    # Marks of code would swallow what follows them in the same block.
    return cut(text.replace("\r\n", "\n").replace("```", "'''").strip(), limit, note)


def cut(text: str, limit: int, note: str) -> str:
    """Escaped, and at most `limit` characters long with the note; never through an entity."""
    whole = escape(text)
    if len(whole) <= limit:
        return whole
    out, room = [], limit - len(note)
    for char in _UNSAFE.sub("", text):
        piece = _ESCAPES.get(char, char)
        room -= len(piece)
        if room < 0:
            break
        out.append(piece)
    return "".join(out) + note
