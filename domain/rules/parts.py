"""Components by their common names: "the reports are late too" names one as much as its own name.

Only what says that such a part fails counts, for the words are everybody's: "we have had reports",
"check your connection".
"""

from __future__ import annotations

from collections.abc import Iterator

from domain.message import Finding
from domain.rules.advice import clause_at, is_advice
from domain.rules.base import Passage


def parts(p: Passage) -> Iterator[Finding]:
    """No part of the service that is not affected is said to fail, whatever it is called."""
    related = {c.key for c in p.known.related}
    named = ", ".join(p.facts.component_names.get(p.draft.locale, ())) or "none"
    for key in p.lists.parts:
        if key in related:
            continue
        for start, end in p.spans(f"part {key}"):
            if _fails(p, start) and not _is_noted(p, start, end):
                yield p.finding("component", start, p.words[start:end], f"affected are: {named}")


def _fails(p: Passage, at: int) -> bool:
    """Whether the clause says that it fails, or that it does so as well."""
    sentence = p.sentence_at(at)
    if sentence is None or any(p.within("unaffected", *sentence)):
        return False
    if is_advice(p, sentence):
        return False
    clause = clause_at(p, sentence, at)
    return any(p.within("failing", *clause)) or any(p.within("likewise", *clause))


def _is_noted(p: Passage, start: int, end: int) -> bool:
    said = p.words[start:end]
    return any(said in note for note in p.notes)
