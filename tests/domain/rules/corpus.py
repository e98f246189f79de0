"""The corpus of drafts under tests/corpus: what is read there and how it is judged."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from domain.message import Channel, DraftText, Facts, Finding
from domain.policy import Policy
from domain.rules.base import Passage
from domain.validation import validate_text

CORPUS = Path(__file__).parents[2] / "corpus"
LOCALES = ("en", "de", "fr", "es", "pt-BR", "ja", "nl", "it")
OTHERS = ("Globex Corp", "Initech")
SUBJECTS = {
    "en": "Update: payments", "de": "Update: Zahlungen", "fr": "Point : paiements",
    "es": "Actualización: pagos", "pt-BR": "Atualização: pagamentos", "ja": "続報: 決済処理",
    "nl": "Update: betalingen", "it": "Aggiornamento: pagamenti",
}  # fmt: skip
# Every third was written before the rules and is never looked at when they change.
HELD_BACK = 2


@dataclass(frozen=True)
class Case:
    """One draft and the rule that it breaks; `rule` is empty for one that breaks none."""

    name: str
    rule: str
    scene: str
    draft: DraftText
    held: bool


@lru_cache
def scenes() -> dict[str, Facts]:
    """The facts of each scene."""
    read = yaml.safe_load((CORPUS / "facts.yaml").read_text())
    out = {}
    for name, scene in read["scenes"].items():
        named = {loc: tuple(read["names"][c][loc] for c in scene["components"]) for loc in LOCALES}
        out[name] = Facts.model_validate(
            {"incident_id": "inc_abcdefghijkl", "category": "local_degradation", **scene,
             "component_names": named, "links": read["links"]}
        )  # fmt: skip
    return out


@lru_cache
def cases() -> tuple[Case, ...]:
    """Every draft of the corpus."""
    return tuple(c for locale in LOCALES for c in _of(locale))


def judge(case: Case, policy: Policy) -> tuple[Finding, ...]:
    """What the rules find in a draft."""
    return validate_text(case.draft, scenes()[case.scene], policy, OTHERS)


def _of(locale: str) -> list[Case]:
    read = yaml.safe_load((CORPUS / f"{locale}.yaml").read_text())
    lists: dict[str, list[dict[str, Any]]] = {
        "bad": [e if isinstance(e, dict) else {"rule": e[0], "say": e[1]} for e in read["bad"]],
        "good": read["good"],
        "fine": [{"say": said} for said in read["fine"]],
    }
    return [
        _case(locale, f"{locale}-{kind}-{i}", entry, read["frame"], i % 3 == HELD_BACK)
        for kind, entries in lists.items()
        for i, entry in enumerate(entries)
    ]


def _case(locale: str, name: str, entry: dict[str, Any], frame: dict[str, str], held: bool) -> Case:
    channel = Channel(entry.get("channel", "email"))
    text = entry.get("text") or frame[channel].replace("{}", entry["say"])
    subject = entry.get("subject", SUBJECTS[locale]) if channel is Channel.EMAIL else None
    draft = DraftText(
        channel=channel, locale=locale, subject=subject, text=text, html=entry.get("html")
    )
    return Case(name, entry.get("rule", ""), entry.get("scene", "outage"), draft, held)


def passage(
    said: str, policy: Policy, locale: str = "en", scene: str = "outage", html: str | None = None
) -> Passage:
    """One text (or its HTML) as the rules see it."""
    draft = DraftText(channel=Channel.EMAIL, locale=locale, text=said, html=html)
    field, raw = ("text", said) if html is None else ("html", html)
    return Passage(draft, field, raw, scenes()[scene], policy, OTHERS)
