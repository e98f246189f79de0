"""Dates as people write them in eight languages, read back to compare them with the facts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, tzinfo

_MONTHS = (
    "january jan januar janvier janv enero ene janeiro januari gennaio gen jänner",
    "february feb februar février févr fév febrero fevereiro fev februari febbraio",
    "march mar märz mär mrz mars marzo março maart mrt",
    "april apr avril avr abril abr aprile",
    "may mai mayo maio mei maggio mag",
    "june jun juni juin junio junho giugno giu",
    "july jul juli juil juillet julio julho luglio lug",
    "august aug août agosto ago augustus",
    "september sept sep septembre septiembre setembro set settembre",
    "october oct oktober okt octobre octubre outubro out ottobre ott",
    "november nov novembre noviembre novembro",
    "december dec dezember dez décembre déc diciembre dic dezembro dicembre",
)
_NUMBER_OF = {name: i for i, names in enumerate(_MONTHS, 1) for name in names.split()}
_NAMES = "|".join(sorted(_NUMBER_OF, key=len, reverse=True))
_DATE = re.compile(
    r"(?:(?P<yj>\d{4})年(?:(?P<mj>\d{1,2})月(?:(?P<dj>\d{1,2})日)?)?"
    r"|(?P<mk>\d{1,2})月(?P<dk>\d{1,2})日|(?<![\d.,月])(?P<dl>\d{1,2})日(?!間|以内|前|後|連続)"
    r"|(?<!\d)(?P<iso>\d{4}-\d{2}-\d{2})(?=T|\D|$)"
    r"|(?<![\d.])(?P<d1>\d{1,2})(?:st|nd|rd|th|er|º|°|\.)?\s(?:of\s|de\s)?"
    rf"(?P<n1>{_NAMES})\.?(?!\w)(?:,?\s(?:de\s|del\s)?(?P<y1>\d{{4}}))?"
    rf"|(?<!\w)(?P<n2>{_NAMES})\.?\s(?P<d2>\d{{1,2}})(?:st|nd|rd|th)?(?![\d:])"
    r"(?:,?\s(?P<y2>\d{4}))?"
    r"|(?<![\d.])(?P<d3>\d{1,2})\.(?P<m3>\d{1,2})\.(?P<y3>\d{4}|\d{2})?(?!\d|\.\d)"
    r"|(?<![\d/])(?P<d4>\d{1,2})/(?P<m4>\d{1,2})(?:/(?P<y4>\d{4}|\d{2}))?(?![\d/])"
    r"|(?<![\d-])(?P<d5>\d{1,2})-(?P<m5>\d{1,2})-(?P<y5>\d{4})(?![\d-]))",
    re.IGNORECASE,
)


_START = re.compile(r"\d+|[^\W\d_]+")
_FIGURE = re.compile(r"\d+")


@dataclass(frozen=True)
class WrittenDate:
    """A date in a text; parts may be missing, and day and month may be told both ways."""

    start: int
    end: int
    text: str
    readings: tuple[tuple[int | None, int | None, int | None], ...]

    def matches(self, at: datetime, zones: Iterable[tzinfo]) -> bool:
        """Whether it is the date of the instant in one of the zones."""
        days = {at.astimezone(zone).date() for zone in zones}
        return any(_same(reading, day) for reading in self.readings for day in days)


def dates(text: str, words: Iterable[str]) -> Iterator[WrittenDate]:
    """Every date written in a text; `words` are its words in small letters."""
    for m in _written(text, not _NUMBER_OF.keys().isdisjoint(words)):
        readings = _readings({k: v for k, v in m.groupdict().items() if v is not None})
        if all(1 <= (month or 1) <= 12 and 1 <= (day or 1) <= 31 for _, month, day in readings[:1]):
            yield WrittenDate(m.start(), m.end(), m[0].strip(), tuple(readings))


def _written(text: str, named: bool) -> Iterator[re.Match[str]]:
    """Every form begins with a figure or the name of a month: only there it is tried."""
    end = 0
    for start in (_START if named else _FIGURE).finditer(text):
        if start.start() < end or not (start[0][0].isdigit() or start[0].lower() in _NUMBER_OF):
            continue
        m = _DATE.match(text, start.start())
        if m is not None:
            end = m.end()
            yield m


def _readings(g: dict[str, str]) -> Sequence[tuple[int | None, int | None, int | None]]:
    if "yj" in g:
        return [(int(g["yj"]), _whole(g.get("mj")), _whole(g.get("dj")))]
    if "mk" in g:
        return [(None, int(g["mk"]), int(g["dk"]))]
    if "dl" in g:
        return [(None, None, int(g["dl"]))]
    if "iso" in g:
        year, month, day = (int(x) for x in g["iso"].split("-"))
        return [(year, month, day)]
    for i in ("1", "2"):
        if f"n{i}" in g:
            return [(_year(g.get(f"y{i}")), _NUMBER_OF[g[f"n{i}"].lower()], int(g[f"d{i}"]))]
    i = next(i for i in ("3", "4", "5") if f"d{i}" in g)
    year4, day, month = _year(g.get(f"y{i}")), int(g[f"d{i}"]), int(g[f"m{i}"])
    if i != "4":
        return [(year4, month, day)]
    # 11/21 and 21/11: who writes a slash may mean either.
    return [(year4, month, day), (year4, day, month)][:: 1 if month <= 12 else -1]


def _whole(text: str | None) -> int | None:
    return None if text is None else int(text)


def _year(text: str | None) -> int | None:
    return None if text is None else int(text) + (2000 if len(text) == 2 else 0)


def _same(reading: tuple[int | None, int | None, int | None], day: date) -> bool:
    shown = (day.year, day.month, day.day)
    return all(said is None or said == real for said, real in zip(reading, shown, strict=True))
