"""What must be there: the status link, the next update, a subject; and nothing left unfilled."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC

from domain.message import FOR_ALL, Channel, Finding, Moment
from domain.rules.base import KNOWN_PLACEHOLDER, PLACEHOLDER, Passage
from domain.rules.internal import SEVERITY
from domain.rules.phrases import fold, holds

# The status page is the place itself, the banner has its own button, colleagues have the console.
NEEDS_LINK = frozenset(
    {Channel.EMAIL, Channel.SMS, Channel.SOCIAL, Channel.SLACK, Channel.TEAMS, Channel.TICKET}
)
PROMISES = frozenset(
    {
        Moment.INITIAL,
        Moment.UPDATE,
        Moment.EXTENDED,
        Moment.ESCALATION,
        Moment.PARTIAL_RECOVERY,
    }
)
_LEFTOVER = re.compile(
    r"\{\{|\}\}|\{%|%\}|\[\[|\]\]|\b(?:TODO|FIXME|TBD|TBC)\b|\bX{3,}\b|\?{3,}"
    r"|\blorem ipsum\b|\bdolor sit amet\b|\$\{[^}\n]*\}|%\((?:\w+)\)s|(?<![\w{])\{\w+\}(?![\w}])"
    r"|\bXX\b|\bX\s?%|[\u3007\u25cb\u25cf]{2,}|_{3,}|\bN/A\b|\bundefined\b|\bNaN\b|\bNone\b(?=[.,;]|\s*$)"
    # Words in brackets and capitals, as in [CAUSE] or [À COMPLÉTER].
    r"|(?-i:\[[A-ZÀ-Ý][A-ZÀ-Ý _-]+\])",
    re.IGNORECASE,
)
_ANGLE = re.compile(r"<[^\W\d_][\w '\u2019-]{0,40}>")
_BRACKETED = re.compile(r"[\[【\uff3b<({]([^\[\]【】\n<>(){}]{1,60})[\]】\uff3d>)}]")


def status_link(p: Passage) -> Iterator[Finding]:
    """Where readers have no status page before them, a link leads there."""
    if p.channel not in NEEDS_LINK or p.field == "subject" or not p.facts.links:
        return
    if "[[link:" in p.raw or any(url in p.raw for url in p.facts.links.values()):
        return
    yield p.finding("status_link", len(p.raw), "no link", "add [[link:status]]")


def next_update(p: Passage) -> Iterator[Finding]:
    """A moment that promises an update says when; the time is the one that was promised."""
    due = p.facts.times.get("next_update")
    if p.field == "subject" or p.facts.moment not in PROMISES or due is None:
        return
    if "[[time:next_update]]" in p.raw:
        return
    utc = due.astimezone(UTC)
    if any(t.matches(utc, p.zones) for t in p.times):
        return
    yield p.finding("next_update", len(p.raw), "no next update", "add [[time:next_update]]")


def placeholders(p: Passage) -> Iterator[Finding]:
    """Only placeholders that can be filled, and none that somebody forgot."""
    keys = {"time": tuple(p.facts.times), "link": tuple(p.facts.links)}
    for m in PLACEHOLDER.finditer(p.raw):
        kind, _, key = m[1].partition(":")
        if not KNOWN_PLACEHOLDER.fullmatch(m[1]) or (kind != "name" and key not in keys[kind]):
            allowed = ["[[name]]", *(f"[[{k}:{x}]]" for k, known in keys.items() for x in known)]
            yield p.finding("placeholder", m.start(), m[0], f"allowed: {', '.join(allowed)}")
        elif kind == "name" and p.channel in FOR_ALL:
            yield p.finding("placeholder", m.start(), m[0], "everybody reads this: leave it out")
    rest = PLACEHOLDER.sub(lambda m: " " * len(m[0]), p.visible)
    patterns = (_LEFTOVER,) if p.field == "html" else (_LEFTOVER, _ANGLE)
    for pattern in patterns:
        for m in pattern.finditer(rest):
            if not _is_quoted(p, m[0]):
                yield p.finding("placeholder", m.start(), m[0], "fill it in or leave it out")

    for m in _BRACKETED.finditer(rest):
        # "(to do)" may be said; "[to do]" is a gap.
        gap = holds(p.policy.tone.gaps, fold(m[1])) and m[0][0] not in "({"
        if gap and not _is_quoted(p, m[0]):
            yield p.finding("placeholder", m.start(), m[0], "fill it in or leave it out")


def _is_quoted(p: Passage, found: str) -> bool:
    """`<b>` in a human's note is shown as written, so it is no gap left by a template."""
    return _ANGLE.fullmatch(found) is not None and any(found in note for note in p.notes)


def subject(p: Passage) -> Iterator[Finding]:
    """A mail has a subject of one line without an internal severity number."""
    if p.field == "text" and p.channel is Channel.EMAIL and not (p.draft.subject or "").strip():
        yield p.finding("subject", 0, "no subject", "a subject that says the moment")
    if p.field != "subject":
        return
    for m in re.finditer(r"[\r\n\x00-\x1f\u2028\u2029]", p.raw):
        yield p.finding("subject", m.start(), "line break", "one line")
    for m in SEVERITY.finditer(p.raw):
        yield p.finding("subject", m.start(), m[0], "say what customers notice")
