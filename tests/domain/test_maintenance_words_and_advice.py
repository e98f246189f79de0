"""What customers read of a human's words, which windows explain an alert, and what is advised."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from domain.maintenance_advice import advise, buffered
from domain.maintenance_facts import MaintenanceWords
from domain.maintenance_policy import MaintenancePlan
from domain.maintenance_words import for_customers, withheld
from domain.policy import Policy

HOUR = timedelta(hours=1)


@pytest.fixture
def figures(policy: Policy) -> MaintenancePlan:
    assert policy.maintenance is not None
    return policy.maintenance


def test_half_as_long_again_is_suggested_on_an_estimate(figures: MaintenancePlan) -> None:
    assert buffered(figures, 2 * HOUR) == 3 * HOUR
    assert buffered(figures, timedelta(minutes=1)) == timedelta(minutes=2), "whole minutes"


def test_the_quietest_hours_come_from_activity(figures: MaintenancePlan, now: datetime) -> None:
    # Everybody works from 8 to 20 UTC, and a few at night but not from 2 to 5.
    readings = [3] * 24
    readings[8:20] = [40] * 12
    readings[2:5] = [0, 0, 0]
    advice = advise(figures, 2 * HOUR, readings, now)
    first = advice.windows[0]
    assert (first.starts_at.hour, first.share, advice.lasts) == (2, 0.0, 180)
    assert first.starts_at > now
    assert first.ends_at - first.starts_at == 3 * HOUR


def test_a_window_may_go_past_midnight(figures: MaintenancePlan, now: datetime) -> None:
    readings = [40] * 24
    readings[23] = readings[0] = readings[1] = 0
    assert advise(figures, 2 * HOUR, readings, now).windows[0].starts_at.hour == 23


def test_without_enough_readings_no_hour_is_named(figures: MaintenancePlan, now: datetime) -> None:
    few = [0] * 23 + [figures.least_activity - 1]
    advice = advise(figures, HOUR, few, now)
    assert (advice.enough_data, advice.windows) == (False, ())
    assert advise(figures, HOUR, [0] * 23 + [figures.least_activity], now).enough_data


def test_jargon_and_secrets_in_standing_words_are_kept_back(policy: Policy) -> None:
    words = MaintenanceWords(
        title="Database failover",
        description="We move to faster storage.",
        advice="Connect to 10.0.0.7 instead.",
        note="Database",
    )
    assert {field: finding.rule for field, finding in withheld(words, policy).items()} == {
        "title": "jargon",
        "advice": "internal",
    }
    told = for_customers(words, policy)
    assert (told.title, told.description, told.advice) == ("", "We move to faster storage.", "")
    assert told.note == "Database", "words for one message are checked with its draft"


def test_plain_words_are_left_as_they_are(policy: Policy) -> None:
    words = MaintenanceWords(title="Faster storage", description="", advice="Save your work.")
    assert for_customers(words, policy) == words
