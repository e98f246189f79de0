"""Times of day in words: "half past two", "halb drei", "trois heures et quart", 二時半."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from functools import lru_cache

from domain.rules.numerals import KANJI, kanji, units

# How far a time in words may be from the instant: nobody says "fourteen twenty-eight" so.
_ROUGHLY, _SHORTLY = 5, 12


@dataclass(frozen=True)
class Spoken:
    """A time of day in words; which half of the day is left open."""

    start: int
    end: int
    minutes: int
    utc: bool
    rough: bool

    def matches(self, at: datetime, zones: Iterable[tzinfo], *, exact: bool) -> bool:
        """Whether it may mean the instant in one of the zones; `exact` allows no rounding."""
        shown = (at.astimezone(zone) for zone in ((UTC,) if self.utc else zones))
        most = 0 if exact else _SHORTLY if self.rough else _ROUGHLY
        apart = (abs(t.hour * 60 + t.minute - self.minutes) % 720 for t in shown)
        return any(min(a, 720 - a) <= most for a in apart)


# What an hour, or a part of one, cannot be followed by: then it counts something.
_END = r"(?=\s*(?:[.,;:!?)\u2013-]|$|{}))"
_PARTS = {
    "quarter": 15, "half": 30, "viertel": 15, "cuarto": 15, "media": 30, "quart": 15,
    "le quart": 15, "demie": 30, "demi": 30, "meia": 30, "quinze": 15, "un quarto": 15, "mezza": 30,
    "mezzo": 30, "tre quarti": 45, "kwart": 15, "halb": 30, "dreiviertel": 15,
    "fünfzehn": 15, "dreißig": 30, "fünfundvierzig": 45, "trente": 30, "quarante-cinq": 45,
    "thirty": 30, "fifteen": 15, "forty-five": 45, "twenty": 20, "ten": 10,
}  # fmt: skip
# By language: `h` is the hour, `p` what is added and `m` what is taken away. `H` and `M` stand for
# hours and minutes in words, and `END(…)` for an end or what may follow.
_FORMS: dict[str, tuple[str, ...]] = {
    "en": (
        r"(?P<p>half) (?:past )?(?P<h>H)(?! of| the| a| our| an)",
        r"(?:(?:a )?(?P<p>quarter)|(?P<p>M)(?: minutes)?) past (?P<h>H|noon|midnight)",
        r"(?:(?:a )?(?P<m>quarter)|(?P<m>M)(?: minutes)) (?:to|before|till) (?P<h>H|noon|midnight)",
        r"(?:at|around|about|since|by|until|from|after|before) (?P<m>M) to "
        r"(?P<h>H|noon|midnight)END(?:utc|this|in|on|and)",
        r"(?:at|around|about|since|by|until|from|after|before) (?P<h>H) "
        r"(?P<p>thirty|fifteen|forty-five|twenty|ten)END(?:utc|this|in|on|and)",
        r"(?P<h>H) o'clock",
        r"(?P<h>H) in the (?:morning|afternoon|evening)",
        r"(?:at|around|about|since|by|until|till|to|from|after|before) (?:about |around )?"
        r"(?P<h>noon|midday|midnight)(?!\w)",
    ),
    "de": (
        r"(?P<m>halb) (?P<h>H)(?! (?:so|mal))",
        r"(?P<m>dreiviertel) (?P<h>H)",
        r"(?P<p>viertel) nach (?P<h>H)",
        r"(?P<m>viertel) vor (?P<h>H)",
        r"(?P<p>M)(?: minuten)? nach (?P<h>H)END(?:uhr|utc|und|am|in|wieder)",
        r"(?P<m>M)(?: minuten)? vor (?P<h>H)END(?:uhr|utc|und|am|in|wieder)",
        r"(?:um|seit|gegen|ab|bis|nach|vor) (?P<h>mitternacht)",
        r"(?:(?<=kurz nach )|(?<=kurz vor )|(?<=gegen ))(?P<h>H)"
        r"END(?:uhr|utc|und|am|in|wieder|heute|morgens|nachts)",
        r"(?P<h>H) uhr(?: (?P<p>M|fünfzehn|dreißig|fünfundvierzig))?",
    ),
    "fr": (
        r"(?P<h>H) heures? (?:et (?P<p>quart|demie?)|moins (?P<m>le quart|M)|"
        r"(?P<p>M|quinze|trente|quarante-cinq))END(?:utc|du|et|ce|hier)",
        r"(?:à|vers|dès|avant|jusqu'à) "
        r"(?P<h>H) heures?(?= (?:du|utc|précises|ce|et)|\s*(?:[.,;:)]|$))",
        r"(?<!-)(?P<h>midi|minuit) (?:et (?P<p>quart|demie?)|moins (?P<m>le quart|M))",
        r"(?:à|vers|dès|avant|depuis|jusqu'à|de|après) (?P<h>midi|minuit)(?!\w|-)",
    ),
    "es": (
        r"las? (?P<h>H|una) (?:y (?P<p>cuarto|media|M)|menos (?P<m>cuarto|M)|en punto)(?!\w)",
        r"(?:a|desde|hasta|hacia|sobre|entre|de|antes de|después de) las? (?P<h>H|una)"
        r"END(?:de la|del|utc|hora|y las|a las|hasta)",
        r"(?:al?|desde|desde el|hasta|hasta el|hacia el|antes del?|después del?) "
        r"(?P<h>mediodía|medianoche)",
        r"(?:a|desde|hasta|antes de) la (?P<h>medianoche)",
    ),
    "pt-BR": (
        r"(?:às?|as|das|pelas) (?P<h>H|uma)(?: horas?)? e (?P<p>meia|quinze|M)(?!\w)",
        r"(?P<m>quinze|M) para (?:às|as|a|o|à) (?P<h>H|uma|meio-dia|meia-noite)(?!\w)",
        r"(?:às|até as|das|pelas|por volta das) (?P<h>H)(?: horas)?END(?:da|utc|em ponto|às|e as)",
        r"(?:ao|até o|desde o|do|o) (?P<h>meio-dia)(?: e (?P<p>meia|quinze))?",
        r"(?:à|até a|desde a|da|a) (?P<h>meia-noite)(?: e (?P<p>meia|quinze))?",
    ),
    "nl": (
        r"(?P<p>kwart) over (?P<h>H)",
        r"(?P<m>kwart) voor (?P<h>H)",
        r"(?P<p>M)(?: minuten)? over (?P<m>half )?(?P<h>H)"
        r"END(?:uur|utc|en|in|vanmiddag|vanochtend)",
        r"(?P<m>M)(?: minuten)? voor (?P<p>half )?(?P<h>H)"
        r"END(?:uur|utc|en|in|ging|was|vanmiddag|vanochtend)",
        r"(?P<m>half) (?P<h>H)(?! keer)",
        r"(?:om|rond|omstreeks|tegen|vanaf|uiterlijk|tot) (?P<h>H) uur(?! of)",
        r"(?:om|rond|omstreeks|tegen|vanaf|sinds|tot|voor) (?P<h>middernacht)",
    ),
    "it": (
        r"(?:all'|dall'|l'|dell')(?P<h>una) (?:e (?P<p>mezz[ao]|un quarto)|meno (?P<m>un quarto))",
        r"(?:alle|dalle|le|delle) (?P<h>H) (?:e (?P<p>mezz[ao]|un quarto|tre quarti|M)|"
        r"meno (?P<m>un quarto|M)|in punto)(?!\w)",
        r"(?:alle|dalle|verso le|entro le|intorno alle|dopo le|prima delle) (?P<h>H)"
        r"END(?:di|del|della|utc|ora|e le|alle)",
        r"(?:a|da|verso|entro|fino a|prima di|dopo) (?P<h>mezzogiorno|mezzanotte)(?: e "
        r"(?P<p>mezz[ao]|un quarto))?",
    ),
}  # fmt: skip
_ONE = {"one": 1, "eins": 1, "een": 1, "één": 1, "una": 1, "uma": 1}
# A text without one of these, or a number in words, has no time in words.
_HINTS = (
    "noon", "midday", "midnight", "mitternacht", "midi", "minuit", "mediodía", "medianoche",
    "meio-dia", "meia-noite", "middernacht", "mezzogiorno", "mezzanotte", "half", "quarter",
    "viertel", "kwart", "eins", "la una", "l'una", "ll'una", "e meia",
)  # fmt: skip
_NEAR = re.compile(
    r"(?<!\w)(?:shortly|just|soon|kurz|peu|poco|pouco|kort) "
    r"(?:after|before|past|nach|vor|après|avant|después|antes|depois|dopo|prima|na|voor)(?!\w)"
)
_UTC = re.compile(r"\s?[,(]?\s?(?:uhr |uur |horas? |ora )?utc")
_JAPANESE = re.compile(
    rf"(?P<h>[{KANJI}]{{1,3}})時(?!間|的|停|期|点|代|々|短|休|差|価|系|折)(?:(?P<p>半)|(?P<n>[{KANJI}]{{1,3}})分)?"
    r"|(?P<noon>正午)"
)


def spoken(folded: str, language: str, counted: bool = True) -> Iterator[Spoken]:
    """Every time of day in words; `counted` says whether there are numbers in words at all."""
    if language == "ja":
        yield from _japanese(folded)
        return
    if language not in _FORMS or not (counted or any(hint in folded for hint in _HINTS)):
        return
    taken: list[tuple[int, int]] = []
    for pattern in _patterns(language):
        for m in pattern.finditer(folded):
            if any(m.start() < e and s < m.end() for s, e in taken):
                continue
            taken.append(m.span())
            yield _read(m, folded, language)


def _japanese(text: str) -> Iterator[Spoken]:
    for m in _JAPANESE.finditer(text):
        hour = 12 if m["noon"] else kanji(m["h"])
        minute = 30 if m["p"] else kanji(m["n"]) if m["n"] else 0
        if hour is not None and minute is not None and hour <= 24 and minute < 60:
            utc = text.startswith("utc", m.end()) or text.startswith("(utc", m.end())
            yield Spoken(m.start(), m.end(), (hour * 60 + minute) % 720, utc, False)


def _read(m: re.Match[str], folded: str, language: str) -> Spoken:
    at = 0
    for name, written in m.groupdict().items():
        if written is None:
            continue
        if name[0] == "h":
            at += 60 * (_ONE | units(language)).get(written, 12)
        elif written.strip() == "half" and language == "nl":
            # "Half drie" is half an hour before three, also in "tien over half drie".
            at -= 30
        else:
            part = _PARTS.get(written) or units(language, 59).get(written, 0)
            at += part if name[0] == "p" else -part
    near = _NEAR.search(folded, max(0, m.start() - 24), m.end()) is not None
    return Spoken(m.start(), m.end(), at % 720, _UTC.match(folded, m.end()) is not None, near)


@lru_cache(maxsize=16)
def _patterns(language: str) -> tuple[re.Pattern[str], ...]:
    one = {"en": ["one"], "de": ["eins"], "nl": ["één", "een"]}.get(language, [])
    hours = "|".join(sorted([*units(language), *one], key=len)[::-1])
    minutes = "|".join(sorted((w for w, n in units(language, 29).items() if n > 2), key=len)[::-1])
    return tuple(_pattern(form, f"(?:{hours})", f"(?:{minutes})") for form in _FORMS[language])


def _pattern(form: str, hours: str, minutes: str) -> re.Pattern[str]:
    out = re.sub(r"END\(\?:(.*?)\)", lambda m: _END.format(rf"\s(?:{m[1]})(?!\w)"), form)
    out = re.sub(r"(?<![\w?])H(?!\w)", hours, out)
    out = re.sub(r"(?<![\w?])M(?!\w)", minutes, out)
    # A name may stand for one group only.
    count = itertools.count()
    out = re.sub(r"\(\?P<(\w)>", lambda m: f"(?P<{m[1]}{next(count)}>", out)
    return re.compile(rf"(?<![\w'-]){out}(?!\w)".replace(" ", r"\s"))
