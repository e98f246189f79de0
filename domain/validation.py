"""What every draft passes before anybody sees it, whoever wrote it (PRODUCT 4).

The rules are in `domain/rules`, one small function each; this file says which apply where.
"""

from __future__ import annotations

from collections.abc import Iterable

from domain.message import Channel, DraftText, DraftVersion, Facts, Finding, Moment
from domain.policy import Policy
from domain.rules import (
    counted,
    disguise,
    internal,
    names,
    parts,
    presence,
    traceable,
    worded,
    wording,
)
from domain.rules.base import Passage, Rule
from domain.rules.language import right_language
from domain.rules.length import length
from domain.rules.paragraphs import foreign_paragraph

# What no published text may hold, with or without facts beside it.
SENSITIVE: tuple[Rule, ...] = (
    internal.addresses,
    internal.hosts,
    internal.references,
    internal.traces,
    internal.secrets,
    names.other_customers,
    names.companies,
    wording.blame,
    wording.jargon,
)
RULES: tuple[Rule, ...] = (
    length,
    presence.subject,
    presence.status_link,
    presence.next_update,
    presence.placeholders,
    traceable.times,
    traceable.numbers,
    worded.lengths,
    worded.shares,
    worded.crowds,
    worded.days,
    counted.clocks,
    counted.numerals,
    counted.ratios,
    names.components,
    parts.parts,
    names.regions,
    names.people,
    names.recipient_name,
    *SENSITIVE,
    internal.markup,
    disguise.hidden,
    disguise.html_differs,
    wording.fix_promise,
    wording.cause,
    wording.overclaim,
    wording.minimise,
    wording.tone,
    wording.residue,
    right_language,
    foreign_paragraph,
)


def validate_text(
    text: DraftText, facts: Facts, policy: Policy, other_customers: Iterable[str] = ()
) -> tuple[Finding, ...]:
    """Every rule that a text breaks and where; `other_customers` are names it must not hold."""
    return _apply(RULES, text, facts, policy, tuple(other_customers))


def validate_draft(
    draft: DraftVersion, policy: Policy, other_customers: Iterable[str] = ()
) -> tuple[Finding, ...]:
    """The findings of all texts of a version."""
    others = tuple(other_customers)
    return tuple(
        f for text in draft.texts for f in validate_text(text, draft.facts, policy, others)
    )


def sensitive_findings(
    text: str, policy: Policy, other_customers: Iterable[str] = (), locale: str = "en"
) -> tuple[Finding, ...]:
    """What keeps a document, such as a post-mortem, from being published."""
    document = DraftText(channel=Channel.STATUS_PAGE, locale=locale, text=text)
    nothing = Facts(incident_id="", moment=Moment.POST_MORTEM, severity="", stage="", category="")
    return _apply(SENSITIVE, document, nothing, policy, tuple(other_customers))


def _apply(
    rules: Iterable[Rule],
    text: DraftText,
    facts: Facts,
    policy: Policy,
    other_customers: tuple[str, ...],
) -> tuple[Finding, ...]:
    fields = (("subject", text.subject), ("text", text.text), ("html", text.html))
    passages = [
        Passage(text, field, raw, facts, policy, other_customers)
        for field, raw in fields
        if raw is not None
    ]
    found = (f for passage in passages for rule in rules for f in rule(passage))
    return tuple(dict.fromkeys(found))
