"""Several names in one sentence, as the language joins them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from babel.lists import format_list

from adapters.drafters.times import babel_locale

_SOUNDS_LIKE_I = re.compile(r"[ií]|h[ií](?![ae])", re.IGNORECASE)


def enumerated(names: Sequence[str], locale: str) -> str:
    """The names one after the other, for a list that goes on with an "and"."""
    patterns = babel_locale(locale).list_patterns["standard"]
    between: str = patterns["middle"].replace("{0}", "").replace("{1}", "")
    # "A, B, and 3 more", but "A and 3 more".
    comma = "," if len(names) > 1 and patterns["end"].startswith("{0},") else ""
    return f"{between.join(names)}{comma}"


def listed(names: Sequence[str], locale: str) -> str:
    """The names as a list in words; empty for none."""
    return _listed(tuple(names), locale) if names else ""


@lru_cache(maxsize=1024)
def _listed(names: tuple[str, ...], locale: str) -> str:
    tongue, last = babel_locale(locale), names[-1]
    text: str = format_list(names, locale=tongue)
    if tongue.language == "es" and len(names) > 1 and _SOUNDS_LIKE_I.match(last):
        # "API e Integraciones": the rule of the language that Babel's patterns leave out.
        text = f"{text.removesuffix(f' y {last}')} e {last}"
    return text
