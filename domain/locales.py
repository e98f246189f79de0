"""Which of the languages there are is the nearest to the one a reader asks for."""

from __future__ import annotations

from collections.abc import Iterable


def nearest(locale: str, known: Iterable[str]) -> str | None:
    """The locale itself, its language, or another country's form of it; None for a stranger."""
    names = {_folded(name): name for name in known}
    wanted = _folded(locale)
    language = _language(wanted)
    for name in (wanted, language, *(n for n in names if _language(n) == language)):
        if name in names:
            return names[name]
    return None


def _folded(locale: str) -> str:
    return locale.replace("_", "-").lower()


def _language(folded: str) -> str:
    return folded.partition("-")[0]
