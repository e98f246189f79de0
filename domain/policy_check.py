"""What is wrong with a policy that has the right shape, and what it leaves open."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from domain.errors import FieldError
from domain.message import Channel, Gate, Moment
from domain.policy import Policy
from domain.policy_sections import Condition
from domain.signal import Severity


def contradictions(policy: Policy) -> list[FieldError]:
    """Names that nothing in the policy bears, and patterns that cannot be read: it is refused."""
    return [
        error
        for errors in (
            _conditions(policy),
            _confirmations(policy),
            _unknown(
                "gates", "categories", [g.categories for g in policy.gates], policy.categories
            ),
            _roles(policy),
            _names("audience.exclude_plans", policy.audience.exclude_plans, policy.plans),
            _names("audience.sms_segments", policy.audience.sms_segments, policy.segments),
            _names("audience.chat_segments", policy.audience.chat_segments, policy.segments),
            _names("delivery.first_segments", policy.delivery.first_segments, policy.segments),
        )
        for error in errors
    ]


def gaps(policy: Policy) -> list[str]:
    """What works but may surprise, one sentence each."""
    return [
        *_components_without_services(policy),
        *_words_missing(policy),
        *(
            f"people.roles.{role}: nobody holds this role"
            for role, people in policy.people.roles.items()
            if not people
        ),
        *_categories_without_rule(policy),
        *_uncovered_gates(policy),
    ]


def gate_table(policy: Policy) -> dict[Severity, dict[Moment, dict[Channel, str]]]:
    """The gate of every severity, moment and channel; "none" where nothing is sent.

    The gate is the strictest over all categories, for a message that is not a holding line.
    """
    return {
        severity: {
            moment: {channel: _strictest(policy, severity, moment, channel) for channel in Channel}
            for moment in Moment
        }
        for severity in Severity
    }


def _strictest(policy: Policy, severity: Severity, moment: Moment, channel: Channel) -> str:
    if channel not in policy.channels(severity, moment):
        return "none"
    gates = {
        policy.gate(severity, moment, channel, category, holding=False)
        for category in policy.categories
    }
    return (Gate.APPROVE if Gate.APPROVE in gates else Gate.AUTO).value


def _conditions(policy: Policy) -> Iterator[FieldError]:
    sections: dict[str, list[Condition]] = {
        "categorise": [rule.when for rule in policy.categorise],
        "confirm": [rule.when for rule in policy.confirm],
        "classify": [rule.when for rule in policy.classify],
    }
    components = policy.component_keys()
    for section, conditions in sections.items():
        for index, when in enumerate(conditions):
            where = f"{section}.{index}.when"
            yield from _names(f"{where}.components", when.components, components)
            yield from _names(f"{where}.regions", when.regions, policy.regions)
            yield from _names(f"{where}.categories", when.categories, policy.categories)
            if when.title_matches is not None:
                try:
                    re.compile(when.title_matches)
                except re.error as error:
                    yield FieldError(
                        field=f"{where}.title_matches",
                        value=when.title_matches,
                        allowed=f"a regular expression ({error})",
                    )


# What only a single alert says; an incident as a whole has none of it.
_OF_ONE_ALERT = ("sources", "labels", "metrics", "customer_impact", "title_matches")


def _confirmations(policy: Policy) -> Iterator[FieldError]:
    for index, rule in enumerate(policy.confirm):
        for key in _OF_ONE_ALERT if rule.of_whole else ():
            if getattr(rule.when, key) is not None:
                yield FieldError(
                    field=f"confirm.{index}.when.{key}",
                    value=str(getattr(rule.when, key)),
                    allowed="nothing beside sources_at_least and firing_for, which judge the "
                    "incident as a whole: severities, categories, components, regions, share",
                )


def _unknown(
    section: str, key: str, lists: list[tuple[str, ...] | None], allowed: Iterable[str]
) -> Iterator[FieldError]:
    for index, names in enumerate(lists):
        yield from _names(f"{section}.{index}.{key}", names, allowed)


def _roles(policy: Policy) -> Iterator[FieldError]:
    for name, category in policy.categories.items():
        yield from _names(
            f"categories.{name}.approver_role", (category.approver_role,), policy.people.roles
        )


def _names(
    where: str, names: tuple[str, ...] | None, allowed: Iterable[str]
) -> Iterator[FieldError]:
    known = set(allowed)
    for name in names or ():
        if name not in known:
            yield FieldError(field=where, value=name, allowed=", ".join(sorted(known)))


def _components_without_services(policy: Policy) -> Iterator[str]:
    mapped = set(policy.services.values())
    bare = [c.key for c in policy.component_list() if c.key not in mapped]
    if bare:
        yield f"services: only signals that name the key itself reach {', '.join(bare)}"


def _words_missing(policy: Policy) -> Iterator[str]:
    for locale in policy.locales:
        if locale not in policy.company.signature:
            yield f"company.signature: nothing in {locale!r}"
        for component in policy.component_list():
            if component.visible and locale not in component.names:
                yield f"components.{component.key}.names: nothing in {locale!r}"


def _categories_without_rule(policy: Policy) -> Iterator[str]:
    reached = {rule.category for rule in policy.categorise}
    bare = [category for category in policy.categories if category not in reached]
    if bare:
        yield f"categorise: no rule leads to {', '.join(bare)}"


def _uncovered_gates(policy: Policy) -> Iterator[str]:
    for severity, moments in gate_table(policy).items():
        for moment, channels in moments.items():
            bare = [
                channel.value
                for channel, gate in channels.items()
                if gate != "none" and not _has_rule(policy, severity, moment, channel)
            ]
            if bare:
                yield (
                    f"gates: no rule for {severity.value} {moment.value} on {', '.join(bare)}; "
                    "approval with escalation applies"
                )


def _has_rule(policy: Policy, severity: Severity, moment: Moment, channel: Channel) -> bool:
    found = (
        policy.gate_rule(severity, moment, channel, category, holding=False)
        for category in policy.categories
    )
    # `gate_rule` makes up a rule where none matches; it is then not one of the policy's own.
    return all(any(rule is own for own in policy.gates) for rule in found)
