"""Which open incident an alert belongs to; pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from pydantic import BaseModel, ConfigDict

from domain.classification import SignalClass
from domain.incident import Stage
from domain.policy import Policy
from domain.policy_sections import Component

# They differ only by whether the alert named a region, which has its own test.
SAME_BUT_FOR_REGION = frozenset({"local_degradation", "regional_outage"})


class OpenIncident(BaseModel):
    """What grouping needs to know of an incident that is not over."""

    model_config = ConfigDict(frozen=True)

    id: str
    stage: Stage
    category: str
    components: tuple[str, ...]
    regions: tuple[str, ...]
    separate: bool
    dry_run: bool = False
    opened_at: datetime
    last_alert_at: datetime
    resolved_at: datetime | None


def reach(policy: Policy, components: Iterable[str]) -> frozenset[str]:
    """The components whose incidents an alert on `components` may join.

    Each itself, what depends on it and what it depends on (`Policy.related`), and its parents and
    children in the tree.
    """
    found: set[str] = set()
    for key in components:
        found |= policy.related(key) | _ancestors(policy, key) | set(policy.with_children((key,)))
    return frozenset(found)


def accepts_refire(incident: OpenIncident, policy: Policy, now: datetime) -> bool:
    """Whether an alert that fires again still belongs to it: not over, or over for a short time."""
    if incident.stage is not Stage.RESOLVED:
        return True
    ended = incident.resolved_at or incident.last_alert_at
    return now - ended <= policy.grouping.reopen_within


def joins(
    incident: OpenIncident,
    alert: SignalClass,
    policy: Policy,
    now: datetime,
    near: frozenset[str] | None = None,
) -> bool:
    """Whether a new alert folds into the incident (INTERFACES, Files in).

    It does when it is on the same or a related component, within the grouping window of the
    incident's opening or last alert, unless regions or category differ. Regions differ when both
    name some and none in common: an alert without a region speaks of all. Categories differ when
    they are not the same, except local degradation and regional outage, which only differ by a
    region being named. A separate incident takes in no alert but its own, and neither does a
    resolved one: customers were told its end, so only a re-fire of its own alerts re-opens it
    (`accepts_refire`). `near` is the alert's `reach` where the caller has it already.
    """
    if incident.separate or incident.stage is Stage.RESOLVED or not alert.components:
        return False
    if _categories_differ(incident.category, alert.category):
        return False
    if incident.regions and alert.regions and not set(incident.regions) & set(alert.regions):
        return False
    latest = max(incident.opened_at, incident.last_alert_at)
    if now - latest > policy.grouping.window:
        return False
    within = reach(policy, alert.components) if near is None else near
    return not within.isdisjoint(incident.components)


def choose(
    incidents: Iterable[OpenIncident],
    alert: SignalClass,
    policy: Policy,
    now: datetime,
    near: frozenset[str] | None = None,
) -> OpenIncident | None:
    """The incident an alert folds into: on the same component before a related one, then the
    one that was alerted last. `near` is the alert's `reach` where the caller has it already."""
    within = reach(policy, alert.components) if near is None else near
    fitting = [incident for incident in incidents if joins(incident, alert, policy, now, within)]
    own = set(alert.components)
    return max(
        fitting,
        key=lambda i: (bool(own & set(i.components)), i.last_alert_at, i.id),
        default=None,
    )


def category_of_all(categories: Iterable[str]) -> str | None:
    """The one category that several alerts of an incident amount to; None for none.

    Security before every other that stands for itself, those before degradation; alerts with and
    without a region together are no regional outage.
    """
    found = set(categories)
    for category in ("security", "sla_breach", *sorted(found - SAME_BUT_FOR_REGION)):
        if category in found:
            return category
    return min(found, default=None)


def _categories_differ(one: str, other: str) -> bool:
    return one != other and not {one, other} <= SAME_BUT_FOR_REGION


def _ancestors(policy: Policy, key: str) -> set[str]:
    def path(items: tuple[Component, ...]) -> set[str] | None:
        for item in items:
            if item.key == key:
                return set()
            below = path(item.children)
            if below is not None:
                return {item.key} | below
        return None

    return path(policy.components) or set()
