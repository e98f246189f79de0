"""Times and dates as people write them, read back to compare them with the facts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

_HOURS = {
    "UTC": 0, "GMT": 0, "Z": 0, "WET": 0, "WEZ": 0, "BST": 1, "CET": 1, "MEZ": 1, "CEST": 2,
    "MESZ": 2, "EET": 2, "EEST": 3, "MSK": 3, "IST": 5.5, "SGT": 8, "JST": 9, "AEST": 10,
    "AEDT": 11, "EST": -5, "EDT": -4, "CST": -6, "CDT": -5, "MST": -7, "MDT": -6, "PST": -8,
    "PDT": -7, "BRT": -3,
}  # fmt: skip
_NAMES = "|".join(sorted(_HOURS, key=len, reverse=True))
_ZONE = rf"(?P<zone>(?:UTC|GMT)\s?[+-]\d{{1,2}}(?::?\d{{2}})?|{_NAMES}|[+-]\d{{2}}:\d{{2}})"
_CLOCK = re.compile(
    rf"(?<![\d.:,])(?P<h>[01]?\d|2[0-4]):(?P<m>[0-5]\d)(?::[0-5]\d(?:\.\d+)?)?(?![\d:])"
    rf"(?:\s?(?P<half>[ap])\.?m\b\.?)?(?:\s?(?:Uhr|h)\b)?(?:\s?{_ZONE}(?!\w))?"
    rf"|(?<![\d.:,])(?P<h12>1[0-2]|0?[1-9])\s?(?P<half12>[ap])\.?m\b\.?(?:\s?(?P<zone12>{_NAMES})\b)?"
    r"|(?<![\d.:,])(?P<h24>[01]?\d|2[0-4])(?:\.(?P<m24>[0-5]\d))?\sUhr\b"
    rf"(?:\s(?P<zone24>{_NAMES})\b)?",
    re.IGNORECASE,
)
_MONTHS = (
    ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"),
    ("jan", "feb", "mär", "apr", "mai", "jun", "jul", "aug", "sep", "okt", "nov", "dez"),
)
_MONTH = (
    r"(?P<month{0}>jan(?:uary|uar)?|feb(?:ruary|ruar)?|mar(?:ch)?|märz|mär|apr(?:il)?|may|mai|"
    r"june?|juni?|july?|juli?|aug(?:ust)?|sept?(?:ember)?|o[ck]t(?:ober)?|nov(?:ember)?|"
    r"de[cz](?:ember)?)\.?(?!\w)"
)
_DATE = re.compile(
    r"(?<!\d)(?P<iso>\d{4}-\d{2}-\d{2})(?=T|\D|$)"
    r"|(?<![\d.])(?P<d1>\d{1,2})(?:st|nd|rd|th|\.)?\s(?:of\s)?" + _MONTH.format("1")
    + r"(?:,?\s(?P<y1>\d{4}))?"
    r"|(?<!\w)" + _MONTH.format("2")
    + r"\s(?P<d2>\d{1,2})(?:st|nd|rd|th)?(?![\d:])(?:,?\s(?P<y2>\d{4}))?"
    r"|(?<![\d.])(?P<d3>\d{1,2})\.(?P<m3>\d{1,2})\.(?P<y3>\d{4}|\d{2})?(?!\d|\.\d)"
    r"|(?<![\d/])(?P<m4>\d{1,2})/(?P<d4>\d{1,2})/(?P<y4>\d{4}|\d{2})(?![\d/])",
    re.IGNORECASE,
)  # fmt: skip


@dataclass(frozen=True)
class TimeOfDay:
    """A time of day in a text; `zone` is None where none is written beside it."""

    start: int
    end: int
    text: str
    hour: int
    minute: int
    zone: tzinfo | None

    def matches(self, at: datetime, zones: Iterable[tzinfo]) -> bool:
        """Whether it names the instant in its own zone, or else in one of `zones`."""
        candidates = (self.zone,) if self.zone else zones
        shown = ((at.astimezone(z).hour, at.astimezone(z).minute) for z in candidates)
        return (self.hour % 24, self.minute) in shown


@dataclass(frozen=True)
class WrittenDate:
    """A date in a text; the year may be missing, and day and month may be told both ways."""

    start: int
    end: int
    text: str
    readings: tuple[tuple[int | None, int, int], ...]

    def matches(self, at: datetime) -> bool:
        """Whether it is the date of the instant somewhere on earth."""
        days = {(at.astimezone(UTC) + timedelta(hours=h)).date() for h in (-12, 0, 14)}
        return any(_same(reading, day) for reading in self.readings for day in days)


def times_of_day(text: str) -> Iterator[TimeOfDay]:
    """Every time of day written in a text."""
    for m in _CLOCK.finditer(text):
        g = m.groupdict()
        hour = int(g["h"] or g["h12"] or g["h24"])
        half = (g["half"] or g["half12"] or "").lower()
        if half:
            hour = hour % 12 + (12 if half == "p" else 0)
        minute = int(g["m"] or g["m24"] or 0)
        written = g["zone"] or g["zone12"] or g["zone24"]
        yield TimeOfDay(
            m.start(), m.end(), m[0].strip(), hour, minute, _zone(written) if written else None
        )


def dates(text: str) -> Iterator[WrittenDate]:
    """Every date written in a text."""
    for m in _DATE.finditer(text):
        g = m.groupdict()
        readings: list[tuple[int | None, int, int]]
        if g["iso"]:
            year, month, day = (int(x) for x in g["iso"].split("-"))
            readings = [(year, month, day)]
        elif g["d1"] or g["d2"]:
            month = _month(g["month1"] or g["month2"])
            readings = [(_year(g["y1"] or g["y2"]), month, int(g["d1"] or g["d2"]))]
        elif g["d3"]:
            readings = [(_year(g["y3"]), int(g["m3"]), int(g["d3"]))]
        else:
            year4, month, day = _year(g["y4"]), int(g["m4"]), int(g["d4"])
            readings = [(year4, month, day), (year4, day, month)]
        yield WrittenDate(m.start(), m.end(), m[0].strip(), tuple(readings))


def named_zone(name: str) -> tzinfo:
    """The named zone; UTC where there is none of that name."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return UTC


def _zone(written: str) -> tzinfo:
    name = written.upper().replace(" ", "")
    if name in _HOURS:
        return timezone(timedelta(hours=_HOURS[name]))
    m = re.fullmatch(r"(?:UTC|GMT)?([+-])(\d{1,2}):?(\d{2})?", name)
    if m is None:
        return UTC
    shift = timedelta(hours=int(m[2]), minutes=int(m[3] or 0))
    if shift >= timedelta(hours=24):
        return UTC
    return timezone(-shift if m[1] == "-" else shift)


def _month(name: str) -> int:
    short = name.lower()[:3]
    return next(names.index(short) + 1 for names in _MONTHS if short in names)


def _year(text: str | None) -> int | None:
    return None if text is None else int(text) + (2000 if len(text) == 2 else 0)


def _same(reading: tuple[int | None, int, int], day: date) -> bool:
    year, month, of_month = reading
    return (year is None or year == day.year) and (month, of_month) == (day.month, day.day)
