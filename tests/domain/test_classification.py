"""Alert → category, severity, confirmation, by the shipped rules."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from domain.classification import (
    NO_COMPONENT,
    NOT_CONFIRMED,
    classify_signal,
    map_regions,
    plausible_start,
)
from domain.policy import Policy
from domain.signal import Severity, Signal, SignalStatus


def signal(**changes: Any) -> Signal:
    facts = {
        "source": "generic",
        "external_id": "1",
        "dedup_key": "1",
        "status": SignalStatus.FIRING,
        "title": "x",
        "components": ("payments",),
    }
    return Signal.model_validate(facts | changes)


@pytest.mark.parametrize(
    ("changes", "severity", "stated"),
    [
        ({}, "P3", False),
        ({"severity": "P1"}, "P1", True),
        ({"severity": "P4"}, "P4", True),
        ({"affected_share": 0.251}, "P1", True),
        ({"affected_share": 0.25}, "P2", True),
        ({"affected_share": 0.10}, "P2", True),
        ({"affected_share": 0.099}, "P3", True),
        ({"affected_share": 0.0}, "P3", True),
        ({"affected_share": 0.3, "severity": "P4"}, "P1", True),
        ({"severity": "P2", "affected_share": 0.01}, "P2", True),
        ({"severity": "P3", "labels": {"category": "security"}}, "P1", True),
    ],
)
def test_severity(policy: Policy, changes: dict[str, Any], severity: str, stated: bool) -> None:
    found = classify_signal(policy, signal(**changes))
    assert found.severity is Severity(severity)
    assert found.severity_stated is stated


@pytest.mark.parametrize(
    ("changes", "category"),
    [
        ({}, "local_degradation"),
        ({"regions": ("eu",)}, "regional_outage"),
        ({"regions": ("eu",), "labels": {"category": "security"}}, "security"),
        ({"labels": {"category": "data_loss"}}, "security"),
        ({"labels": {"category": "sla_breach"}}, "sla_breach"),
        ({"labels": {"category": "customer_specific"}}, "customer_specific"),
        ({"labels": {"category": "marketing"}}, "local_degradation"),
    ],
)
def test_category(policy: Policy, changes: dict[str, Any], category: str) -> None:
    assert classify_signal(policy, signal(**changes)).category == category


@pytest.mark.parametrize(
    ("changes", "confirms"),
    [
        ({}, False),
        ({"severity": "P1"}, False),
        ({"customer_impact": True}, True),
        ({"customer_impact": False}, False),
        ({"affected_share": 0.001}, True),
        ({"affected_share": 0.0}, False),
        ({"customer_impact": True, "status": "resolved"}, False),
        ({"customer_impact": True, "regions": ("eu", "mars")}, True),
        # As far as the policy knows this would reach every customer.
        ({"customer_impact": True, "regions": ("mars",)}, False),
    ],
)
def test_confirmation(policy: Policy, changes: dict[str, Any], confirms: bool) -> None:
    assert classify_signal(policy, signal(**changes)).confirms is confirms


def test_reasons_say_which_rule_held(policy: Policy) -> None:
    found = classify_signal(policy, signal(customer_impact=True, severity="P2"))
    assert found.reasons == (
        "no other rule holds",
        "the monitor states P2",
        "the monitor states customer impact",
    )
    assert NOT_CONFIRMED in classify_signal(policy, signal()).reasons


def test_names_map_to_components(policy: Policy) -> None:
    found = classify_signal(
        policy,
        signal(
            components=("checkout", "payments"),
            services=("login", "unknown"),
            labels={"component": "dashboard", "service": "postgres-primary"},
        ),
    )
    assert found.components == ("payments", "authentication", "dashboard", "database")


def test_unknown_names_are_quoted_and_bounded(policy: Policy) -> None:
    names = tuple(f"svc-{n}" * 10 for n in range(9))
    found = classify_signal(policy, signal(components=(), services=names))
    assert found.components == ()
    (reason,) = [r for r in found.reasons if r.startswith("no component is known by these names: ")]
    assert "svc-0" in reason
    assert reason.endswith("and 4 more")
    assert len(reason) < 400
    assert NO_COMPONENT in classify_signal(policy, signal(components=())).reasons


def test_regions_by_the_cloud_names_too(policy: Policy) -> None:
    assert map_regions(policy, ("EU", "eu-west-1", "us")) == (("eu", "us"), ())
    assert map_regions(policy, ("europe", "eux")) == ((), ("europe", "eux"))


def test_an_implausible_start_is_the_arrival() -> None:
    now = datetime(2026, 3, 10, tzinfo=UTC)
    hour_ago = now - timedelta(hours=1)
    assert plausible_start(hour_ago, now) == hour_ago
    assert plausible_start(None, now) == now
    assert plausible_start(now + timedelta(minutes=1), now) == now
    assert plausible_start(now - timedelta(days=8), now) == now
