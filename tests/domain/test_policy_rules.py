"""Every rule of the shipped policy with one alert that triggers it and one that just misses.

A rule without a line here fails the test: whoever adds a rule writes down what it is for.
"""

from __future__ import annotations

from datetime import datetime
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from domain.classification import NOT_CONFIRMED, SignalClass, classify_signal, severity_for_share
from domain.events import AlertsReceived, Targeted
from domain.incident import AudienceCount
from domain.plan import plan
from domain.policy import Policy
from domain.signal import Severity, Signal, SignalStatus
from runtime.policy_file import load_policy
from tests.domain.story import Story, batch

Alert = dict[str, Any]


class Case(NamedTuple):
    """`triggers` meets the rule; `misses` is the nearest alert that falls to `instead`."""

    reason: str
    triggers: Alert
    misses: Alert
    instead: str


LOCAL = "no other rule holds"
CATEGORIES = (
    Case(
        "the alert is labelled as a security or data-loss event",
        {"labels": {"category": "data_loss"}},
        {"labels": {"category": "data loss"}},
        LOCAL,
    ),
    Case(
        "the alert is labelled as an SLA breach",
        {"labels": {"category": "sla_breach"}},
        {"labels": {"kind": "sla_breach"}},
        LOCAL,
    ),
    Case(
        "the alert is labelled as concerning single customers",
        {"labels": {"category": "customer_specific"}},
        {"labels": {"category": "customer"}},
        LOCAL,
    ),
    Case("the alert names a region", {"regions": ("eu",)}, {"regions": ()}, LOCAL),
    # The last rule always holds: it is missed by whatever an earlier one takes.
    Case(LOCAL, {}, {"regions": ("eu",)}, "the alert names a region"),
)
SEVERITIES = (
    Case(
        "security or data-loss event",
        {"labels": {"category": "breach"}, "severity": "P4"},
        {"labels": {"category": "sla_breach"}, "severity": "P4"},
        "the monitor states P4",
    ),
    Case("the monitor states P1", {"severity": "P1"}, {"severity": "P2"}, "the monitor states P2"),
    Case(
        "more than 25 % of customers",
        {"affected_share": 0.251},
        {"affected_share": 0.25},
        "10 to 25 % of customers",
    ),
    Case(
        "the monitor states P2",
        {"severity": "P2", "affected_share": 0.25},
        {"severity": "P2", "affected_share": 0.251},
        "more than 25 % of customers",
    ),
    Case(
        "10 to 25 % of customers",
        {"affected_share": 0.10},
        {"affected_share": 0.099},
        "under 10 % of customers",
    ),
    Case(
        "the monitor states P3",
        {"severity": "P3", "affected_share": 0.099},
        {"severity": "P3", "affected_share": 0.10},
        "10 to 25 % of customers",
    ),
    Case(
        "under 10 % of customers",
        {"affected_share": 0.001},
        {"affected_share": 0.0},
        "nothing stated",
    ),
    Case(
        "the monitor states P4",
        {"severity": "P4"},
        {"severity": "P4", "affected_share": 0.01},
        "under 10 % of customers",
    ),
    # A share that nobody measured is no share of nothing.
    Case(
        "nothing stated",
        {"affected_share": None},
        {"affected_share": 0.001},
        "under 10 % of customers",
    ),
)
CONFIRMATIONS = (
    Case("the monitor states customer impact", {"customer_impact": True},
         {"customer_impact": False}, NOT_CONFIRMED),
    Case("the monitor states an affected share", {"affected_share": 0.001},
         {"affected_share": 0.0}, NOT_CONFIRMED),
)  # fmt: skip
TABLE = [
    *(("categorise", case) for case in CATEGORIES),
    *(("classify", case) for case in SEVERITIES),
    *(("confirm", case) for case in CONFIRMATIONS),
]
DEFAULT = load_policy(Path(__file__).parents[2] / "content/policy/default.yaml")
PLACE = {"categorise": 0, "classify": 1, "confirm": 2}


def judged(policy: Policy, alert: Alert) -> SignalClass:
    facts: Alert = {
        "source": "generic", "external_id": "1", "dedup_key": "1",
        "status": SignalStatus.FIRING, "title": "Payments fail", "components": ("payments",),
    }  # fmt: skip
    return classify_signal(policy, Signal.model_validate(facts | alert))


@pytest.mark.parametrize("section", ["categorise", "classify", "confirm"])
def test_every_rule_has_its_fixtures(section: str) -> None:
    rules = [rule.reason for rule in getattr(DEFAULT, section)]
    told = [case.reason for where, case in TABLE if where == section]
    assert told == rules, "a rule of the policy has no pair of fixtures, or stands elsewhere"


@pytest.mark.parametrize(
    ("section", "case"), TABLE, ids=[f"{where}: {case.reason}" for where, case in TABLE]
)
def test_it_triggers_and_just_misses(section: str, case: Case) -> None:
    place = PLACE[section]
    assert judged(DEFAULT, case.triggers).reasons[place] == case.reason
    assert judged(DEFAULT, case.misses).reasons[place] == case.instead


@pytest.mark.parametrize(
    ("affected", "active", "severity"),
    [
        (250, 1000, Severity.P2),  # 25.0 %
        (251, 1000, Severity.P1),  # 25.1 %
        (1, 4, Severity.P2),
        (100, 1000, Severity.P2),  # 10.0 %
        (99, 1000, Severity.P3),  # 9.9 %
        (1, 1_000_000, Severity.P3),
        (0, 1000, None),  # nobody: no verdict, and no severity from it
        (1000, 1000, Severity.P1),
    ],
)
def test_a_measured_share_to_the_tenth(affected: int, active: int, severity: Severity) -> None:
    assert severity_for_share(DEFAULT, affected / active)[0] is severity


def test_the_bounds_hold_whatever_the_number_of_accounts() -> None:
    """A quotient of two counts that is a quarter, or a tenth, is exactly the figure of the rule."""
    for accounts in (*range(20, 2001, 20), 1_000_000, 999_980):
        assert severity_for_share(DEFAULT, (accounts // 4) / accounts)[0] is Severity.P2
        assert severity_for_share(DEFAULT, (accounts // 4 + 1) / accounts)[0] is Severity.P1
        assert severity_for_share(DEFAULT, (accounts // 10) / accounts)[0] is Severity.P2
        below = accounts // 10 - 1
        assert Fraction(below, accounts) < Fraction(1, 10)
        expected = Severity.P3 if below else None
        assert severity_for_share(DEFAULT, below / accounts)[0] is expected


def test_a_measured_share_raises_an_incident_that_stated_nothing(now: datetime) -> None:
    story = Story(DEFAULT, now, batch(severity=Severity.P3, severity_stated=False), share=0.251)
    assert story.severity() is Severity.P1


def test_an_unknown_share_is_no_zero(now: datetime) -> None:
    """Nobody knows how many use it: the incident stays as bad as it was, and says unknown."""
    first = batch(severity=Severity.P3, severity_stated=False)
    story = Story(DEFAULT, now, first, share=None)
    assert story.severity() is Severity.P3
    assert story.state.audience.share is None
    assert story.state.affected_share is None
    assert story.stage() == "investigating", "it is told all the same"


def test_the_denominator_stays_beside_the_share(now: datetime) -> None:
    story = Story(DEFAULT, now)
    counted = AudienceCount(
        audience_id="aud_2", accounts=251, recipients=300, active_accounts=1000, share=0.251
    )
    state, _ = plan(
        story.state.model_copy(update={"targeting": True, "announced": False}),
        Targeted(audience=counted),
        now,
        DEFAULT,
    )
    assert (state.audience.active_accounts, state.audience.share) == (1000, 0.251)


def test_a_share_known_once_is_not_forgotten_by_an_alert_without_one(now: datetime) -> None:
    story = Story(DEFAULT, now, batch(affected_share=0.2))
    story.tell(AlertsReceived(batch=batch(2, affected_share=None)))
    assert story.state.affected_share == 0.2
