"""What would make the gallery incomplete: a missing word, English elsewhere, a broken rule."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from domain.message import Channel, Facts, Moment
from domain.policy import Policy
from domain.rules.base import PLACEHOLDER, Passage
from domain.signal import Severity
from runtime.gallery.shown import Shown

_UNFILLED = re.compile(r"\[\[|\]\]|\{\{|\}\}|\{%|\bNone\b|\bundefined\b|[\x00-\x08\x0e-\x1f]")
_MACRO = re.compile(r"\{%-?\s*macro (\w+)")
_WORD = re.compile(r"[^\W\d_]{2,}")
_PIECE = re.compile(r"[.:;!?\n]+")
# What a template may say of a moment; other macros are a language's own helpers.
PARTS = frozenset(
    ("subject", "title", "lead", "short", "impact", "details", "doing", "todo", "short_todo",
     "apology", "ending", "facts", "message")
)  # fmt: skip
# A language that greets nobody in particular has no word for it.
MAY_BE_EMPTY = frozenset(("neutral_name",))
# So many words in a row are a sentence and no name.
SENTENCE = 3


def missing_words(policy: Policy, content_dir: Path) -> Iterator[str]:
    """Every template, catalogue entry and name that a language of the policy lacks."""
    first = policy.locales[0]
    for locale in policy.locales:
        if locale not in policy.company.signature:
            yield f"policy: company.signature has no {locale}"
        for component in policy.component_list():
            for table in ("names", "impact") if component.visible else ():
                words = getattr(component, table)
                if not words.get(locale, "").strip():
                    yield f"policy: components.{component.key}.{table} has no {locale}"
                elif table == "impact" and locale != first and words[locale] == words.get(first):
                    yield f"policy: components.{component.key}.{table} is in {first} for {locale}"
        for folder in ("locales", "pages"):
            expected, found = (_keys(content_dir / folder / f"{x}.yaml") for x in (first, locale))
            for key in sorted(expected - found):
                yield f"{folder}/{locale}.yaml: {key} is missing"
    templates = content_dir / "templates"
    for moment in Moment:
        there = {x: _parts(templates / x / f"{moment.value}.j2") for x in policy.locales}
        written = [x for x in policy.locales if there[x] is not None]
        if not written and any(policy.channels(severity, moment) for severity in Severity):
            yield f"templates: {moment.value} is sent, but no language has it"
        for locale in policy.locales if written else ():
            said = there[locale]
            if said is None:
                yield f"templates/{locale}: {moment.value}.j2 is missing"
                continue
            for part in sorted((there[written[0]] or frozenset()) - said):
                yield f"templates/{locale}/{moment.value}.j2: {part} is missing"


def problems(facts: Facts, shown: Sequence[Shown], policy: Policy) -> Iterator[str]:
    """What is wrong with the texts of one moment; each line says where."""
    first = {s.channel: s for s in shown if s.locale == policy.locales[0]}
    for one in shown:
        where = f"{facts.moment.value}/{facts.severity}/{one.channel.value}/{one.locale}"
        for line in _alone(one):
            yield f"{where}: {line}"
        english = first.get(one.channel)
        if english is not None and one is not english:
            for line in _beside(english, one, facts, policy):
                yield f"{where}: {line}"


def _alone(one: Shown) -> Iterator[str]:
    fields = {"text": one.text, "subject": one.subject, "html": one.html, "mail": one.mail}
    for name, text in fields.items():
        if text is None:
            continue
        if not text.strip():
            yield f"the {name} is empty"
        if name != "mail" and (found := _UNFILLED.search(text)):
            yield f"the {name} holds {found[0]!r}"
    if one.channel is Channel.EMAIL and not (one.mail and one.subject):
        yield "the mail has no subject or no HTML"
    for finding in one.findings:
        yield f"{finding.rule}: {finding.found} ({finding.suggestion})"


def _beside(english: Shown, other: Shown, facts: Facts, policy: Policy) -> Iterator[str]:
    for field in ("subject", "text"):
        said, meant = getattr(other.draft, field) or "", getattr(english.draft, field) or ""
        facts_said, facts_meant = (set(PLACEHOLDER.findall(t)) for t in (said, meant))
        if facts_said != facts_meant:
            differ = ", ".join(sorted(facts_said ^ facts_meant))
            yield f"the {field} does not state the same facts as English: {differ}"
        known = set(_sentences(Passage(english.draft, field, meant, facts, policy)))
        for sentence in _sentences(Passage(other.draft, field, said, facts, policy)):
            if sentence in known:
                yield f"the {field} is English here: {sentence!r}"


def _sentences(passage: Passage) -> list[str]:
    """What a template says: without names, placeholders and the words of a human."""
    pieces = (" ".join(_WORD.findall(piece)) for piece in _PIECE.split(passage.without_notes))
    return [piece for piece in pieces if piece.count(" ") + 1 >= SENTENCE]


def _parts(path: Path) -> frozenset[str] | None:
    """What a template defines; None where there is none."""
    if not path.exists():
        return None
    return PARTS & frozenset(_MACRO.findall(path.read_text("utf-8")))


def _keys(path: Path) -> set[str]:
    """The dotted keys of a YAML file that hold something."""

    def walk(value: Any, at: str) -> Iterator[str]:
        if isinstance(value, dict):
            for key, item in value.items():
                yield from walk(item, f"{at}.{key}" if at else str(key))
        elif value not in (None, "") or at in MAY_BE_EMPTY:
            yield at

    if not path.exists():
        return set()
    return set(walk(yaml.safe_load(path.read_text("utf-8")), ""))
