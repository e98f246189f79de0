"""The communication plan a support lead edits: typed, validated, hashed.

Every rule and figure of the product stands in `content/policy/*.yaml`; this file only says what
shape they have and answers the questions that the plan asks of them.
"""

from __future__ import annotations

import hashlib
import json
import re
from datetime import timedelta
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from domain.message import Channel, Gate, Moment
from domain.signal import Severity, Share, Signal

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)([smhdw])")


def parse_duration(value: object) -> object:
    """Read `30m`, `48h`, `1h30m`, `20s`; anything else is left for pydantic to judge."""
    if isinstance(value, timedelta):
        return value
    if not isinstance(value, str):
        raise ValueError("allowed: a duration like 20s, 30m, 48h, 7d")
    text = value.strip()
    if not text or _DURATION.sub("", text):
        raise ValueError("allowed: a duration like 20s, 30m, 48h, 7d")
    return timedelta(seconds=sum(float(n) * _UNITS[u] for n, u in _DURATION.findall(text)))


def format_duration(value: timedelta) -> str:
    """The shortest exact form that `parse_duration` reads back."""
    seconds = value.total_seconds()
    for unit in ("w", "d", "h", "m"):
        if seconds and seconds % _UNITS[unit] == 0:
            return f"{int(seconds // _UNITS[unit])}{unit}"
    return f"{seconds:g}s"


Duration = Annotated[timedelta, BeforeValidator(parse_duration), PlainSerializer(format_duration)]


class Strict(BaseModel):
    """A policy section: unknown keys are refused, values don't change."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Component(Strict):
    """A part of the service. `names` is locale → what customers call it; hidden ones have none."""

    key: str
    names: dict[str, str] = Field(default_factory=dict)
    impact: dict[str, str] = Field(default_factory=dict)
    visible: bool = True
    depends_on: tuple[str, ...] = ()
    children: tuple[Component, ...] = ()


class Company(Strict):
    """Who speaks: name, reply address, signature and links, by locale where they are words."""

    name: str
    support_email: str
    from_email: str
    signature: dict[str, str]
    timezone: str = "UTC"


class Over(Strict):
    """A threshold on a metric: more than `over`."""

    over: float


class Condition(Strict):
    """All that are given must hold; an empty condition always holds.

    `share_over` and `share_from` compare the affected share (0…1); an unknown share never holds.
    """

    sources: tuple[str, ...] | None = None
    components: tuple[str, ...] | None = None
    regions: tuple[str, ...] | None = None
    has_regions: bool | None = None
    severities: tuple[Severity, ...] | None = None
    categories: tuple[str, ...] | None = None
    labels: dict[str, tuple[str, ...]] | None = None
    metrics: dict[str, Over] | None = None
    share_over: Share | None = None
    share_from: Share | None = None
    customer_impact: bool | None = None
    title_matches: str | None = None

    def holds(self, signal: Signal, components: tuple[str, ...], category: str | None) -> bool:
        """Whether a signal meets the condition; `components` are policy keys."""
        share = signal.affected_share
        checks = (
            self.sources is None or signal.source in self.sources,
            self.components is None or bool(set(components) & set(self.components)),
            self.regions is None or bool(set(signal.regions) & set(self.regions)),
            self.has_regions is None or bool(signal.regions) == self.has_regions,
            self.severities is None or signal.severity in self.severities,
            self.categories is None or category in self.categories,
            self.labels is None
            or all(signal.labels.get(k) in allowed for k, allowed in self.labels.items()),
            self.metrics is None
            or all(
                k in signal.metrics and signal.metrics[k] > m.over for k, m in self.metrics.items()
            ),
            self.share_over is None or (share is not None and share > self.share_over),
            self.share_from is None or (share is not None and share >= self.share_from),
            self.customer_impact is None or signal.customer_impact is self.customer_impact,
            self.title_matches is None
            or re.search(self.title_matches, signal.title, re.IGNORECASE) is not None,
        )
        return all(checks)


class CategoryRule(Strict):
    when: Condition = Condition()
    category: str
    reason: str


class SeverityRule(Strict):
    when: Condition = Condition()
    severity: Severity
    reason: str


class ConfirmationRule(Strict):
    when: Condition
    reason: str


class Category(Strict):
    """A kind of incident; `compliance_bound` ones always need approval (PRODUCT 2)."""

    compliance_bound: bool = False
    approver_role: str = "approver"


class PostMortemDuty(Strict):
    """What is owed after an incident: its reviewers are reminded before the deadline, and past it
    the next person is asked, again at each `escalate_every`.

    What is empty and came after 0.2.0 is not written, so that older policies keep their hash.
    """

    kind: Literal["public", "internal", "none"]
    within: Duration | None = None
    remind_before: Annotated[tuple[Duration, ...], Field(exclude_if=lambda listed: not listed)] = ()
    escalate_every: Annotated[Duration | None, Field(exclude_if=lambda every: every is None)] = None


class SeverityPlan(Strict):
    """What a severity means: criteria in words, rhythm, targets, status page forms."""

    criteria: str
    response: str
    update_every: Duration | None
    target_resolution: Duration | None
    post_mortem: PostMortemDuty
    statuspage_impact: Literal["critical", "major", "minor", "none"]
    component_status: Literal[
        "operational", "degraded_performance", "partial_outage", "major_outage"
    ]


class Route(Strict):
    """Where moments of some severities go: first route that names severity and moment wins.

    A channel without an entry is an explicit "none" for them.
    """

    severities: tuple[Severity, ...]
    moments: tuple[Moment, ...]
    channels: tuple[Channel, ...]


class GateRule(Strict):
    """Who lets a message out; first match wins. `holding` rules speak of holding lines only."""

    severities: tuple[Severity, ...] | None = None
    moments: tuple[Moment, ...] | None = None
    channels: tuple[Channel, ...] | None = None
    categories: tuple[str, ...] | None = None
    holding: bool | None = None
    gate: Gate
    on_silence: Literal["send", "hold", "escalate"] = "escalate"


class Approval(Strict):
    remind_after: Duration
    escalate_after: Duration
    four_eyes: bool = False


class Grouping(Strict):
    """When alerts join one incident, and for how long a re-fire re-opens it."""

    window: Duration
    reopen_within: Duration


class Resolution(Strict):
    stable_for: Duration


class Promises(Strict):
    """When the commander is reminded, and how long before the due time the holding line goes."""

    remind_before: Duration
    holding_lead: Duration
    on_silence: Literal["holding", "hold"] = "holding"


class Delivery(Strict):
    """How messages leave: shared rate per channel, leases, attempts, and what unknown means."""

    rate_per_minute: dict[Channel, Annotated[int, Field(ge=1)] | None]
    on_unknown: dict[Channel, Literal["resend", "hold"]]
    max_attempts: int = Field(default=8, ge=1)
    retry_base: Duration
    retry_cap: Duration
    expires_after: Duration
    first_segments: tuple[str, ...] = ()


class Audience(Strict):
    """Who is in an audience; the choices for missing data are stated in the preview."""

    exclude_plans: tuple[str, ...] = ()
    active_within: Duration | None = None
    unknown_activity: Literal["include", "exclude"] = "include"
    unknown_region: Literal["include", "exclude"] = "include"
    data_age_limit: Duration
    sms_segments: tuple[str, ...] = ()
    chat_segments: tuple[str, ...] = ()


SlackUser = Annotated[str, Field(pattern=r"^[UW][A-Z0-9]{2,20}$")]


class People(Strict):
    """Role → names, in escalation order; `slack` says which Slack user is which of these names."""

    roles: dict[str, tuple[str, ...]]
    slack: dict[SlackUser, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _are_named(self) -> Self:
        named = {name for names in self.roles.values() for name in names}
        for user, name in self.slack.items():
            if name not in named:
                raise ValueError(
                    f"slack.{user}: {name!r} has no role; allowed: {', '.join(sorted(named))}"
                )
        return self

    def roles_of(self, name: str) -> frozenset[str]:
        """The roles that a name has."""
        return frozenset(role for role, names in self.roles.items() if name in names)

    def slack_users(self, name: str) -> tuple[str, ...]:
        """The Slack users behind a name."""
        return tuple(user for user, known in self.slack.items() if known == name)


class Blame(Strict):
    """Phrases that put the fault on whoever is named right after, or right before, them.

    Until 0.2.0 one list said both: it is still read, and written as it was.
    """

    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _read_one_list(cls, given: Any) -> Any:
        return {"before": given, "after": given} if isinstance(given, list | tuple) else given

    @model_serializer(mode="wrap")
    def _write_one_list(self, write: SerializerFunctionWrapHandler) -> Any:
        # A policy keeps its hash, and workers of 0.2.0 can read it, only if it stays as it was.
        return list(self.before) if self.before == self.after else write(self)


class Span(Strict):
    """How a language says a length of time: numbers in words, units, and words before them."""

    ahead: tuple[str, ...] = ()
    counts: dict[str, float] = Field(default_factory=dict)
    units: dict[str, Duration] = Field(default_factory=dict)


# A word list that policies of 0.2.0 did not have.
_T = TypeVar("_T")
Later = Annotated[_T, Field(exclude_if=lambda listed: not listed)]


class Tone(Strict):
    """Words that drafts are checked against, by locale; `domain/rules/phrases.py` says how.

    `stop_words` are the small words that give a language away; `blame` puts the fault on one of
    `vendors`; `fix` announces a repair, `soon` is a time that nobody can hold us to, and `unsure`
    says that the time is not known; `avoid`, `overclaim` and `minimise` are phrases and what to say
    instead; `residue` is what is left of a conversation with a model; `gaps` are words for
    something still to be filled in; `unaffected` says that a thing works; `greetings` open a letter
    and `anyone` may follow one instead of a name; `warm` may end with an exclamation mark;
    `titles`, `given_names` and `surnames` give a person away, `places` (by region key, or `sites`)
    a place; `products` are names with figures or capitals of their own; `counted` stands before a
    figure that counts our own lines; `fixed` are figures of speech; `fractions` are shares in
    words, as percentages; `zones` name a time zone, and `home` is the zone of most who read a
    language. `repair` are stems that promise a repair where a time stands in the same clause, but
    not with a word of `informs`; `joins` divide clauses, and `today` may be past. `suppliers` are
    blamed by being named, but after one of `paths`, and `partners` by any word of `trouble`; one of
    `disclaims` puts the fault elsewhere. `causes` tell a cause, and the name before one of
    `companies` is a company's. `scales` make a figure larger and `crowds` stand for one;
    `yesterday`, `weekdays` (from Monday) after a word of `since`, and `hours` tell a time in words,
    and `roughly` before one says that it is rounded. After one of `callers`, or before one of
    `belonging`, a given name alone names a person; `fill` is what a forgotten gap asks for, even in
    round brackets. `advice` asks something of the reader, and so does one of `orders` where it
    opens a clause: a figure there is advice, of any size with one of `limits`, but none with one of
    `told`. `parts` are what customers call components (by key), which are said to fail with a word
    of `failing`, or of `likewise`; `things` are customers, of whom even a few are counted.

    What is empty and came after 0.2.0 is not written, so that older policies keep their hash.
    """

    stop_words: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    vendors: tuple[str, ...] = ()
    blame: dict[str, Blame] = Field(default_factory=dict)
    fix: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    soon: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    unsure: Later[dict[str, tuple[str, ...]]] = Field(default_factory=dict)
    spans: Later[dict[str, Span]] = Field(default_factory=dict)
    avoid: dict[str, dict[str, str]] = Field(default_factory=dict)
    overclaim: Later[dict[str, dict[str, str]]] = Field(default_factory=dict)
    minimise: Later[dict[str, dict[str, str]]] = Field(default_factory=dict)
    residue: Later[dict[str, tuple[str, ...]]] = Field(default_factory=dict)
    gaps: Later[tuple[str, ...]] = ()
    unaffected: Later[dict[str, tuple[str, ...]]] = Field(default_factory=dict)
    greetings: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    anyone: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    warm: Later[tuple[str, ...]] = ()
    titles: Later[tuple[str, ...]] = ()
    given_names: Later[tuple[str, ...]] = ()
    surnames: Later[tuple[str, ...]] = ()
    places: Later[dict[str, tuple[str, ...]]] = Field(default_factory=dict)
    products: Later[tuple[str, ...]] = ()
    counted: Later[tuple[str, ...]] = ()
    fixed: Later[tuple[str, ...]] = ()
    fractions: Later[dict[str, dict[str, float]]] = Field(default_factory=dict)
    zones: Later[dict[str, str]] = Field(default_factory=dict)
    home: Later[dict[str, str]] = Field(default_factory=dict)
    repair: Later[dict[str, tuple[str, ...]]] = Field(default_factory=dict)
    informs: Later[dict[str, tuple[str, ...]]] = Field(default_factory=dict)
    joins: Later[dict[str, tuple[str, ...]]] = Field(default_factory=dict)
    today: Later[tuple[str, ...]] = ()
    suppliers: Later[tuple[str, ...]] = ()
    paths: Later[tuple[str, ...]] = ()
    partners: Later[tuple[str, ...]] = ()
    disclaims: Later[tuple[str, ...]] = ()
    causes: Later[dict[str, tuple[str, ...]]] = Field(default_factory=dict)
    companies: Later[tuple[str, ...]] = ()
    trouble: Later[dict[str, tuple[str, ...]]] = Field(default_factory=dict)
    scales: Later[dict[str, float]] = Field(default_factory=dict)
    crowds: Later[dict[str, float]] = Field(default_factory=dict)
    yesterday: Later[tuple[str, ...]] = ()
    since: Later[tuple[str, ...]] = ()
    weekdays: Later[tuple[tuple[str, ...], ...]] = ()
    hours: Later[dict[str, str]] = Field(default_factory=dict)
    roughly: Later[tuple[str, ...]] = ()
    callers: Later[tuple[str, ...]] = ()
    belonging: Later[tuple[str, ...]] = ()
    fill: Later[tuple[str, ...]] = ()
    advice: Later[dict[str, tuple[str, ...]]] = Field(default_factory=dict)
    orders: Later[dict[str, tuple[str, ...]]] = Field(default_factory=dict)
    limits: Later[dict[str, tuple[str, ...]]] = Field(default_factory=dict)
    told: Later[dict[str, tuple[str, ...]]] = Field(default_factory=dict)
    parts: Later[dict[str, dict[str, tuple[str, ...]]]] = Field(default_factory=dict)
    failing: Later[dict[str, tuple[str, ...]]] = Field(default_factory=dict)
    likewise: Later[dict[str, tuple[str, ...]]] = Field(default_factory=dict)
    things: Later[dict[str, tuple[str, ...]]] = Field(default_factory=dict)


# Shorter would delete what a running day still needs; what has no figure is kept for good.
Kept = Annotated[Duration, Field(ge=timedelta(days=1))] | None


class Retention(Strict):
    """How long each group of rows is kept once it is over; a group without a figure stays."""

    signals: Kept = None
    addresses: Kept = None
    unsent_drafts: Kept = None
    audiences: Kept = None
    chat: Kept = None
    idempotency: Kept = None
    tokens: Kept = None
    imports: Kept = None


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
    delivery: Delivery
    audience: Audience
    people: People
    retention: Retention = Retention()
    jargon: dict[str, dict[str, str]] = Field(default_factory=dict)
    tone: Tone = Tone()
    length_limits: dict[Channel, int]

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
        return tuple(dict.fromkeys(out))

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


def policy_errors(errors: list[Any]) -> list[str]:
    """Pydantic's findings as `path: value, allowed: …` lines for a person."""
    lines = []
    for e in errors:
        path = ".".join(str(p) for p in e["loc"]) or "policy"
        given = repr(e.get("input"))
        shown = "" if e["type"] == "value_error" and not e["loc"] else f" got {given[:80]};"
        message = e["msg"].removeprefix("Value error, ")
        if not e["loc"] and ":" in message:
            lines.append(message)
        else:
            lines.append(f"{path}:{shown} {message}")
    return lines
