"""The words of cards and answers, from `content/`; staff read English."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import yaml

CONTENT = Path(__file__).parents[2] / "content"


class CardWords:
    """`content/cards.yaml`, with the names of moments, stages and channels beside it."""

    def __init__(self, content_dir: Path) -> None:
        self._cards = _read(content_dir / "cards.yaml")
        self._names = _read(content_dir / "locales" / "en.yaml")

    def say(self, path: str, **values: object) -> str:
        """The sentence at a dotted path; what fills it must be escaped already."""
        found: Any = self._cards
        for part in path.split("."):
            found = found[part]
        return str(found).format(**values)

    def label(self, key: str) -> str:
        """What stands before a fact."""
        return self.say(f"labels.{key}")

    def name(self, kind: str, key: str) -> str:
        """A moment, stage, channel or reason in words; an unnamed key as plain words."""
        table = self._cards if kind in self._cards else self._names
        return str(table[kind].get(key, key.replace("_", " ")))


@cache
def card_words(content_dir: Path = CONTENT) -> CardWords:
    """The words, read once."""
    return CardWords(content_dir)


def _read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(path.read_text("utf-8"))
    return content
