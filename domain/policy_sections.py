"""The sections of the policy: shapes only, every figure stands in `content/policy/*.yaml`."""

from __future__ import annotations

import re
from datetime import time, timedelta
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from domain.duties import Duties
from domain.message import PER_CONTACT, Channel, Gate, Moment
from domain.policy_base import Duration, Later, Strict
from domain.signal import Severity, Share, Signal


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
    """When customers may hear of it without a human's button (PRODUCT 2).

    Without `sources_at_least` and `firing_for` a single alert that meets `when` confirms. With
    them the incident is judged as a whole: `when` by its severity, category, components, regions
    and share, and all that is given must hold: so many monitors fire, and it fires for so long.
    """

    when: Condition
    sources_at_least: Later[Annotated[int, Field(ge=2)] | None] = None
    firing_for: Later[Annotated[Duration, Field(gt=timedelta(0))] | None] = None
    reason: str

    @property
    def of_whole(self) -> bool:
        """Whether the incident as a whole is judged, rather than one alert."""
        return self.sources_at_least is not None or self.firing_for is not None


class Category(Strict):
    """A kind of incident; `compliance_bound` ones always need approval (PRODUCT 2).

    `dry_run`: of incidents that open in it nothing leaves, everything else happens.
    """

    compliance_bound: bool = False
    approver_role: str = "approver"
    dry_run: Later[bool] = False


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
    duties: Later[Duties | None] = None
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
    """How long an approver may be silent, and what needs two people.

    Past the end of the chain the last one is reminded at each `remind_every`. A message to more
    than `second_over` of all customers needs a second approval.
    """

    remind_after: Duration
    escalate_after: Duration
    four_eyes: bool = False
    remind_every: Later[Duration | None] = None
    second_over: Annotated[Share | None, Field(exclude_if=lambda share: share is None)] = None


class Grouping(Strict):
    """When alerts join one incident, and for how long a re-fire re-opens it.

    `merge`: an alert that belongs to two open incidents makes them one. `lead`: components that
    a message names first, before those that depend on the most others.
    """

    window: Duration
    reopen_within: Duration
    merge: Later[bool] = False
    lead: Later[tuple[str, ...]] = ()


class Resolution(Strict):
    """When an end is believed; `correct_after_end`: a false alarm found later is said to be one."""

    stable_for: Duration
    correct_after_end: Later[bool] = False


class Promises(Strict):
    """When the commander is reminded, and how long before the due time the holding line goes.

    With `suggest` the reminder brings an update to edit. It stays quiet where a human wrote within
    `quiet_after` and nothing has changed since.
    """

    remind_before: Duration
    holding_lead: Duration
    on_silence: Literal["holding", "hold"] = "holding"
    suggest: Later[bool] = False
    quiet_after: Later[Duration | None] = None


class Delivery(Strict):
    """How messages leave: shared rate per channel, leases, attempts, and what unknown means.

    `fallback`: channel → where a person is told who cannot be reached there, in this order.
    """

    rate_per_minute: dict[Channel, Annotated[int, Field(ge=1)] | None]
    on_unknown: dict[Channel, Literal["resend", "hold"]]
    max_attempts: int = Field(default=8, ge=1)
    retry_base: Duration
    retry_cap: Duration
    expires_after: Duration
    first_segments: tuple[str, ...] = ()
    fallback: Later[dict[Channel, tuple[Channel, ...]]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _fall_back_on_another(self) -> Self:
        """Only channels that reach one person: a chat is an account's, a page is everybody's."""
        allowed = ", ".join(sorted(c.value for c in PER_CONTACT))
        for channel, order in self.fallback.items():
            if channel not in PER_CONTACT:
                raise ValueError(
                    f"fallback: {channel.value!r} does not reach one person; allowed: {allowed}"
                )
            for other in order:
                if other is channel or other not in PER_CONTACT or order.count(other) > 1:
                    raise ValueError(
                        f"fallback.{channel.value}: {other.value!r} is not another channel of "
                        f"the same person, named once; allowed: {allowed}"
                    )
        return self

    def fallbacks(self, channels: tuple[Channel, ...]) -> tuple[Channel, ...]:
        """Channels besides these on which their readers may be told instead."""
        named = [other for c in channels for other in self.fallback.get(c, ())]
        return tuple(c for c in dict.fromkeys(named) if c not in channels)


class QuietHours(Strict):
    """When a channel lets people sleep, by the recipient's own clock; `until` may be next morning.

    Not for the severities in `unless`, and never for an end: whoever heard the start hears it.
    """

    channels: tuple[Channel, ...]
    begin: time
    until: time
    unless: tuple[Severity, ...] = ()


class Audience(Strict):
    """Who is in an audience; the choices for missing data are stated in the preview."""

    exclude_plans: tuple[str, ...] = ()
    active_within: Duration | None = None
    unknown_activity: Literal["include", "exclude"] = "include"
    unknown_region: Literal["include", "exclude"] = "include"
    data_age_limit: Duration
    sms_segments: tuple[str, ...] = ()
    chat_segments: tuple[str, ...] = ()
    verify_regions: Later[bool] = False


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
