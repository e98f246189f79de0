"""How it is said: plain words, no blame, no promise that may not hold, an even tone."""

from __future__ import annotations

import re
from collections.abc import Iterator

from domain.message import Channel, Finding
from domain.rules.base import Passage, whole_word
from domain.rules.clock import times_of_day

_SENTENCE = re.compile(r"[^.!?\n]+(?:\.(?=\w)[^.!?\n]+)*[.!?]*")
_AHEAD = re.compile(
    r"\[\[time:(?!eta\]\])\w+\]\]"
    r"|\b(?:in|within|innerhalb von|in etwa|binnen|less than|under|about|after|nach)\s+"
    r"(?:(?:the next|about|approximately|den nächsten|etwa|ca\.)\s+)?"
    r"(?:\d+|an?|one|two|three|five|ten|fifteen|twenty|thirty|half an|einer?|zwei|drei|fünf|zehn|"
    r"fünfzehn|zwanzig|dreißig)\s*"
    r"(?:min(?:ute|uten|utes|s)?|hours?|h|days?|weeks?|stunden?|tage?n?|wochen?)\b",
    re.IGNORECASE,
)
_CAPS = re.compile(r"(?<![\w-])[A-ZÄÖÜ]{5,}(?![\w-])(?!\s*\d)")
_SUFFIX = {"en": r"(?:s|es|'s)?", "de": r"(?:s|es|n|en|e|er)?"}


def jargon(p: Passage) -> Iterator[Finding]:
    """Words that customers don't use have plain ones; colleagues may use them."""
    if p.channel is Channel.INTERNAL:
        return
    words = p.policy.jargon.get(p.language, {})
    pattern = whole_word(words, _SUFFIX.get(p.language, ""))
    if pattern is None:
        return
    plain = {" ".join(k.lower().split()): v for k, v in words.items()}
    for m in pattern.finditer(p.words):
        found = " ".join(m[0].lower().split())
        known = max((k for k in plain if found.startswith(k)), key=len)
        yield p.finding("jargon", m.start(), m[0], plain[known])


def blame(p: Passage) -> Iterator[Finding]:
    """Whoever is at fault, customers are ours: no company is named as the cause."""
    tone = p.policy.tone
    vendors = whole_word(tone.vendors, r"(?:s|'s|n|en)?")
    phrases = whole_word(tone.blame.get(p.language, ()))
    if vendors is None or phrases is None or p.channel is Channel.INTERNAL:
        return
    for sentence in _SENTENCE.finditer(p.words):
        who = vendors.search(sentence[0])
        if who and phrases.search(sentence[0]):
            start = sentence.start() + who.start()
            yield p.finding("blame", start, sentence[0].strip(), "say what we are doing about it")


def fix_promise(p: Passage) -> Iterator[Finding]:
    """No time for the repair but the ETA of the facts."""
    tone = p.policy.tone
    fix = whole_word(tone.fix.get(p.language, ()))
    if fix is None:
        return
    soon = whole_word(tone.soon.get(p.language, ()))
    eta = p.facts.times.get("eta")
    for sentence in _SENTENCE.finditer(p.visible):
        said = sentence[0]
        if not fix.search(said):
            continue
        vague = _AHEAD.search(said) or (soon.search(said) if soon else None)
        stated = [t for t in times_of_day(said) if eta is None or not t.matches(eta, p.zones)]
        if vague or stated:
            suggestion = "use [[time:eta]]" if eta else "no time is known: say what we are doing"
            yield p.finding("fix_promise", sentence.start(), said.strip(), suggestion)


def tone(p: Passage) -> Iterator[Finding]:
    """Calm: no shouting, no phrases that say nothing."""
    words = p.policy.tone.avoid.get(p.language, {})
    pattern = whole_word(words)
    if pattern is not None and p.channel is not Channel.INTERNAL:
        better = {" ".join(k.lower().split()): v for k, v in words.items()}
        for m in pattern.finditer(p.words):
            found = " ".join(m[0].lower().split())
            yield p.finding("tone", m.start(), m[0], better[found])
    for m in re.finditer(r"!", p.without_notes):
        yield p.finding("tone", m.start(), m[0], "end with a full stop")
    for m in _CAPS.finditer(p.without_notes):
        if m[0].lower() not in p.policy.regions:
            yield p.finding("tone", m.start(), m[0], "write it in small letters")
