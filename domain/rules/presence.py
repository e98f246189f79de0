"""What must be there: the status link, the next update, a subject; and nothing left unfilled."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC

from domain.message import FOR_ALL, Channel, Finding, Moment
from domain.rules.base import KNOWN_PLACEHOLDER, PLACEHOLDER, Passage, blank
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
# What templates, mail programs and formats of many kinds leave where nothing was filled in.
_MARKS = re.compile(
    r"\{[{%#$]|[}%#]\}|\}\}|\{[\w.]+\}|\[\[|\]\]|\$\{[^}\n]*\}|\$[A-Za-z_]{3,}\b|#\{[^}\n]*\}|<%|%>"
    r"|%\(\w+\)[sd]|%[sd]\b(?<!\d..)|%[A-Z_]{3,}%|##\w+##|__[A-Za-z]\w*__|_{3,}|\*\|\w+\|\*|<<|>>"
    r"|\?{3,}|[\u3007\u25cb\u25cf\u25ef]{2,}|\u25b3{2,}"
)
_WORDS = re.compile(
    r"\b(?:FIXME|TBD|TBC|TBA|fixme|tbd|tbc|tba|t\.b\.d\.|N/A|n/a|undefined|NaN|XX:XX|HH:MM|hh:mm"
    r"|DD[./-]MM|YYYY|JJJJ|AAAA|X{2,})(?!\w)|\bX\s?[%\uff05]|\b(?i:lorem ipsum|dolor sit)\b"
    r"|(?<=[a-z] )None(?=[.,;%]|\s*$)"
)
_WORDS_IN = frozenset(
    {"fixme", "tbd", "tbc", "tba", "t", "n", "undefined", "nan", "hh", "dd", "yyyy", "jjjj", "aaaa",
     "x", "xx", "xxx", "xxxx", "lorem", "dolor", "none", "todo", "null"}
)  # fmt: skip
# Without one of these there is nothing of `_MARKS`, `_CAPITALS`, `_ANGLE` and `_BRACKETED`.
_SIGNS = re.compile(
    r"[({}\[\]$#<>_*\u3007\u25cb\u25cf\u25ef\u25b3\u3010\uff3b\uff1c]|%[(sdA-Z]|\?\?\?"
)
_ROUND = re.compile("[(\uff08]")
# In Spanish and Portuguese the word means "everything".
_TODO = re.compile(r"(?:(?<=[\[(])TODO\b|\b(?:TODO|todo|To-do)(?=\s?[:\])]))|\bTODO\b")
_ALL = re.compile(r"(?<=[\[(])TODO\b|\bTODO(?=\s?[:\])])")
_ALL_IN = frozenset({"es", "pt-BR"})
# In German it is the figure 0.
_NULL = re.compile(r"\bnull\b")
_NULL_IS_A_WORD = frozenset({"de", "nl", "it"})
# Words in brackets and capitals, as in [CAUSE]; at the start of a text "[UPDATE]" is a label.
_CAPITALS = re.compile(r"\[(?<!\A\[)[A-ZÀ-Ý][A-ZÀ-Ý _-]+\]")
_ANGLE = re.compile(r"<[^\W\d_][\w '\u2019-]{0,40}>")
_BRACKETED = re.compile(
    r"[\[【\uff3b<({\uff1c\uff08]([^\[\]【】\n<>(){}\uff1c\uff1e\uff08\uff09]{1,60})[\]】\uff3d>)}\uff1e\uff09]"
)


def status_link(p: Passage) -> Iterator[Finding]:
    """Where readers have no status page before them, a link leads there."""
    if p.channel not in NEEDS_LINK or p.field == "subject" or not p.facts.links:
        return
    if "[[link:" in p.raw or any(url in p.raw for url in p.facts.links.values()):
        return
    yield p.raw_finding("status_link", len(p.raw), "no link", "add [[link:status]]")


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
    yield p.raw_finding("next_update", len(p.raw), "no next update", "add [[time:next_update]]")


def placeholders(p: Passage) -> Iterator[Finding]:
    """Only placeholders that can be filled, and none that somebody forgot."""
    keys = {"time": tuple(p.facts.times), "link": tuple(p.facts.links)}
    for m in PLACEHOLDER.finditer(p.raw):
        kind, _, key = m[1].partition(":")
        if not KNOWN_PLACEHOLDER.fullmatch(m[1]) or (kind != "name" and key not in keys[kind]):
            allowed = ["[[name]]", *(f"[[{k}:{x}]]" for k, known in keys.items() for x in known)]
            yield p.raw_finding("placeholder", m.start(), m[0], f"allowed: {', '.join(allowed)}")
        elif kind == "name" and p.channel in FOR_ALL:
            yield p.raw_finding(
                "placeholder", m.start(), m[0], "everybody reads this: leave it out"
            )
    rest = blank(p.visible, PLACEHOLDER)
    signs = _SIGNS.search(rest) is not None
    for pattern in _patterns(p, signs):
        for m in pattern.finditer(rest):
            if not _is_quoted(p, m[0]):
                yield p.finding("placeholder", m.start(), m[0], "fill it in or leave it out")
    for m in _BRACKETED.finditer(rest) if signs or _ROUND.search(rest) else ():
        # "(to do)" may be said; "[to do]" is a gap, and so is "(insert the cause)".
        tone = p.lists.tone
        gap = holds(tone.fill if m[0][0] in "({\uff08" else (*tone.gaps, *tone.fill), fold(m[1]))
        if gap and not _is_quoted(p, m[0]):
            yield p.finding("placeholder", m.start(), m[0], "fill it in or leave it out")


def _patterns(p: Passage, signs: bool) -> Iterator[re.Pattern[str]]:
    """What to look for: the words only where one of them begins to show."""
    if signs:
        yield _MARKS
        yield _CAPITALS
        if p.field != "html":
            yield _ANGLE
    words = _WORDS_IN.intersection(word for _, word in p.reading.words)
    if words:
        yield _WORDS
    if "todo" in words:
        yield _ALL if p.language in _ALL_IN else _TODO
    if "null" in words and p.language not in _NULL_IS_A_WORD:
        yield _NULL


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
