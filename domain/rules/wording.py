"""How it is said: plain words, no blame, no promise that may not hold, an even tone."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache

from domain.message import CLOSING, Channel, Finding, Moment
from domain.rules.base import Passage
from domain.rules.phrases import find, fold, holds, meaning

_CAPS = re.compile(r"(?<![\w-])[^\W\d_a-zà-öø-ÿ]{5,}(?![\w-])(?!\s*\d)")
_LATIN_CAPITAL = re.compile(r"[A-ZÀ-Þ]+")
_AHEAD_TIME = re.compile(r"\[\[time:(?!eta\]\])\w+\]\]")
# How far the one who is named may stand from the words that blame.
_BEFORE, _AFTER = 36, 14
# After these a repair is no promise any more.
_PAST = CLOSING | {Moment.POST_MORTEM}


def jargon(p: Passage) -> Iterator[Finding]:
    """Words that customers don't use have plain ones; colleagues may use them."""
    if p.channel is not Channel.INTERNAL:
        yield from _listed(p, "jargon", p.policy.jargon.get(p.language, {}))


def overclaim(p: Passage) -> Iterator[Finding]:
    """Nothing is said that nobody can know, such as that it will never happen again."""
    if p.channel is not Channel.INTERNAL:
        yield from _listed(p, "overclaim", p.policy.tone.overclaim.get(p.language, {}))


def minimise(p: Passage) -> Iterator[Finding]:
    """What customers notice is not talked down."""
    if p.channel is not Channel.INTERNAL:
        yield from _listed(p, "minimise", p.policy.tone.minimise.get(p.language, {}))


def blame(p: Passage) -> Iterator[Finding]:
    """Whoever is at fault, customers are ours: no company is named as the cause."""
    tone = p.policy.tone
    phrases = tone.blame.get(p.language)
    if phrases is None or p.channel is Channel.INTERNAL:
        return
    for start, end in p.sentences:
        said = p.folded[start:end]
        for who in find(tone.vendors, said):
            before = re.split(r"[,;:、]", said[max(0, who.start() - _BEFORE) : who.start()])[-1]
            after = said[who.end() : who.end() + 2 * _AFTER]
            accused = holds(phrases.before, before) or any(
                m.start() <= _AFTER for m in find(phrases.after, after)
            )
            if accused:
                found = p.words[start:end].strip()
                yield p.finding(
                    "blame", start + who.start(), found, "say what we are doing about it"
                )
                break


def fix_promise(p: Passage) -> Iterator[Finding]:
    """No time for the repair but the ETA of the facts."""
    tone = p.policy.tone
    fix = tone.fix.get(p.language, ())
    if not fix or p.facts.moment in _PAST:
        return
    eta = p.facts.times.get("eta")
    past = [at for key, at in p.facts.times.items() if key not in ("next_update", "eta")]
    for start, end in p.sentences:
        said = p.folded[start:end]
        if not holds(fix, said) or holds(tone.unsure.get(p.language, ()), said):
            continue
        stated = [
            t
            for t in p.times
            if start <= t.start < end
            and not any(t.matches(at, p.zones) for at in (*past, *([eta] if eta else [])))
        ]
        promised = _AHEAD_TIME.search(p.visible, start, end) is not None
        soon = holds(tone.soon.get(p.language, ()), said) or _announces_span(p, said)
        if promised or stated or soon:
            suggestion = "use [[time:eta]]" if eta else "no time is known: say what we are doing"
            yield p.finding("fix_promise", start, p.visible[start:end].strip(), suggestion)


def tone(p: Passage) -> Iterator[Finding]:
    """Calm: no shouting, no phrases that say nothing."""
    listed = p.policy.tone.avoid.get(p.language, {})
    if p.channel is not Channel.INTERNAL:
        yield from _listed(p, "tone", listed)
    text = p.without_notes
    sentences = p.sentences
    for m in re.finditer(r"[!\uff01]", text):
        start = max((s for s, _ in sentences if s <= m.start()), default=0)
        # "Thank you!" and "Hello!" are warm, not loud.
        if not holds(p.policy.tone.warm, p.folded[start : m.end()]):
            yield p.finding("tone", m.start(), m[0], "end with a full stop")
    names = (*p.policy.tone.products, *p.policy.regions)
    for m in _CAPS.finditer(text):
        if _LATIN_CAPITAL.fullmatch(m[0]) and not holds(names, fold(m[0])):
            yield p.finding("tone", m.start(), m[0], "write it in small letters")


def residue(p: Passage) -> Iterator[Finding]:
    """Nothing is left of a talk with a model, nor of instructions to one."""
    tone = p.policy.tone.residue
    for m in find([*tone.get("en", ()), *tone.get(p.language, ())], fold(p.visible)):
        yield p.finding("residue", m.start(), m[0], "leave it out: it is not for customers")


def _listed(p: Passage, rule: str, words: Mapping[str, str]) -> Iterator[Finding]:
    for m in find(words, p.folded):
        found = p.words[m.start() : m.end()]
        yield p.finding(rule, m.start(), found, meaning(words, m[0]))


def _announces_span(p: Passage, said: str) -> bool:
    """Whether "in two hours" or "within 30 minutes" is said, in the text's language."""
    span = p.policy.tone.spans.get(p.language)
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
