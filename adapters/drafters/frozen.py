"""Frozen facts: a model's words hold the placeholders they were given, and no fact of their own.

All languages are given the same placeholders, so each language is held to that list: what one of
them lacks or adds would make it tell its customers something else than the others tell theirs.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

from domain.message import Facts, Finding
from domain.policy import Policy

_PLACEHOLDER = re.compile(r"\[\[[^\[\]]*\]\]")
_BRACKETS = re.compile(r"\[\[|\]\]")
_FIGURE = re.compile(r"\d+(?:[.,:]\d+)*")
# Tags, and what Markdown would make bold, a heading, a link or code.
_MARKUP = re.compile(r"</?[A-Za-z!][^<>]*>|\*\*|__|`|^#+ |\]\(", re.MULTILINE)
_LINK = re.compile(r"(?:https?:|www\.)\S*|\S+@\S+\.\S+", re.IGNORECASE)
_WORD = re.compile(r"[^\W\d_][\w'\u2019&-]*")
_LATIN = re.compile(r"[A-Za-z][A-Za-z0-9.-]+")
_JOINTS = re.compile(r"[-'\u2019]")
# Nouns have capitals in German; Japanese has none, but writes foreign names in Latin letters.
_CAPITAL_NOUNS = frozenset({"de"})
_OTHER_LETTERS = frozenset({"ja"})
_ENDS_SENTENCE = frozenset(".!?:;\u2026\n")
_AROUND = " \u00a0\u202f\t\"'()\u00ab\u00bb\u201c\u201d\u201e\u2018\u2019\u00bf\u00a1-"
# A polite "Lei" or "Uds." within a sentence is no name.
_SHORTEST_NAME = 4


def frozen(
    words: str, where: str, locale: str, uses: Collection[str], facts: Facts, policy: Policy
) -> tuple[Finding, ...]:
    """Every placeholder that is missing or not allowed; every figure, link and name written out.

    `words` are the model's, before anything is filled in; `where` names the draft.
    """
    return tuple(_findings(words, where, locale, uses, facts, policy))


def _findings(
    words: str, where: str, locale: str, uses: Collection[str], facts: Facts, policy: Policy
) -> Iterator[Finding]:
    def finding(rule: str, at: int, found: str, right: str) -> Finding:
        return Finding(rule=rule, where=f"{where}:{at}", found=found[:80], suggestion=right)

    given = _PLACEHOLDER.findall(words)
    for missing in (u for u in uses if u not in given):
        yield finding("facts_differ", 0, f"no {missing}", "use it: the other languages do")
    for m in _PLACEHOLDER.finditer(words):
        if m[0] not in uses:
            allowed = ", ".join(uses) or "none"
            yield finding("placeholder", m.start(), m[0], f"allowed in this draft: {allowed}")
    # Stands in a sentence as a word does, and is none.
    text = _PLACEHOLDER.sub(lambda m: "\ufffc" * len(m[0]), words)
    for m in _BRACKETS.finditer(text):
        yield finding("placeholder", m.start(), m[0], "copy placeholders exactly as given")
    for m in _MARKUP.finditer(text):
        yield finding("markup", m.start(), m[0], "plain text; a list has lines that begin with -")
    for m in _LINK.finditer(text):
        yield finding("link", m.start(), m[0], "links and addresses are added around your words")
    text = _LINK.sub(lambda m: " " * len(m[0]), text)
    sources = [*(n for n in facts.notes.values() if n), *_named(locale, facts, policy)]
    figures = {m[0] for source in sources for m in _FIGURE.finditer(source)}
    for m in _FIGURE.finditer(text):
        if m[0] not in figures:
            yield finding("number", m.start(), m[0], "leave it out, or use its placeholder")
    known = {
        part
        for source in sources
        for word in (*_WORD.findall(source), *_LATIN.findall(source))
        for part in _parts(word)
    }
    for m in _names(text, locale):
        if not known.issuperset(_parts(m[0])):
            yield finding("name", m.start(), m[0], "no fact holds this name: leave it out")


def _named(locale: str, facts: Facts, policy: Policy) -> Iterator[str]:
    """What may be called by its name: the affected parts as customers know them, and ourselves."""
    yield policy.company.name
    yield from facts.component_names.get(locale, ())
    for key in facts.components:
        if key in policy.component_keys():
            component = policy.component(key)
            yield from (*component.names.values(), component.impact.get(locale, ""))


def _names(text: str, locale: str) -> Iterator[re.Match[str]]:
    """What looks like a name in the language."""
    language = locale.partition("-")[0]
    if language in _OTHER_LETTERS:
        yield from _LATIN.finditer(text)
        return
    for m in _WORD.finditer(text):
        parts = _JOINTS.split(m[0])
        # Capitals within a word, as in AWS or PostgreSQL, are a name in every language.
        if any(c.isupper() for part in parts for c in part[1:]):
            yield m
        elif language not in _CAPITAL_NOUNS:
            if _opens_sentence(text, m.start()):
                parts = parts[1:]
            if any(part[:1].isupper() and len(part) >= _SHORTEST_NAME for part in parts):
                yield m


def _opens_sentence(text: str, at: int) -> bool:
    before = text[:at].rstrip(_AROUND)
    return not before or before[-1] in _ENDS_SENTENCE


def _parts(word: str) -> list[str]:
    """A word, or those that a compound is made of."""
    return [part.casefold() for part in _JOINTS.split(word) if part]
