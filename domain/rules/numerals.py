"""Figures written as words, in the languages that have spaces, and as Japanese writes them.

A number is a row of small words: each language has its own, and how they are put together is the
same for all of them, so that "zweitausend", "dos mil" and "twenty-four hundred" are read alike.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

from domain.rules.lexicon import KEY, Reading

_EN = """two 2 three 3 four 4 five 5 six 6 seven 7 eight 8 nine 9 ten 10 eleven 11 twelve 12
 thirteen 13 fourteen 14 fifteen 15 sixteen 16 seventeen 17 eighteen 18 nineteen 19 twenty 20
 thirty 30 forty 40 fifty 50 sixty 60 seventy 70 eighty 80 ninety 90
 hundred 100 thousand 1000 million 1000000"""
_DE = """zwei 2 zwo 2 drei 3 vier 4 fünf 5 sechs 6 sieben 7 acht 8 neun 9 zehn 10 elf 11 zwölf 12
 sechzehn 16 siebzehn 17 zwanzig 20 dreißig 30 dreissig 30 vierzig 40 fünfzig 50 sechzig 60
 siebzig 70 achtzig 80 neunzig 90 hundert 100 tausend 1000 ein 1 eine 1"""
_FR = """deux 2 trois 3 quatre 4 cinq 5 six 6 sept 7 huit 8 neuf 9 dix 10 onze 11 douze 12 treize 13
 quatorze 14 quinze 15 seize 16 vingt 20 trente 30 quarante 40 cinquante 50 soixante 60 septante 70
 quatre-vingt 80 quatre-vingts 80 huitante 80 nonante 90 cent 100 cents 100 mille 1000 un 1 une 1"""
_ES = """dos 2 tres 3 cuatro 4 cinco 5 seis 6 siete 7 ocho 8 nueve 9 diez 10 once 11 doce 12
 trece 13 catorce 14 quince 15 dieciséis 16 diecisiete 17 dieciocho 18 diecinueve 19 veinte 20
 veintiún 21  veintiuno 21 veintiuna 21 veintidós 22 veintitrés 23 veinticuatro 24 veinticinco
 25 veintiséis 26  veintisiete 27 veintiocho 28 veintinueve 29 treinta 30 cuarenta 40 cincuenta
 50 sesenta 60  setenta 70 ochenta 80 noventa 90 cien 100 ciento 100 doscientos 200 doscientas
 200 trescientos 300  trescientas 300 cuatrocientos 400 cuatrocientas 400 quinientos 500
 quinientas 500 seiscientos 600  seiscientas 600 setecientos 700 setecientas 700 ochocientos 800
 ochocientas 800 novecientos 900  novecientas 900 mil 1000 un 1 una 1"""
_PT = """dois 2 duas 2 três 3 quatro 4 cinco 5 seis 6 sete 7 oito 8 nove 9 dez 10 onze 11 doze 12
 treze 13 catorze 14 quatorze 14 quinze 15 dezesseis 16 dezessete 17 dezoito 18 dezenove 19 vinte 20
 trinta 30 quarenta 40 cinquenta 50 sessenta 60 setenta 70 oitenta 80 noventa 90 cem 100 cento 100
 duzentos 200 duzentas 200 trezentos 300 trezentas 300 quatrocentos 400 quatrocentas 400
 quinhentos 500 quinhentas 500 seiscentos 600 seiscentas 600 setecentos 700 setecentas 700
 oitocentos 800 oitocentas 800 novecentos 900 novecentas 900 mil 1000 um 1 uma 1"""
_NL = """twee 2 drie 3 vier 4 vijf 5 zes 6 zeven 7 acht 8 negen 9 tien 10 elf 11 twaalf 12
 dertien 13 veertien 14 twintig 20 dertig 30 veertig 40 vijftig 50 zestig 60 zeventig 70 tachtig
 80  negentig 90 honderd 100 duizend 1000 een 1 één 1"""
_IT = """due 2 tre 3 tré 3 quattro 4 cinque 5 sei 6 sette 7 otto 8 nove 9 dieci 10 undici 11
 dodici 12 tredici 13 quattordici 14 quindici 15 sedici 16 diciassette 17 diciotto 18 diciannove
 19 venti 20  trenta 30 quaranta 40 cinquanta 50 sessanta 60 settanta 70 ottanta 80 novanta 90
 vent 20 trent 30  quarant 40 cinquant 50 sessant 60 settant 70 ottant 80 novant 90 cento 100
 mille 1000 mila 1000  uno 1"""


@dataclass(frozen=True)
class _Grammar:
    """Words and what they are worth, what may stand between them, and what ends none."""

    atoms: Mapping[str, int]
    between: str
    # Words that are numbers only together with others: "a hundred", "ein", and Italian "vent".
    never_alone: frozenset[str]


def _grammar(listed: str, between: str, never_alone: str = "") -> _Grammar:
    words = listed.split()
    atoms = {w: int(n) for w, n in zip(words[::2], words[1::2], strict=True)}
    return _Grammar(atoms, between, frozenset(never_alone.split()))


_GRAMMARS = {
    "en": _grammar(_EN, r"(?:[\s-]|\sand\s)"),
    "de": _grammar(_DE, r"(?:und)?", "ein eine"),
    "fr": _grammar(_FR, r"(?:[\s-]|[\s-]et[\s-])", "un une"),
    "es": _grammar(_ES, r"(?:\s|\sy\s)", "un una"),
    "pt-BR": _grammar(_PT, r"(?:\s|\se\s)", "um uma"),
    "nl": _grammar(_NL, r"(?:\s?(?:en|ën)\s?|\s)?", "een één"),
    "it": _grammar(_IT, r"", "uno vent trent quarant cinquant sessant settant ottant novant"),
}
# The "cent" of "pour cent" is no number of its own.
_PERCENT = re.compile(r"(?<!\w)p(?:er|or|our)\s?$")
_KANJI = {c: i for i, c in enumerate("〇一二三四五六七八九")}
_TENS = {"十": 10, "百": 100, "千": 1000, "万": 10_000}
KANJI = "〇一二三四五六七八九十百千万"


@dataclass(frozen=True)
class Said:
    """A number in words: where it stands in the folded text, and its value."""

    start: int
    end: int
    value: int


def said(reading: Reading, language: str) -> Iterator[Said]:
    """Every number in words from left to right, from 2 on."""
    grammar = _GRAMMARS.get(language)
    if grammar is None:
        return
    begins = _BEGINS[language]
    pattern, end = _pattern(language), 0
    for at in (at for at, word in reading.words if begins[word[:KEY]]):
        m = pattern.match(reading.folded, at) if at >= end else None
        if m is None or m[0] in grammar.never_alone or _PERCENT.search(reading.folded, 0, at):
            continue
        end = m.end()
        yield Said(at, end, _value(m[0], language))


def units(language: str, most: int = 12) -> dict[str, int]:
    """The words for the numbers from 2 up to a number."""
    grammar = _GRAMMARS.get(language)
    listed = grammar.atoms.items() if grammar is not None else ()
    return {w: n for w, n in listed if 1 < n <= most}


def kanji(text: str) -> int | None:
    """The value of a number in ideographs; None where it is none."""
    total = part = digit = 0
    for c in text:
        if c in _KANJI:
            digit = digit * 10 + _KANJI[c]
        elif c == "万":
            total += max(part + digit, 1) * 10_000
            part = digit = 0
        elif c in _TENS:
            part += max(digit, 1) * _TENS[c]
            digit = 0
        else:
            return None
    return total + part + digit


class _Begins(dict[str, bool]):
    """Whether a word with these first letters may be a number, remembered."""

    def __init__(self, atoms: Iterable[str]) -> None:
        super().__init__()
        self._atoms = tuple(atoms)

    def __missing__(self, key: str) -> bool:
        found = any(
            a.startswith(key) if len(key) < KEY else key.startswith(a[:KEY]) for a in self._atoms
        )
        if len(self) < _MOST:
            self[key] = found
        return found


# Letters of hostile texts are not remembered without end.
_MOST = 10_000
_BEGINS = {language: _Begins(grammar.atoms) for language, grammar in _GRAMMARS.items()}


@lru_cache(maxsize=16)
def _pattern(language: str) -> re.Pattern[str]:
    grammar = _GRAMMARS[language]
    atom = "(?:" + "|".join(map(re.escape, sorted(grammar.atoms, key=len)[::-1])) + ")"
    return re.compile(rf"{atom}(?:{grammar.between}{atom})*(?!\w)")


@lru_cache(maxsize=2048)
def _value(text: str, language: str) -> int:
    """Parts add up; hundreds, thousands and millions multiply what is before them."""
    grammar = _GRAMMARS[language]
    total = current = 0
    for m in _atom(language).finditer(text):
        worth = grammar.atoms[m[0]]
        if worth in (100, 1000, 1_000_000) and m[0] not in ("ciento", "cien", "cem"):
            current = max(current, 1) * worth
            if worth > 100:
                total, current = total + current, 0
        else:
            current += worth
    return total + current


@lru_cache(maxsize=16)
def _atom(language: str) -> re.Pattern[str]:
    atoms = _GRAMMARS[language].atoms
    return re.compile("|".join(map(re.escape, sorted(atoms, key=len)[::-1])))
