"""Confirmed by a second source or by time: told as stories, with a policy that asks for it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from domain.classification import UNKNOWN_REGION, classify_signal
from domain.events import AlertsReceived, Dismissed, ImpactConfirmed, PolicyAdopted
from domain.incident import TimerKind
from domain.policy import Policy
from domain.policy_check import contradictions
from domain.policy_sections import ConfirmationRule
from domain.signal import Severity, Signal, SignalStatus
from tests.domain.story import Story, batch

QUARTER = timedelta(minutes=15)
TWO_SOURCES = {"when": {}, "sources_at_least": 2, "reason": "two monitors agree"}
LONG = {"when": {}, "firing_for": "15m", "reason": "it fires for a quarter of an hour"}


def asking(policy: Policy, *rules: dict[str, Any]) -> Policy:
    """The policy with rules about the incident as a whole after its own."""
    more = tuple(ConfirmationRule.model_validate(rule) for rule in rules)
    return policy.model_copy(update={"confirm": (*policy.confirm, *more)})


def unconfirmed(watermark: int = 1, *sources: str, **changes: Any) -> AlertsReceived:
    firing = sources or ("generic",)
    return AlertsReceived(batch=batch(watermark, confirms=False, firing_sources=firing, **changes))


def suspected(policy: Policy, now: datetime, **changes: Any) -> Story:
    story = Story(policy, now, unconfirmed(**changes).batch)
    assert story.stage() == "suspected"
    return story


def test_a_second_source_confirms_and_the_reason_is_told(policy: Policy, now: datetime) -> None:
    story = suspected(asking(policy, TWO_SOURCES), now)
    story.tell(unconfirmed(2, "generic"))
    assert story.stage() == "suspected", "the same monitor again is no second source"
    story.tell(unconfirmed(3, "generic", "pagerduty"))
    assert story.stage() == "investigating"
    assert story.noted("confirmation_rule")[0].data == {"reason": "two monitors agree"}
    assert story.noted("confirmed")[0].actor == "monitoring"


def test_time_alone_confirms_to_the_second(policy: Policy, now: datetime) -> None:
    story = suspected(asking(policy, LONG), now)
    story.pass_time(QUARTER - timedelta(seconds=1))
    assert story.stage() == "suspected"
    story.pass_time(timedelta(seconds=1))
    assert story.stage() == "investigating"
    assert TimerKind.CONFIRMATION not in story.state.timers


def test_an_end_before_the_time_closes_it_silently(policy: Policy, now: datetime) -> None:
    story = suspected(asking(policy, LONG), now)
    story.pass_time(QUARTER - timedelta(seconds=1))
    story.tell(AlertsReceived(batch=batch(2, firing=0, severity=None, confirms=False)))
    story.pass_time(timedelta(hours=1))
    assert story.stage() == "closed"
    assert story.broadcasts() == []


def test_both_together_are_one_rule(policy: Policy, now: datetime) -> None:
    story = suspected(asking(policy, TWO_SOURCES | LONG), now)
    assert TimerKind.CONFIRMATION not in story.state.timers, "time alone would not do"
    story.pass_time(timedelta(minutes=5))
    story.tell(unconfirmed(2, "generic", "pagerduty"))
    assert story.state.timers[TimerKind.CONFIRMATION] == now + QUARTER
    story.tell(unconfirmed(3, "generic"))
    story.pass_time(timedelta(minutes=20))
    assert story.stage() == "suspected", "one of the two fell silent"


def test_the_condition_is_judged_on_the_whole_incident(policy: Policy, now: datetime) -> None:
    only_p1 = {**LONG, "when": {"severities": ["P1"], "components": ["payments"]}}
    story = suspected(asking(policy, only_p1), now)
    story.pass_time(timedelta(hours=1))
    assert story.stage() == "suspected"
    story.tell(unconfirmed(2, severity=Severity.P1))
    assert story.stage() == "investigating", "it fired long enough already"


def test_an_old_start_that_an_alert_claims_does_not_count(policy: Policy, now: datetime) -> None:
    """A human dismissed the same alert a minute ago: the next one must not overrule them."""
    story = suspected(asking(policy, LONG), now, started_at=now - timedelta(hours=3))
    assert story.state.timers[TimerKind.CONFIRMATION] == now + QUARTER


def test_an_unknown_region_is_left_to_a_human(policy: Policy, now: datetime) -> None:
    strange = (UNKNOWN_REGION.partition(":")[0],)
    story = suspected(asking(policy, LONG, TWO_SOURCES), now, reasons=strange)
    story.tell(unconfirmed(2, "generic", "pagerduty"))
    story.pass_time(timedelta(hours=1))
    assert story.stage() == "suspected"


@pytest.mark.parametrize("how", ["confirm", "dismiss"])
def test_a_humans_word_ends_the_waiting(policy: Policy, now: datetime, how: str) -> None:
    story = suspected(asking(policy, LONG), now)
    story.tell(ImpactConfirmed(by="ada") if how == "confirm" else Dismissed(by="ada"))
    assert TimerKind.CONFIRMATION not in story.state.timers
    story.pass_time(timedelta(hours=1))
    assert len(story.noted("confirmed")) == (how == "confirm")


def test_a_policy_adopted_meanwhile_brings_its_rules(policy: Policy, now: datetime) -> None:
    story = suspected(policy, now)
    story.pass_time(timedelta(minutes=10))
    story.policy = asking(policy, LONG)
    story.tell(PolicyAdopted(by="ada", hash="next"))
    assert story.state.timers[TimerKind.CONFIRMATION] == now + QUARTER


def test_the_shipped_policy_waits_for_a_human(policy: Policy, now: datetime) -> None:
    story = suspected(policy, now)
    story.tell(unconfirmed(2, "generic", "pagerduty"))
    story.pass_time(timedelta(days=1))
    assert story.stage() == "suspected"
    assert not any(rule.of_whole for rule in policy.confirm)


def test_one_alert_never_meets_such_a_rule(policy: Policy, now: datetime) -> None:
    alert = Signal(
        source="generic", external_id="1", dedup_key="1", status=SignalStatus.FIRING, title="t"
    )
    assert not classify_signal(asking(policy, LONG, TWO_SOURCES), alert).confirms


@pytest.mark.parametrize(
    "when",
    [{"customer_impact": True}, {"labels": {"a": ["b"]}}, {"title_matches": "x"},
     {"sources": ["generic"]}, {"metrics": {"errors": {"over": 1}}}],
)  # fmt: skip
def test_what_only_one_alert_can_say_is_refused_beside_it(
    policy: Policy, when: dict[str, Any]
) -> None:
    faults = contradictions(asking(policy, {**LONG, "when": when}))
    assert [f.field for f in faults] == [f"confirm.{len(policy.confirm)}.when.{next(iter(when))}"]


def test_old_policies_are_written_as_they_were(policy: Policy) -> None:
    for rule in policy.model_dump(mode="json")["confirm"]:
        assert set(rule) == {"when", "reason"}
