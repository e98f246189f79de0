"""The places in a text that differ per recipient, kept open while all else is filled in."""

from __future__ import annotations

import re
from dataclasses import dataclass

from adapters.drafters.shorten import whole

# Stand for what each recipient has of its own; no text holds them, for `one_line` and `without`
# take them out.
NAME, WHY, URL, OBJECT = "\x01", "\x02", "\x03", "\x04"
_SLOTS = re.compile(f"[{NAME}{WHY}{URL}{OBJECT}]")
_UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]+")
_NAME_LIMIT = 100


@dataclass(frozen=True)
class Slotted:
    """A text cut at the places that differ per recipient."""

    parts: tuple[str, ...]
    slots: tuple[str, ...]

    @classmethod
    def of(cls, text: str) -> Slotted:
        return cls(tuple(_SLOTS.split(text)), tuple(_SLOTS.findall(text)))

    def fill(self, values: dict[str, str]) -> str:
        out = [self.parts[0]]
        for slot, part in zip(self.slots, self.parts[1:], strict=True):
            value = values[slot]
            if not value:
                # "Guten Tag ," and "Hola, :" where the language greets nobody in particular.
                out[-1] = out[-1].rstrip(" ,")
            out += (value, part)
        return "".join(out)


def without(text: str) -> str:
    """A text from outside, in which nothing can stand for a recipient's own."""
    return _SLOTS.sub("", text)


def one_line(text: str, keep: str = "") -> str:
    """One line without control or direction characters, which could forge a header or a name."""
    if not keep and text.isascii() and text.isprintable():
        return text.strip()[:_NAME_LIMIT]
    unsafe = _UNSAFE.sub(lambda m: m[0] if m[0] == keep else " ", text)
    line = " ".join(unsafe.split(" ")).strip()
    return line if keep else line[: whole(line, _NAME_LIMIT)]
