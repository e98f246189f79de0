"""Which open incident takes in an alert."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from domain.classification import SignalClass
from domain.grouping import OpenIncident, accepts_refire, category_of_all, choose, joins, reach
from domain.policy import Policy
from domain.signal import Severity


def alert(*components: str, **changes: Any) -> SignalClass:
    facts = {
        "category": "local_degradation",
        "severity": Severity.P2,
        "severity_stated": True,
        "confirms": True,
        "components": components,
        "regions": (),
        "reasons": (),
    }
    return SignalClass.model_validate(facts | changes)


def incident(now: datetime, **changes: Any) -> OpenIncident:
    facts = {
        "id": "inc_a",
        "stage": "investigating",
        "category": "local_degradation",
        "components": ("payments",),
        "regions": (),
        "separate": False,
        "opened_at": now - timedelta(hours=3),
        "last_alert_at": now - timedelta(minutes=10),
        "resolved_at": None,
    }
    return OpenIncident.model_validate(facts | changes)


@pytest.mark.parametrize(
    ("component", "near"),
    [
        ("payments", True),
        ("rest-api", True),
        ("database", True),
        ("reporting", True),
        ("graphql-api", False),
        ("dashboard", False),
        ("api", False),
    ],
)
def test_related_components(policy: Policy, now: datetime, component: str, near: bool) -> None:
    assert joins(incident(now), alert(component), policy, now) is near


def test_parents_and_children_are_near_but_not_siblings(policy: Policy) -> None:
    assert {"api", "rest-api", "webhooks"} <= reach(policy, ["api"])
    assert "api" in reach(policy, ["webhooks"])
    assert "rest-api" not in reach(policy, ["webhooks"])


def test_the_window_counts_from_the_last_alert(policy: Policy, now: datetime) -> None:
    window = policy.grouping.window
    edge = incident(now, last_alert_at=now - window)
    late = incident(now, last_alert_at=now - window - timedelta(seconds=1))
    assert joins(edge, alert("payments"), policy, now)
    assert not joins(late, alert("payments"), policy, now)


@pytest.mark.parametrize(
    ("mine", "theirs", "fold"),
    [
        (("eu",), ("us",), False),
        (("eu",), ("eu", "us"), True),
        (("eu",), (), True),
        ((), ("eu",), True),
    ],
)
def test_regions(
    policy: Policy, now: datetime, mine: tuple[str, ...], theirs: tuple[str, ...], fold: bool
) -> None:
    category = "regional_outage" if theirs else "local_degradation"
    new = alert("payments", regions=theirs, category=category)
    assert joins(incident(now, regions=mine), new, policy, now) is fold


@pytest.mark.parametrize("category", ["security", "sla_breach", "customer_specific", "maintenance"])
def test_categories_that_stand_for_themselves(policy: Policy, now: datetime, category: str) -> None:
    assert not joins(incident(now), alert("payments", category=category), policy, now)
    assert not joins(incident(now, category=category), alert("payments"), policy, now)
    same = alert("payments", category=category)
    assert joins(incident(now, category=category), same, policy, now)


def test_separate_takes_in_nothing(policy: Policy, now: datetime) -> None:
    assert not joins(incident(now, separate=True), alert("payments"), policy, now)


def test_without_a_component_nothing_is_near(policy: Policy, now: datetime) -> None:
    assert not joins(incident(now, components=()), alert(), policy, now)


def test_resolved_takes_in_only_its_own_alerts_and_only_for_a_while(
    policy: Policy, now: datetime
) -> None:
    within = policy.grouping.reopen_within
    fresh = incident(now, stage="resolved", resolved_at=now - within)
    old = incident(now, stage="resolved", resolved_at=now - within - timedelta(seconds=1))
    assert not joins(fresh, alert("payments"), policy, now)
    assert accepts_refire(fresh, policy, now)
    assert not accepts_refire(old, policy, now)
    assert accepts_refire(incident(now, last_alert_at=now - timedelta(days=2)), policy, now)


def test_the_nearest_is_chosen(policy: Policy, now: datetime) -> None:
    own = incident(now, id="inc_own", last_alert_at=now - timedelta(minutes=20))
    related = incident(now, id="inc_related", components=("rest-api",), last_alert_at=now)
    chosen = choose([related, own], alert("payments"), policy, now)
    assert chosen is own
    assert choose([], alert("payments"), policy, now) is None


def test_one_category_of_many() -> None:
    assert category_of_all([]) is None
    assert category_of_all(["regional_outage"]) == "regional_outage"
    assert category_of_all(["regional_outage", "local_degradation"]) == "local_degradation"
    assert category_of_all(["local_degradation", "customer_specific"]) == "customer_specific"
    assert category_of_all(["customer_specific", "security"]) == "security"
