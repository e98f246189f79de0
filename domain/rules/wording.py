"""How it is said: plain words, no blame, no promise that may not hold, an even tone."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache

from domain.message import CLOSING, Channel, Finding, Moment
from domain.rules.base import Passage
from domain.rules.lexicon import Span
from domain.rules.phrases import fold, meaning

_CAPS = re.compile(r"[A-ZÀ-ÖØ-Þ](?<![\w-].)[A-ZÀ-ÖØ-Þ]{4,}(?![\w-])(?!\s*\d)")
_FACES = re.compile("[\U0001f600-\U0001f64f\U0001f910-\U0001f92f\U0001f970-\U0001f97a]")
_LOUD = re.compile("[!\uff01]")
_STOP = re.compile("[,;:、]")
_LATIN_CAPITAL = re.compile(r"[A-ZÀ-Þ]+")
_AHEAD_TIME = re.compile(r"\[\[time:(?!eta\]\])\w+\]\]")
# How far the one who is named may stand from the words that blame.
_BEFORE, _AFTER = 36, 14
# After these a repair is no promise any more.
_LOOKING = frozenset({"suspected", "investigating"})
_PAST = CLOSING | {Moment.POST_MORTEM}


def jargon(p: Passage) -> Iterator[Finding]:
    """Words that customers don't use have plain ones; colleagues may use them."""
    if p.channel is not Channel.INTERNAL:
        yield from _listed(p, "jargon", p.lists.jargon)


def overclaim(p: Passage) -> Iterator[Finding]:
    """Nothing is said that nobody can know, such as that it will never happen again."""
    if p.channel is not Channel.INTERNAL:
        yield from _listed(p, "overclaim", p.lists.overclaim)


def minimise(p: Passage) -> Iterator[Finding]:
    """What customers notice is not talked down."""
    if p.channel is not Channel.INTERNAL:
        yield from _listed(p, "minimise", p.lists.minimise)


def blame(p: Passage) -> Iterator[Finding]:
    """Whoever is at fault, customers are ours: no company is named as the cause."""
    if p.channel is Channel.INTERNAL:
        return
    if not any(map(p.spans, ("vendors", "suppliers", "partners", "disclaims"))):
        return
    said = "say what we are doing about it"
    for first, last in p.sentences:
        who = next(
            (
                start
                for start, end in p.within("vendors", first, last)
                if _is_accused(p, first, start, end, last)
            ),
            None,
        )
        if who is None:
            who = _who_is_named(p, first, last)
        if who is not None:
            yield p.finding("blame", who, p.words[first:last].strip(), said)


def _who_is_named(p: Passage, first: int, last: int) -> int | None:
    """Where a sentence names who works for us unseen, or says that the fault is elsewhere."""
    disclaimed = next(p.within("disclaims", first, last), None)
    if disclaimed is not None:
        return disclaimed[0]
    if any(p.within("unaffected", first, last)):
        return None
    for start, _ in p.within("suppliers", first, last):
        if p.lists.path.search(p.folded, first, start) is None:
            return start
    partner = next(p.within("partners", first, last), None)
    return partner[0] if partner and any(p.within("trouble", first, last)) else None


def _is_accused(p: Passage, first: int, start: int, end: int, last: int) -> bool:
    """Whether the words of blame stand right before or right after who is named."""
    near = max(first, start - _BEFORE)
    stops = [m.end() for m in _STOP.finditer(p.folded, near, start)]
    near = stops[-1] if stops else near
    after = p.within("after", start, last)
    return any(p.within("before", near, start)) or any(s - end <= _AFTER for s, _ in after)


def fix_promise(p: Passage) -> Iterator[Finding]:
    """No time for the repair but the ETA of the facts."""
    if not (p.spans("fix") or p.spans("repair")) or p.facts.moment in _PAST:
        return
    eta = p.facts.times.get("eta")
    for start, end in p.sentences:
        whole = any(p.within("fix", start, end))
        if not whole and not any(p.within("repair", start, end)):
            continue
        if any(p.within("unsure", start, end)):
            continue
        # A time in a clause that speaks of the next message is the time of that message.
        clauses = [c for c in _clauses(p, start, end) if not any(p.within("informs", *c))]
        if any(
            _tells_time(p, *c, any_day=whole) and (whole or any(p.within("repair", *c)))
            for c in clauses
        ):
            suggestion = "use [[time:eta]]" if eta else "no time is known: say what we are doing"
            yield p.finding("fix_promise", start, p.visible[start:end].strip(), suggestion)


def _clauses(p: Passage, start: int, end: int) -> Iterator[Span]:
    for m in p.lists.joins.finditer(p.folded, start, end):
        yield start, m.start()
        start = m.end()
    yield start, end


def _tells_time(p: Passage, start: int, end: int, *, any_day: bool) -> bool:
    """Whether a part of a sentence tells a time to come that is not the ETA."""
    facts = p.facts.times
    fine = [at for key, at in facts.items() if key != "next_update"]
    if any(
        start <= t.start < end and not any(t.matches(at, p.zones) for at in fine) for t in p.times
    ):
        return True
    if _AHEAD_TIME.search(p.visible, start, end) is not None:
        return True
    if any(
        start <= t.start < end and not any(t.matches(at, p.zones, exact=False) for at in fine)
        for t in p.spoken
    ):
        return True
    past = [] if any_day else list(p.within("today", start, end))
    soon = [s for s in p.within("soon", start, end) if s not in past]
    return bool(soon) or _announces_span(p, p.folded[start:end])


def cause(p: Passage) -> Iterator[Finding]:
    """While the cause is looked for, none is told but in a human's words."""
    if p.facts.stage not in _LOOKING or p.facts.moment in _PAST or p.channel is Channel.INTERNAL:
        return
    notes = fold("\n".join(p.notes))
    for start, end in p.spans("causes"):
        sentence = p.sentence_at(start) or (start, end)
        if p.folded[start:end] not in notes and not any(p.within("unsure", *sentence)):
            yield p.finding("cause", start, p.words[slice(*sentence)].strip(), "no cause is known")


def tone(p: Passage) -> Iterator[Finding]:
    """Calm: no shouting, no phrases that say nothing."""
    if p.channel is not Channel.INTERNAL:
        yield from _listed(p, "tone", p.lists.avoid)
    text = p.without_notes
    for m in _FACES.finditer(p.visible) if not p.visible.isascii() else ():
        yield p.finding("tone", m.start(), m[0], "leave it out")
    for m in _LOUD.finditer(text):
        start = (p.sentence_at(m.start()) or (0, 0))[0]
        # "Thank you!" and "Hello!" are warm, not loud.
        if not any(p.within("warm", start, m.end())):
            yield p.finding("tone", m.start(), m[0], "end with a full stop")
    for m in _CAPS.finditer(text):
        named = any(p.within("capitals", m.start(), m.end()))
        if _LATIN_CAPITAL.fullmatch(m[0]) and not named:
            yield p.finding("tone", m.start(), m[0], "write it in small letters")


def residue(p: Passage) -> Iterator[Finding]:
    """Nothing is left of a talk with a model, nor of instructions to one."""
    for start, end in p.spans("residue"):
        yield p.finding(
            "residue", start, p.words[start:end], "leave it out: it is not for customers"
        )


def _listed(p: Passage, rule: str, words: Mapping[str, str]) -> Iterator[Finding]:
    hosts = [(at, at + len(said)) for _, at, said in p.odd] if rule == "jargon" else []
    for start, end in p.spans("avoid" if rule == "tone" else rule):
        # "db" in "db-01.prod" is told as the host that it is part of.
        if any(s < end and start < e for s, e in hosts):
            continue
        yield p.finding(rule, start, p.words[start:end], meaning(words, p.folded[start:end]))


def _announces_span(p: Passage, said: str) -> bool:
    """Whether "in two hours" or "within 30 minutes" is said, in the text's language."""
    span = p.lists.span
    if span is None or not span.ahead:
        return False
    return _ahead(span.ahead, tuple(span.counts), tuple(span.units)).search(said) is not None


@lru_cache(maxsize=32)
def _ahead(
    before: tuple[str, ...], counts: tuple[str, ...], units: tuple[str, ...]
) -> re.Pattern[str]:
    def any_of(words: tuple[str, ...]) -> str:
        listed = sorted(map(fold, words), key=len, reverse=True)
        return "|".join(map(re.escape, listed))

    return re.compile(
        rf"(?<!\w)(?:{any_of(before)})\s?(?:\w+\s)?(?:\d+|{any_of(counts)})[\s-]?"
        rf"(?:{any_of(units)})(?!\w)"
    )
