"""An instant in words: the reader's zone and language, with UTC beside it where that differs."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from babel import Locale, UnknownLocaleError
from babel.dates import format_skeleton, get_timezone_name

_LONGEST_ABBREVIATION = 5
# Languages written without spaces: brackets take a letter's full width, and no comma parts a date
# from its time.
_FULL_WIDTH = frozenset({"ja"})


@lru_cache(maxsize=1024)
def zone(name: str) -> ZoneInfo:
    """The named time zone; UTC where there is none of that name."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return ZoneInfo("UTC")


@lru_cache(maxsize=256)
def babel_locale(name: str) -> Locale:
    """The locale by which dates are written; English where Babel knows none of that name."""
    try:
        return Locale.parse(name.replace("-", "_"))
    except (UnknownLocaleError, ValueError):
        return Locale("en")


def instant(
    at: datetime,
    locale: str,
    zone_name: str,
    now: datetime,
    *,
    dated: bool = False,
    exact: bool = False,
) -> str:
    """`14:30 CET (13:30 UTC)`; with the date in front where that is not today for the reader.

    `dated` puts the date in front always; `exact` adds the seconds of a time that has some.
    """
    today = now.astimezone(zone(zone_name)).date()
    return _instant(at.astimezone(UTC), locale, zone_name, today, dated, exact)


# A broadcast asks for the same few instants once per zone and language, for each of its texts.
@lru_cache(maxsize=8192)
def _instant(
    utc: datetime, locale: str, zone_name: str, today: date, dated: bool, exact: bool
) -> str:
    tongue, local = babel_locale(locale), utc.astimezone(zone(zone_name))
    dated = dated or local.date() != today
    if not local.utcoffset():
        return f"{_written(utc, tongue, dated, exact)} UTC"
    here = f"{_written(local, tongue, dated, exact)} {_abbreviation(local, tongue)}"
    there = f"{_written(utc, tongue, utc.date() != local.date(), exact)} UTC"
    if tongue.language in _FULL_WIDTH:
        return f"{here}\N{FULLWIDTH LEFT PARENTHESIS}{there}\N{FULLWIDTH RIGHT PARENTHESIS}"
    return f"{here} ({there})"


def full(at: datetime, locale: str, *, exact: bool = False) -> str:
    """Date and time in UTC, for documents that are read later; `exact` as for `instant`."""
    return f"{_written(at.astimezone(UTC), babel_locale(locale), True, exact)} UTC"


def _written(at: datetime, locale: Locale, dated: bool, exact: bool) -> str:
    # 24 hours everywhere: beside a UTC time, "2:30" would be read as one of both halves.
    clock = f"{at:%H:%M:%S}" if exact and at.second else f"{at:%H:%M}"
    comma = "" if locale.language in _FULL_WIDTH else ","
    return f"{format_skeleton('yMMMd', at, locale=locale)}{comma} {clock}" if dated else clock


def _abbreviation(local: datetime, locale: Locale) -> str:
    """What people of this language call the zone, or how far it is from UTC."""
    candidates = (get_timezone_name(local, width="short", locale=locale), local.tzname() or "")
    for name in candidates:
        if name.isalpha() and len(name) <= _LONGEST_ABBREVIATION:
            return name
    seconds = int((local.utcoffset() or timedelta()).total_seconds())
    hours, minutes = divmod(abs(seconds) // 60, 60)
    return f"UTC{'+' if seconds >= 0 else '-'}{hours:02}:{minutes:02}"
