"""What is wrong with a policy that has the right shape, and who lets what out."""

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


def has_rule(policy: Policy, severity: Severity, moment: Moment, channel: Channel) -> bool:
    """Whether a rule of the file itself speaks of it, in every category."""
    found = (
        policy.gate_rule(severity, moment, channel, category, holding=False)
        for category in policy.categories
    )
    # `gate_rule` makes up a rule where none matches; it is then not one of the policy's own.
    return all(any(rule is own for own in policy.gates) for rule in found)
