"""What works in a policy but may surprise: what a support lead needs to hear before an incident.

Every finding begins with the place in the file it is about.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from domain.message import Channel, Gate, Moment
from domain.policy import Policy
from domain.policy_base import format_duration
from domain.policy_check import gate_table, has_rule
from domain.policy_sections import Condition
from domain.signal import Severity
from domain.step import STAFF_CHANNELS

CUSTOMERS = tuple(c for c in Channel if c not in STAFF_CHANNELS)


def gaps(policy: Policy) -> list[str]:
    """What works but may surprise, one sentence each."""
    return [line for look in _LOOKS for line in look(policy)]


def _components(policy: Policy) -> Iterator[str]:
    mapped = set(policy.services.values())
    bare = [c.key for c in policy.component_list() if c.key not in mapped]
    if bare:
        yield f"services: only signals that name the key itself reach {', '.join(bare)}"
    for component in policy.component_list():
        if not component.visible and not policy.customer_facing((component.key,)):
            yield (
                f"components.{component.key}: customers don't see it and nothing that they see "
                "depends on it, so an incident there concerns nobody"
            )


def _words(policy: Policy) -> Iterator[str]:
    for locale in policy.locales:
        if locale not in policy.company.signature:
            yield f"company.signature: nothing in {locale!r}"
        for component in policy.component_list() if policy.locales else ():
            for table in ("names", "impact") if component.visible else ():
                if not getattr(component, table).get(locale):
                    yield f"components.{component.key}.{table}: nothing in {locale!r}"
    routed = {c for route in policy.routes for c in route.channels}
    unlimited = [c.value for c in Channel if c in routed and c not in policy.length_limits]
    if unlimited:
        yield f"length_limits: no limit for {', '.join(unlimited)}, so length is not checked there"


def _rules(policy: Policy) -> Iterator[str]:
    reached = {rule.category for rule in policy.categorise}
    bare = [category for category in policy.categories if category not in reached]
    if bare:
        yield f"categorise: no rule leads to {', '.join(bare)}"
    found = {rule.severity for rule in policy.classify}
    missing = [severity.value for severity in Severity if severity not in found]
    if missing:
        yield f"classify: no rule leads to {', '.join(missing)}; only a human can set it"
    lists: dict[str, Sequence[Any]] = {
        "categorise": policy.categorise,
        "confirm": [rule for rule in policy.confirm if not rule.of_whole],
        "classify": policy.classify,
    }
    for section, rules in lists.items():
        yield from _unreached(section, [(rule.when, rule.reason) for rule in rules])


def _unreached(section: str, rules: Sequence[tuple[Condition, str]]) -> Iterator[str]:
    seen: list[Condition] = []
    for when, reason in rules:
        if Condition() in seen:
            yield f"{section}: the rule {reason!r} is never reached: one before it always holds"
        elif when in seen:
            yield f"{section}: the rule {reason!r} is never reached: one before it asks the same"
        seen.append(when)


def _routes(policy: Policy) -> Iterator[str]:
    open_cells: dict[str, list[str]] = {}
    for moment in Moment:
        for severity in Severity:
            if not any(severity in r.severities and moment in r.moments for r in policy.routes):
                open_cells.setdefault(moment.value, []).append(severity.value)
    at: dict[str, list[str]] = {}
    for moment_name, severities in open_cells.items():
        at.setdefault(", ".join(severities), []).append(moment_name)
    for listed, moments in at.items():
        yield (
            f"routes: no route says where {', '.join(moments)} go at {listed}, so they go nowhere; "
            "a route with channels: [] would say so"
        )
    taken: set[tuple[Severity, Moment]] = set()
    for index, route in enumerate(policy.routes):
        wanted = {(severity, moment) for severity in route.severities for moment in route.moments}
        if wanted and wanted <= taken:
            yield f"routes.{index}: never reached: routes before it name all that it names"
        taken |= wanted


def _confirmation(policy: Policy) -> Iterator[str]:
    if not policy.confirm:
        yield "confirm: no rule confirms customer impact: every incident waits for a human"
        return
    by_hand = [
        name
        for name in policy.categories
        if not any(_may_confirm(rule.when, name) for rule in policy.confirm)
    ]
    if by_hand:
        yield f"confirm: only a human can confirm {', '.join(by_hand)}"


def _may_confirm(when: Condition, category: str) -> bool:
    return when.categories is None or category in when.categories


def _rhythm(policy: Policy) -> Iterator[str]:
    for severity, plan in policy.severities.items():
        where, every = f"severities.{severity.value}", plan.update_every
        routed = policy.channels(severity, Moment.UPDATE)
        if every is None:
            if set(routed) & set(CUSTOMERS):
                yield f"{where}.update_every: none, so updates go out only when somebody writes one"
            continue
        if not set(routed) & set(CUSTOMERS):
            yield (
                f"{where}.update_every: an update every {format_duration(every)} is promised, "
                "but no route takes it to customers"
            )
        lead = policy.promises.remind_before
        if lead >= every:
            yield (
                f"{where}.update_every: {format_duration(every)} is not longer than "
                f"promises.remind_before ({format_duration(lead)}), so nobody is reminded"
            )
        if policy.promises.on_silence == "holding":
            waiting = _waiting_lines(policy, severity, routed)
            if waiting:
                yield (
                    f"gates: at {severity.value} holding lines need approval on "
                    f"{', '.join(waiting)}, so a promise there is missed when nobody answers"
                )
    if policy.promises.on_silence == "hold":
        yield "promises.on_silence: hold, so a promise that nobody writes for is missed"


def _waiting_lines(policy: Policy, severity: Severity, routed: Iterable[Channel]) -> list[str]:
    return [
        channel.value
        for channel in routed
        if channel not in STAFF_CHANNELS
        and any(
            policy.gate(severity, Moment.UPDATE, channel, category, holding=True) is Gate.APPROVE
            for category in policy.categories
        )
    ]


def _people(policy: Policy) -> Iterator[str]:
    roles, approval = policy.people.roles, policy.approval
    for role, people in roles.items():
        if not people:
            yield f"people.roles.{role}: nobody holds this role"
    if "commander" not in roles:
        yield "people.roles.commander: the role is missing, so nobody is reminded of promises"
    for role in dict.fromkeys(c.approver_role for c in policy.categories.values()):
        if len(roles.get(role, ())) != 1:
            continue
        yield f"people.roles.{role}: one person alone; when they don't answer, nobody else is asked"
        if approval.four_eyes:
            yield f"approval.four_eyes: the role {role} has one person, so nothing can go out"
    if approval.remind_after >= approval.escalate_after:
        yield (
            f"approval.remind_after: the reminder ({format_duration(approval.remind_after)}) comes "
            f"no sooner than the next person is asked ({format_duration(approval.escalate_after)})"
        )


def _gates(policy: Policy) -> Iterator[str]:
    for severity, moments in gate_table(policy).items():
        for moment, channels in moments.items():
            bare = [
                channel.value
                for channel, gate in channels.items()
                if gate != "none" and not has_rule(policy, severity, moment, channel)
            ]
            if bare:
                yield (
                    f"gates: no rule for {severity.value} {moment.value} on {', '.join(bare)}; "
                    "approval with escalation applies"
                )


def _unseen(policy: Policy) -> Iterator[str]:
    """What customers read that no human saw first, in as few lines as can be."""
    found: dict[tuple[tuple[str, ...], tuple[str, ...]], list[str]] = {}
    for severity in Severity:
        for moment in Moment:
            free: dict[str, list[str]] = {}
            for channel in policy.channels(severity, moment):
                for category in policy.categories if channel in CUSTOMERS else ():
                    if policy.gate(severity, moment, channel, category, False) is Gate.AUTO:
                        free.setdefault(channel.value, []).append(category)
            if free:
                categories = tuple(
                    c for c in policy.categories if any(c in v for v in free.values())
                )
                found.setdefault((tuple(free), categories), []).append(
                    f"{severity.value} {moment.value}"
                )
    for (channels, categories), cells in found.items():
        yield (
            f"gates: nobody sees {', '.join(cells)} before customers do on {', '.join(channels)}, "
            f"for {', '.join(categories)}"
        )


_LOOKS: tuple[Callable[[Policy], Iterator[str]], ...] = (
    _components,
    _words,
    _rules,
    _routes,
    _confirmation,
    _rhythm,
    _people,
    _gates,
    _unseen,
)
