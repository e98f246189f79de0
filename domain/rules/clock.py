"""Times of day as people write them, read back to compare them with the facts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

_HOURS = {
    "UTC": 0, "GMT": 0, "Z": 0, "WET": 0, "WEZ": 0, "TU": 0, "BST": 1, "WEST": 1, "CET": 1,
    "MEZ": 1, "HNEC": 1, "CEST": 2, "MESZ": 2, "HAEC": 2, "EET": 2, "EEST": 3, "MSK": 3,
    "IST": 5.5, "SGT": 8, "HKT": 8, "JST": 9, "KST": 9, "AEST": 10, "AEDT": 11, "NZDT": 13,
    "NZST": 12, "EST": -5, "EDT": -4, "CST": -6, "CDT": -5, "MST": -7, "MDT": -6, "PST": -8,
    "PDT": -7, "BRT": -3, "ART": -3,
}  # fmt: skip
# Names that mean one zone in winter and another in summer; any of them is a fair reading.
_EITHER = {"ET": (-5, -4), "CT": (-6, -5), "MT": (-7, -6), "PT": (-8, -7), "MEZ/MESZ": (1, 2)}
_NAMES = "|".join(sorted((*_HOURS, *_EITHER), key=len, reverse=True))
_ZONE = (
    rf"(?P<zone>(?:UTC|GMT)\s?[+\u2212-]\d{{1,2}}(?::?\d{{2}})?|{_NAMES}"
    r"|[+-]\d{2}:?\d{2})(?![\w/])"
)
_EDGE = r"(?:(?<=\dT)|(?<![0-9A-Za-zÀ-ÿ.:,+\u2212-]))(?<![0-9]\s[:.])"
_ASIDE = r"[\s\u00a0\u202f]?"
_HALF = rf"(?P<half{{0}}>[ap])\.?{_ASIDE}m(?![a-z])\.?"
_BEFORE = (
    r"(?<=\bum )|(?<=\bab )|(?<=\bbis )|(?<=\bvon )|(?<=\bgegen )|(?<=\balle )|(?<=\bdalle )"
    r"|(?<=\ble )|(?<=\bore )|(?<=\bom )|(?<=\bvan )|(?<=\btot )|(?<=\bvanaf )|(?<=\brond )"
    r"|(?<=\bsinds )|(?<=\btussen )|(?<=\bzwischen )|(?<=\bentre )|(?<=\bseit )"
    r"|(?<=\bat )|(?<=\bàs )|(?<=\bas )|(?<=\blas )|(?<=\bà )"
)
_DUTCH = (
    r"(?<=\bom )|(?<=\btot )|(?<=\bvanaf )|(?<=\brond )|(?<=\bsinds )|(?<=\bvoor )"
    r"|(?<=\btegen )|(?<=\bomstreeks )|(?<=\buiterlijk )|(?<=\d en )|(?<=\d tot )"
)
_ROMANCE = (
    r"(?<=[àÀsáé] )|(?<=\bentre )|(?<=\bet )|(?<=\bde )|(?<=\bvers )|(?<=\bdès )|(?<=\bavant )"
    r"|(?<=\bdas )|(?<=\bas )|(?<=\be )|(?<=\buntil )|(?<=\bà partir de )|(?<=: )|(?<=\()"
)
# An hour alone, where what stands before it can only mean a time.
_FULL = (
    r"(?<=\balle )|(?<=\bdalle )|(?<=\bore )|(?<=per le )|(?<=entro le )|(?<=verso le )"
    r"|(?<=a las )|(?<=hacia las )|(?<=desde las )|(?<=\bàs )|(?<=das )"
)
_CLOCK = re.compile(
    rf"(?:(?P<noon>午前|午後)\s?(?P<hj>\d{{1,2}})(?:時(?!間)(?:(?P<mj>\d{{1,2}})分|(?P<halfj>半))?"
    r"|:(?P<mk>\d{2}))"
    rf"|(?<![\d.:,+])(?P<hn>[01]?\d|2[0-4])時(?!間)(?:(?P<mn>[0-5]?\d)分|(?P<halfn>半))?"
    rf"|{_EDGE}(?P<h>[01]?\d|2[0-4])(?P<colon>[:\uff1a])(?P<m>[0-5]\d)(?:(?P=colon)[0-5]\d(?:\.\d+)?)?(?![\d:])"
    rf"(?:{_ASIDE}{_HALF.format('')})?"
    rf"|{_EDGE}(?P<h12>1[0-2]|0?[1-9])(?:\.(?P<m12>[0-5]\d))?{_ASIDE}{_HALF.format('12')}"
    rf"|{_EDGE}(?P<hh>[01]?\d|2[0-4]){_ASIDE}[hH]{_ASIDE}(?P<mh>[0-5]\d)(?!\d|{_ASIDE}m)"
    rf"|{_EDGE}(?P<h24>[01]?\d|2[0-4])(?:\.(?P<m24>[0-5]\d))?{_ASIDE}(?=Uhr\b)"
    # Dutch says "3 uur" of a length as well: what stands before tells the two apart.
    rf"|{_EDGE}(?P<hu>[01]?\d|2[0-4])\.(?P<mu>[0-5]\d){_ASIDE}(?=uur\b)"
    rf"|(?:{_DUTCH})(?P<hv>[01]?\d|2[0-4]){_ASIDE}(?=uur\b)"
    rf"|(?:{_BEFORE})(?P<hd>[01]?\d|2[0-4])\.(?P<md>[0-5]\d)(?!\d|[.,]\d|{_ASIDE}%)"
    rf"|{_EDGE}(?P<hz>[01]?\d|2[0-4])(?:\.(?P<mz>[0-5]\d)|{_ASIDE}h)?{_ASIDE}"
    r"(?=h?[\s\uff08(]{0,2}(?:UTC|GMT|MEZ|CET|JST|BRT)\b)"
    rf"|{_EDGE}(?P<hq>[01]?\d|2[0-4])\.(?P<mq>[0-5]\d)(?!\d|[.,]\d|{_ASIDE}%)"
    rf"|(?:{_ROMANCE})(?P<hp>[01]?\d|2[0-4]){_ASIDE}h(?!\w|{_ASIDE}\d)"
    rf"|(?:{_FULL})(?P<hf>[01]?\d|2[0-4])(?=\s?(?:[.,;:()/\n]|$|ora\b|hora\b|horas\b|UTC|CET|BRT)))",
    re.IGNORECASE,
)
_START = re.compile(r"\d+|午[前後]")
# A zone with figures after it belongs to the time that they tell.
_NEXT_TIME = r"(?!\s?(?:\d{1,2}\s?[:\uff1a.h時]|午[前後]))"
_TAIL = re.compile(
    r"[\s\u00a0\u202f]?(?:(?:Uhr|uur|horas|heures|hours|hrs|h|u)\b\.?)?(?:頃|ごろ)?"
    r"[\s\u00a0\u202f]?[,(\uff08]?\s?" + _ZONE + _NEXT_TIME,
    re.IGNORECASE,
)
_HOURS_LONG = re.compile(r"\s?(?:h|hrs?|hours|Std|Stunden|horas|heures|ore|uur)\b\.?")
_NEAR = 28
# "Around 1 pm" for 13:05: people round to a full hour or to five minutes.
_ROUGHLY = 5


@dataclass(frozen=True)
class TimeOfDay:
    """A time of day in a text; `zones` is empty where none is written beside it.

    `span` is the minutes it would be if it told a length, as "2h42" may in French.
    """

    start: int
    end: int
    text: str
    hour: int
    minute: int
    zones: tuple[tzinfo, ...] = ()
    span: int | None = None

    def matches(self, at: datetime, zones: Iterable[tzinfo]) -> bool:
        """Whether it names the instant in its own zone, or else in one of `zones`."""
        shown = (at.astimezone(z) for z in self.zones or zones)
        return any((self.hour % 24, self.minute) == (t.hour, t.minute) for t in shown)

    def is_near(self, at: datetime, zones: Iterable[tzinfo]) -> bool:
        """Whether it is the instant as people round it, before or after."""
        shown = (at.astimezone(z) for z in self.zones or zones)
        apart = (abs((t.hour - self.hour % 24) * 60 + t.minute - self.minute) for t in shown)
        return any(min(a, 1440 - a) <= _ROUGHLY for a in apart)


def times_of_day(text: str, places: Mapping[str, str] | None = None) -> tuple[TimeOfDay, ...]:
    """Every time of day written in a text; `places` are words that name a zone."""
    read = ((m["hq"], _read(m, text, places or {})) for m in _clocks(text))
    # "10.40" alone may be any figure; with a zone beside it, it is a time.
    found = [t for dotted, t in read if not dotted or t.zones]
    for i in range(len(found) - 2, -1, -1):
        # "from 13:05 to 15:47 CET": the zone stands once, for both.
        if not found[i].zones and found[i + 1].start - found[i].end < _NEAR:
            between = text[found[i].end : found[i + 1].start]
            # "15:30 (14:30 UTC)" and "15:30 / 14:30 UTC" tell one time twice.
            if not re.search(r"[.!?\n。(\uff08/=]", between):
                found[i] = replace(found[i], zones=found[i + 1].zones)
    return tuple(found)


def _clocks(text: str) -> Iterator[re.Match[str]]:
    """Every form begins with a figure or with the half of the day: only there it is tried."""
    end = 0
    for start in _START.finditer(text):
        m = _CLOCK.match(text, start.start()) if start.start() >= end else None
        if m is not None:
            end = m.end()
            yield m


@lru_cache(maxsize=256)
def named_zone(name: str) -> tzinfo:
    """The named zone; UTC where there is none of that name."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return UTC


def _read(m: re.Match[str], text: str, places: Mapping[str, str]) -> TimeOfDay:
    g = m.groupdict()
    hour = int(
        next(
            g[k]
            for k in ("hj", "hn", "h", "h12", "hh", "h24", "hu", "hv", "hd", "hz", "hp", "hf", "hq")
            if g[k]
        )
    )
    minutes = (
        g[k] for k in ("mj", "mk", "mn", "m", "m12", "mh", "m24", "mu", "md", "mz", "mq") if g[k]
    )
    minute = int(next(minutes, 30 if g["halfj"] or g["halfn"] else 0))
    half = (g["half"] or g["half12"] or "").lower()
    if half:
        hour = hour % 12 + (12 if half == "p" else 0)
    elif g["noon"] and hour <= 12:
        hour = hour % 12 + (12 if g["noon"] == "午後" else 0)
    start, end, zones = _zones(m, text, places)
    written = g["hh"] or g["hp"] or g["hz"] or g["hv"] or _HOURS_LONG.match(text, m.end())
    span = hour * 60 + minute if written else None
    return TimeOfDay(start, end, m[0].strip(), hour, minute, zones, span)


def _zones(
    m: re.Match[str], text: str, places: Mapping[str, str]
) -> tuple[int, int, tuple[tzinfo, ...]]:
    """Where a time ends with the zone beside it, and that zone."""
    tail = _TAIL.match(text, m.end())
    if tail is not None:
        return m.start(), tail.end(), _zone(tail["zone"])
    pattern = _places(tuple(places))
    if pattern is None:
        return m.start(), m.end(), ()
    after = pattern.search(text, m.end(), m.end() + _NEAR)
    if (
        after is not None
        and not re.search(r"[\d.!?\n]", text[m.end() : after.start()])
        and re.match(_NEXT_TIME, text[after.end() :])
    ):
        return m.start(), after.end(), (named_zone(places[after[0].lower()]),)
    before = list(pattern.finditer(text, max(0, m.start() - _NEAR), m.start()))
    if before and not re.search(r"[.!?\n。]|時(?!間)", text[before[-1].end() : m.start()]):
        near = before[-1]
        return near.start(), m.end(), (named_zone(places[near[0].lower()]),)
    return m.start(), m.end(), ()


@lru_cache(maxsize=8)
def _places(names: tuple[str, ...]) -> re.Pattern[str] | None:
    listed = sorted(names, key=len, reverse=True)
    return re.compile("|".join(map(re.escape, listed)), re.IGNORECASE) if listed else None


def _zone(written: str) -> tuple[tzinfo, ...]:
    name = re.sub(r"\s", "", written.upper()).replace("\u2212", "-")
    if name in _HOURS:
        return (timezone(timedelta(hours=_HOURS[name])),)
    if name in _EITHER:
        return tuple(timezone(timedelta(hours=h)) for h in _EITHER[name])
    m = re.fullmatch(r"(?:UTC|GMT)?([+-])(\d{1,2}):?(\d{2})?", name)
    if m is None:
        return (UTC,)
    shift = timedelta(hours=int(m[2]), minutes=int(m[3] or 0))
    if shift >= timedelta(hours=24):
        return (UTC,)
    return (timezone(-shift if m[1] == "-" else shift),)
