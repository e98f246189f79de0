"""Whom an audience rule reaches, what an audience looks like, and what is said of it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict

from domain.policy import Policy
from domain.policy_base import format_duration
from domain.policy_sections import Component
from domain.ports import AudienceRule


class Model(BaseModel):
    model_config = ConfigDict(frozen=True)


class Container(Model):
    """A component that holds meant ones; `inside` is everything below it."""

    key: str
    inside: tuple[str, ...]


class Reach(Model):
    """The features that put an account into an audience.

    An account that lists a container, and nothing inside it, uses all that is inside.
    """

    components: tuple[str, ...]
    containers: tuple[Container, ...]


def reach(rule: AudienceRule, policy: Policy) -> Reach:
    """The rule's components with their children, and the containers around them."""
    known = policy.component_keys()
    meant = policy.with_children(
        policy.customer_facing(tuple(key for key in rule.components if key in known))
    )
    around = tuple(
        container
        for container in _containers(policy.components)
        if container.key not in meant and set(container.inside) & set(meant)
    )
    return Reach(components=meant, containers=around)


def _containers(components: tuple[Component, ...]) -> Iterator[Container]:
    for component in components:
        if component.children:
            yield Container(key=component.key, inside=_below(component))
            yield from _containers(component.children)


def _below(component: Component) -> tuple[str, ...]:
    return tuple(key for child in component.children for key in (child.key, *_below(child)))


def choices(policy: Policy) -> dict[str, Any]:
    """What policy decides about customers whom the data does not settle; shown in the preview."""
    audience = policy.audience
    window = audience.active_within
    return {
        "unknown_region": audience.unknown_region,
        "unknown_activity": audience.unknown_activity,
        "active_within": format_duration(window) if window else None,
        "exclude_plans": list(audience.exclude_plans),
    }


class Sample(Model):
    """One recipient, recognisable to who knows them and nobody else."""

    account_id: str
    contact_id: str
    address: str
    locale: str
    reason: str


class AudienceSummary(Model):
    """An audience at a glance: recipients counted in several ways, and why others are out.

    `channels` counts who could be reached there: agreed to it, has an address, is not suppressed.
    `reasons` counts recipients, `exclusions` accounts. `stale`: the customer data is older than
    policy allows, or was never imported.
    """

    accounts: int
    recipients: int
    active_accounts: int
    plans: dict[str, int]
    regions: dict[str, int]
    segments: dict[str, int]
    locales: dict[str, int]
    channels: dict[str, int]
    reasons: dict[str, int]
    exclusions: dict[str, int]
    sample: tuple[Sample, ...]
    data_as_of: datetime | None
    stale: bool
    choices: dict[str, Any]


class AudienceMember(Model):
    """A recipient with the reason that put them there; no address."""

    contact_id: str
    account_id: str
    account_name: str | None
    plan: str | None
    region: str | None
    segment: str | None
    locale: str | None
    reason: str
    added_at: datetime


def mask(address: str) -> str:
    """`ada@example.com` as `a***@example.com`."""
    local, _, host = address.rpartition("@")
    return f"{local[:1]}***@{host}"
