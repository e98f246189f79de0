"""The small words of each language: regions, stages, moments, footers, timeline lines."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict

from adapters.drafters.times import babel_locale, full
from domain.locales import nearest

_FIELD = re.compile(r"\{(\w+)\}")
_OPTIONAL = re.compile(r"\[([^\[\]]*)\]")
UNKNOWN = "?"
# Readers' locales come from outside: what is remembered of them stays bounded.
_REMEMBERED = 1024


class Words(BaseModel):
    """One `content/locales/<locale>.yaml`; `neutral_name` may be empty where a greeting needs none.

    In `timeline`, a part in [brackets] is left out when one of its {fields} is not known. In
    `phrases`, `unnamed_region` is there where `regions` bring their own prepositions,
    `and_more_affected` and `and_one_more_affected` where a list in a sentence takes another ending
    than one that stands alone, and `duration_of_days` where days and hours are joined otherwise
    than hours and minutes.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    neutral_name: str
    regions: dict[str, str]
    stages: dict[str, str]
    moments: dict[str, str]
    channels: dict[str, str]
    impact_levels: dict[str, str]
    mail: dict[str, str]
    phrases: dict[str, str]
    timeline: dict[str, str]


# The reader in C takes a tenth of the time.
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@cache
def _read(folder: Path) -> dict[str, Words]:
    """Every language of a folder, read once: several of a process's parts have a catalog."""
    return {
        path.stem: Words.model_validate(yaml.load(path.read_text("utf-8"), _LOADER))
        for path in sorted(folder.glob("*.yaml"))
    }


class Catalog:
    """The words of every language in `<content_dir>/locales`."""

    def __init__(self, content_dir: Path) -> None:
        self._words = _read(content_dir / "locales")
        self._resolved: dict[str, str] = {}

    @property
    def locales(self) -> tuple[str, ...]:
        return tuple(self._words)

    def resolve(self, locale: str) -> str:
        """The locale itself, its language, or English."""
        found = self._resolved.get(locale)
        if found is None:
            if len(self._resolved) >= _REMEMBERED:
                self._resolved.clear()
            found = self._resolved[locale] = nearest(locale, self._words) or "en"
        return found

    def words(self, locale: str) -> Words:
        return self._words[self.resolve(locale)]

    def region(self, key: str, locale: str) -> str:
        """A region's name as it stands in a sentence; an unnamed one in capitals."""
        words = self.words(locale)
        if key in words.regions:
            return words.regions[key]
        return words.phrases.get("unnamed_region", "{region}").format(region=key.upper())

    def stage(self, key: str, locale: str) -> str:
        return self.words(locale).stages.get(key, key)

    def moment(self, key: str, locale: str) -> str:
        return self.words(locale).moments.get(key, key)

    def phrase(self, *keys: str, locale: str, **data: object) -> str:
        """The first of the phrases that the language has, filled."""
        phrases = self.words(locale).phrases
        return phrases[next((k for k in keys if k in phrases), keys[-1])].format(**data)

    def counted(self, unit: str, count: int, locale: str, number: str) -> str:
        """`number` of a unit in the plural form of the language: `<unit>` for one, `<unit>s`."""
        tongue = babel_locale(self.resolve(locale))
        key = unit if tongue.plural_form(count) == "one" else f"{unit}s"
        return self.phrase(key, locale=locale, count=number)

    def line(self, key: str, data: Mapping[str, Any], locale: str = "en") -> str:
        """The sentence of a timeline line; what `data` lacks makes it shorter, never wrong.

        Moments, stages, channels and due times in `data` are put in words; a key without a
        sentence reads as itself.
        """
        words = self.words(locale)
        pattern = words.timeline.get(key)
        if pattern is None:
            return key.replace("_", " ").capitalize()
        stated = {k: v for k, v in data.items() if v not in (None, "")}
        exact = key.startswith("promise")
        known = {k: self._word(locale, k, v, exact) for k, v in stated.items()}

        def fill(part: str) -> str:
            return _FIELD.sub(lambda m: known.get(m[1], UNKNOWN), part)

        out, at = [], 0
        for optional in _OPTIONAL.finditer(pattern):
            out.append(fill(pattern[at : optional.start()]))
            if all(field in known for field in _FIELD.findall(optional[1])):
                out.append(fill(optional[1]))
            at = optional.end()
        out.append(fill(pattern[at:]))
        return "".join(out)

    def _word(self, locale: str, field: str, value: object, exact: bool) -> str:
        words, text = self.words(locale), str(value)
        tables = {"moment": words.moments, "stage": words.stages, "old": words.stages}
        if field == "channels":
            return ", ".join(words.channels.get(c, c) for c in text.split(", "))
        if field == "due":
            try:
                return full(datetime.fromisoformat(text), self.resolve(locale), exact=exact)
            except ValueError:
                return text
        return tables.get(field, {}).get(text, text)
