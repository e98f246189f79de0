"""The communication plan a support lead edits: typed, validated, hashed.

Every rule and figure of the product stands in `content/policy/*.yaml`; this file puts the sections
together and answers the questions that the plan asks of them.
"""

from __future__ import annotations

import hashlib
import json
from typing import Literal, Self

from pydantic import Field, model_validator

from domain.credits import CreditPolicy
from domain.duties import Assessment, Extended, Trust
from domain.maintenance_policy import MaintenancePlan
from domain.message import Channel, Gate, Moment
from domain.policy_base import Later, Strict
from domain.policy_sections import (
    Approval,
    Audience,
    Category,
    CategoryRule,
    Company,
    Component,
    Condition,
    ConfirmationRule,
    Delivery,
    GateRule,
    Grouping,
    People,
    Promises,
    QuietHours,
    Resolution,
    Retention,
    Route,
    SeverityPlan,
    SeverityRule,
)
from domain.policy_tone import Tone
from domain.signal import Severity, Signal


class Policy(Strict):
    """The whole communication plan; `hash` is over its canonical form."""

    version: Literal[1]
    company: Company
    locales: tuple[str, ...]
    components: tuple[Component, ...]
    services: dict[str, str] = Field(default_factory=dict)
    plans: tuple[str, ...]
    segments: tuple[str, ...]
    regions: tuple[str, ...]
    categories: dict[str, Category]
    categorise: tuple[CategoryRule, ...]
    confirm: tuple[ConfirmationRule, ...]
    classify: tuple[SeverityRule, ...]
    severities: dict[Severity, SeverityPlan]
    routes: tuple[Route, ...]
    gates: tuple[GateRule, ...]
    approval: Approval
    grouping: Grouping
    resolution: Resolution
    promises: Promises
    assessment: Later[Assessment | None] = None
    extended: Later[Extended | None] = None
    trust: Later[Trust | None] = None
    delivery: Delivery
    audience: Audience
    people: People
    retention: Retention = Retention()
    maintenance: Later[MaintenancePlan | None] = None
    jargon: dict[str, dict[str, str]] = Field(default_factory=dict)
    tone: Tone = Tone()
    length_limits: dict[Channel, int]
    credits: Later[CreditPolicy | None] = None
    quiet_hours: Later[QuietHours | None] = None

    @model_validator(mode="after")
    def _refer_to_known_things(self) -> Self:
        known = self.component_keys()
        if len(known) != len(self.component_list()):
            raise ValueError("components: a key is used twice")
        for component in self.component_list():
            for key in component.depends_on:
                if key not in known:
                    raise ValueError(
                        f"components.{component.key}.depends_on: {key!r} is not a component; "
                        f"allowed: {', '.join(sorted(known))}"
                    )
        for key in self.grouping.lead:
            if key not in known:
                raise ValueError(
                    f"grouping.lead: {key!r} is not a component; "
                    f"allowed: {', '.join(sorted(known))}"
                )
        for service, key in self.services.items():
            if key not in known:
                raise ValueError(
                    f"services.{service}: {key!r} is not a component; "
                    f"allowed: {', '.join(sorted(known))}"
                )
        for index, rule in enumerate(self.categorise):
            if rule.category not in self.categories:
                raise ValueError(
                    f"categorise.{index}.category: {rule.category!r} is not a category; "
                    f"allowed: {', '.join(self.categories)}"
                )
        for severity in Severity:
            if severity not in self.severities:
                raise ValueError(f"severities: {severity.value} is missing")
        if self.categorise[-1:] and self.categorise[-1].when != Condition():
            raise ValueError("categorise: the last rule must have no condition")
        if self.classify[-1:] and self.classify[-1].when != Condition():
            raise ValueError("classify: the last rule must have no condition")
        for severity, plan in self.severities.items():
            for role in plan.duties.tell if plan.duties is not None else ():
                if role not in self.people.roles:
                    raise ValueError(
                        f"severities.{severity.value}.duties.tell: {role!r} is not a role; "
                        f"allowed: {', '.join(self.people.roles)}"
                    )
        for name in self.trust.accepted if self.trust is not None else ():
            if name not in self.categories:
                raise ValueError(
                    f"trust.accepted: {name!r} is not a category; "
                    f"allowed: {', '.join(self.categories)}"
                )
        if self.maintenance is not None and "maintenance" not in self.categories:
            raise ValueError("categories: maintenance is missing, and the policy plans some")
        self._refuse_unguarded_silence()
        return self

    def _refuse_unguarded_silence(self) -> None:
        """P1 and compliance-bound categories are never sent because nobody answered (PRODUCT 5)."""
        for severity in Severity:
            for name, category in self.categories.items():
                if severity is not Severity.P1 and not category.compliance_bound:
                    continue
                for moment in Moment:
                    for channel in Channel:
                        rule = self.gate_rule(severity, moment, channel, name, holding=False)
                        if rule.gate is Gate.APPROVE and rule.on_silence == "send":
                            raise ValueError(
                                f"gates: silence → send is not allowed for {severity.value} "
                                f"{name} {moment.value} {channel.value}; allowed: hold, escalate"
                            )

    # Components

    def component_list(self) -> list[Component]:
        """Every component, parents before children."""

        def walk(items: tuple[Component, ...]) -> list[Component]:
            return [c for item in items for c in (item, *walk(item.children))]

        return walk(self.components)

    def component_keys(self) -> set[str]:
        return {c.key for c in self.component_list()}

    def component(self, key: str) -> Component:
        return next(c for c in self.component_list() if c.key == key)

    def map_components(self, signal: Signal) -> tuple[str, ...]:
        """Component keys a signal speaks of: named ones, mapped services, `component`/`service`
        labels that equal a key (INTERFACES, Files in)."""
        known = self.component_keys()
        names = [*signal.components, *signal.services]
        names += [signal.labels[k] for k in ("component", "service") if k in signal.labels]
        keys = [self.services.get(name, name) for name in names]
        return tuple(dict.fromkeys(k for k in keys if k in known))

    def dependents(self, key: str) -> set[str]:
        """Components that depend on `key`, directly or through others; children too."""
        found: set[str] = set()
        todo = [key]
        while todo:
            current = todo.pop()
            for c in self.component_list():
                if c.key not in found and current in c.depends_on:
                    found.add(c.key)
                    todo.append(c.key)
        return found

    def related(self, key: str) -> set[str]:
        """`key`, what depends on it and what it depends on: the reach of grouping."""
        upstream: set[str] = set()
        todo = [key]
        while todo:
            for dep in self.component(todo.pop()).depends_on:
                if dep not in upstream:
                    upstream.add(dep)
                    todo.append(dep)
        return {key} | self.dependents(key) | upstream

    def customer_facing(self, keys: tuple[str, ...]) -> tuple[str, ...]:
        """Visible components that customers feel: hidden ones are replaced by their dependents."""
        out: list[str] = []
        for key in keys:
            component = self.component(key)
            if component.visible:
                out.append(key)
            else:
                out += [
                    c.key
                    for c in self.component_list()
                    if c.key in self.dependents(key) and c.visible
                ]
        return self._felt_most_first(tuple(dict.fromkeys(out)))

    def _felt_most_first(self, keys: tuple[str, ...]) -> tuple[str, ...]:
        """Those that policy lets lead, then those that stand on the most others."""
        lead = self.grouping.lead
        if len(keys) < 2:
            return keys
        rank = {key: place for place, key in enumerate(lead)}
        return tuple(
            sorted(keys, key=lambda key: (rank.get(key, len(lead)), -self._depth(key, ())))
        )

    def _depth(self, key: str, above: tuple[str, ...]) -> int:
        """How many components lie behind one, at the longest; a circle ends where it began."""
        behind = [d for d in self.component(key).depends_on if d not in above]
        return max((1 + self._depth(d, (*above, key)) for d in behind), default=0)

    def with_children(self, keys: tuple[str, ...]) -> tuple[str, ...]:
        """The keys and everything below them in the tree."""
        out: list[str] = []

        def add(component: Component) -> None:
            out.append(component.key)
            for child in component.children:
                add(child)

        for key in keys:
            add(self.component(key))
        return tuple(dict.fromkeys(out))

    # Routing

    def channels(self, severity: Severity, moment: Moment) -> tuple[Channel, ...]:
        """Channels that carry a moment at a severity; empty is an explicit "none"."""
        for route in self.routes:
            if severity in route.severities and moment in route.moments:
                return route.channels
        return ()

    def gate_rule(
        self,
        severity: Severity,
        moment: Moment,
        channel: Channel,
        category: str,
        holding: bool,
    ) -> GateRule:
        """The first gate rule that matches; approval with escalation where none does."""
        for rule in self.gates:
            if (
                (rule.severities is None or severity in rule.severities)
                and (rule.moments is None or moment in rule.moments)
                and (rule.channels is None or channel in rule.channels)
                and (rule.categories is None or category in rule.categories)
                and (rule.holding is None or rule.holding == holding)
            ):
                return rule
        return GateRule(gate=Gate.APPROVE)

    def gate(
        self, severity: Severity, moment: Moment, channel: Channel, category: str, holding: bool
    ) -> Gate:
        """The gate; compliance-bound categories are never automatic towards customers."""
        rule = self.gate_rule(severity, moment, channel, category, holding)
        bound = self.categories[category].compliance_bound and not holding
        if bound and channel not in (Channel.INTERNAL, Channel.TICKET):
            return Gate.APPROVE
        return rule.gate

    # Identity

    @property
    def hash(self) -> str:
        """SHA-256 of the canonical JSON, 16 hex digits: names this policy in the audit log."""
        # Sorted, because JSONB gives the keys back in its own order.
        canonical = json.dumps(self.model_dump(mode="json"), sort_keys=True)
        return hashlib.sha256(canonical.encode()).hexdigest()[:16]
