"""The corpus of drafts under tests/corpus: what is read there and how it is judged.

Five sets. `tuned` and `held` were written beside the rules, and every third draft, `held`, is not
looked at when they change. `blind`, in a folder of its own, was written by somebody who had not
seen the rules, from the product's description alone; `second` by somebody who had not seen the
words that they look for; `third` afterwards, with new sentences for the letters of `second`. All
have been looked at since.
"""

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
BLIND = ("blind", "second", "third")
# Whoever wrote blind named the rules by the words of the product's description.
BLIND_RULES = {
    "promise": {"fix_promise"},
    "internal": {"internal", "address", "link"},
    "link": {"status_link"},
    "tone": {"tone", "overclaim", "minimise"},
}


@dataclass(frozen=True)
class Case:
    """One draft and the rule that it breaks; `rule` is empty for one that breaks none."""

    name: str
    rule: str
    scene: str
    draft: DraftText
    set: str


def scenes() -> dict[str, Facts]:
    """The facts of each scene."""
    return _scenes(CORPUS)


@lru_cache
def _scenes(folder: Path) -> dict[str, Facts]:
    read = yaml.safe_load((folder / "facts.yaml").read_text())
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
    return tuple(
        c
        for locale in LOCALES
        for c in (*_of(locale), *(c for which in BLIND for c in _blind(locale, which)))
    )


def judge(case: Case, policy: Policy) -> tuple[Finding, ...]:
    """What the rules find in a draft."""
    folder = CORPUS / {"third": "second"}.get(case.set, case.set) if case.set in BLIND else CORPUS
    return validate_text(case.draft, _scenes(folder)[case.scene], policy, OTHERS)


def is_caught_by(case: Case, rules: set[str]) -> bool:
    """Whether the rule that a draft breaks is among those that found something."""
    meant = BLIND_RULES if case.set in BLIND else {}
    return bool(rules & meant.get(case.rule, {case.rule}))


def _blind(locale: str, which: str) -> list[Case]:
    read = yaml.safe_load((CORPUS / which / f"{locale}.yaml").read_text())
    if which == "third":  # new sentences for the letters of the second
        read = yaml.safe_load((CORPUS / "second" / f"{locale}.yaml").read_text()) | read
    bad = [e if isinstance(e, dict) else _framed(read, *e) for e in read["bad"]]
    good = [_good(read, e) for e in read["good"]]
    plain = [_framed(read, "", "", c) for c in read["frame"]] if which != "third" else []
    return [
        Case(f"{locale}-{which}-{kind}-{i}", e.get("rule", ""), e.get("scene", "outage"),
             DraftText(channel=e["channel"], locale=locale, subject=e.get("subject"),
                       text=e["text"]), which)
        for kind, entries in (("bad", bad), ("good", good), ("frame", plain))
        for i, e in enumerate(entries)
    ]  # fmt: skip


def _good(read: dict[str, Any], entry: str | list[str] | dict[str, Any]) -> dict[str, Any]:
    if isinstance(entry, dict):
        return entry
    return _framed(read, "", *([entry] if isinstance(entry, str) else entry))


def _framed(read: dict[str, Any], rule: str, said: str, channel: str = "email") -> dict[str, Any]:
    text = read["frame"][channel].replace("{}" if said else " {}", said).replace("{}", "")
    subject = read["frame_subject"] if channel == "email" else None
    scene = read.get("frame_scene", "outage")
    return {"rule": rule, "channel": channel, "subject": subject, "text": text, "scene": scene}


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
    which = "held" if held else "tuned"
    return Case(name, entry.get("rule", ""), entry.get("scene", "outage"), draft, which)


def passage(
    said: str, policy: Policy, locale: str = "en", scene: str = "outage", html: str | None = None
) -> Passage:
    """One text (or its HTML) as the rules see it."""
    draft = DraftText(channel=Channel.EMAIL, locale=locale, text=said, html=html)
    field, raw = ("text", said) if html is None else ("html", html)
    return Passage(draft, field, raw, scenes()[scene], policy, OTHERS)
