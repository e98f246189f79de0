"""The words of the public pages, and which language a visitor reads."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from babel.dates import format_date, format_datetime
from pydantic import BaseModel, ConfigDict

from domain.locales import nearest
from domain.policy import Policy

FOLDER = Path(__file__).parents[1] / "content" / "pages"


class Words(BaseModel):
    """One language's page words; every catalog holds every key."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    locale: str
    language: str
    titles: dict[str, str]
    indicator: dict[str, str]
    component: dict[str, str]
    status: dict[str, str]
    impact: dict[str, str]
    page: dict[str, str]
    unsubscribe: dict[str, str]
    banner: dict[str, str]
    maintenance: dict[str, str]
    demo: dict[str, str]

    def moment(self, at: datetime, *, exact: bool = False) -> str:
        """An instant in UTC, as this language writes it; `exact` adds seconds where it has some."""
        written = format_datetime(at, self.page["time_format"], locale=self._babel)
        if exact and at.second:
            written += f":{at.second:02}"
        return f"{written}\N{NO-BREAK SPACE}UTC"

    def month(self, at: datetime) -> str:
        return format_date(at, "LLLL y", locale=self._babel)

    @property
    def _babel(self) -> str:
        return self.locale.replace("-", "_")


@cache
def words(locale: str) -> Words:
    """The catalog of a language."""
    content: dict[str, Any] = yaml.safe_load((FOLDER / f"{locale}.yaml").read_text("utf-8"))
    return Words.model_validate({"locale": locale, **content})


@cache
def catalogs() -> tuple[str, ...]:
    """The languages that pages are written in."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.yaml")))


def page_locales(policy: Policy) -> tuple[str, ...]:
    """The languages offered: the policy's, as far as pages are written in them."""
    offered = tuple(locale for locale in policy.locales if locale in catalogs())
    return offered or catalogs()[:1]


def choose_locale(
    offered: tuple[str, ...], query: Mapping[str, str], headers: Mapping[str, str]
) -> str:
    """`?lang=`, else the best of Accept-Language, else the first offered."""
    if query.get("lang") in offered:
        return query["lang"]
    wanted = []
    for position, part in enumerate(headers.get("accept-language", "").split(",")):
        tag, _, parameter = part.strip().partition(";")
        try:
            weight = float(parameter.strip().removeprefix("q=") or 1)
        except ValueError:
            continue
        wanted.append((-weight, position, nearest(tag.strip(), offered)))
    for weight, _, found in sorted(wanted, key=lambda w: w[:2]):
        if found is not None and weight < 0:
            return found
    return offered[0]
