"""Figures in words: shares, lengths of time, and the credit for them."""

from __future__ import annotations

from functools import lru_cache

from babel.numbers import format_decimal

from adapters.drafters.catalog import Catalog
from domain.message import Facts

_DAY = 24 * 60
# What is longer is told in days and whole hours.
_MINUTES_MATTER = 2 * _DAY
_CREDIT = "credit_percent"


@lru_cache(maxsize=4096)
def decimal(value: float, locale: str, pattern: str | None = None) -> str:
    """A figure as the language writes it."""
    return format_decimal(value, format=pattern, locale=locale.replace("-", "_"))


def figure(value: float, locale: str) -> str:
    """A figure to one decimal place; to three where it would round to nothing, as if to nobody."""
    return decimal(value, locale, "#,##0.#" if round(value, 1) or not value else "#,##0.###")


def percent(value: float, catalog: Catalog, locale: str) -> str:
    """A share with its sign."""
    return catalog.phrase("percent", locale=locale, number=figure(value, locale))


def counted(unit: str, count: int, catalog: Catalog, locale: str) -> str:
    """So many hours, days or minutes."""
    return catalog.counted(unit, count, locale, decimal(count, locale))


def about_share(facts: Facts, catalog: Catalog, locale: str) -> str:
    """Whom it affects: a share is rough, but a hundred percent are all."""
    value = facts.numbers.get("share_percent")
    if value is None:
        return ""
    phrase = "all_customers" if value >= 100 else "about_share"
    return catalog.phrase(phrase, locale=locale, share=percent(value, catalog, locale))


def length(minutes: float, catalog: Catalog, locale: str) -> str:
    """A length of time in days, hours and minutes; from two days on without the minutes."""
    whole = int(minutes)
    if whole < 1:
        return catalog.phrase("under_a_minute", locale=locale)
    if whole >= _MINUTES_MATTER:
        whole = (whole + 30) // 60 * 60
    days, rest = divmod(whole, _DAY)
    counts = (("day", days), ("hour", rest // 60), ("minute", rest % 60))
    parts = [counted(unit, count, catalog, locale) for unit, count in counts if count]
    if len(parts) == 1:
        return parts[0]
    first, second, *third = parts
    keys: tuple[str, ...] = ("duration_of_three",) if third else ("duration",)
    if days and not third:
        keys = ("duration_of_days", "duration")
    return catalog.phrase(*keys, locale=locale, first=first, second=second, third="".join(third))


def credit(facts: Facts, catalog: Catalog, locale: str) -> str:
    """The approved credit and when it is applied; no figure where plans differ in it."""
    applied = facts.notes.get("credit_applied", "")
    when = catalog.words(locale).phrases.get(f"credit_on_{applied}")
    if not when:
        return ""
    share = facts.numbers.get(_CREDIT)
    of_plans = [v for k, v in facts.numbers.items() if k.startswith(f"{_CREDIT}_")]
    if not (share or any(of_plans)):
        return ""
    if share is None or any(value != share for value in of_plans):
        return catalog.phrase("credit_by_plan", locale=locale, when=when)
    amount = percent(share, catalog, locale)
    return catalog.phrase("credit", locale=locale, amount=amount, when=when)
