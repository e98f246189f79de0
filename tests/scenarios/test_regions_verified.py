"""Regional incidents verify the region against the signals before anything is sent."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from domain.events import AlertsReceived, ImpactConfirmed, UpdatePosted
from domain.message import Gate
from domain.policy import Policy
from domain.policy_sections import GateRule
from tests.domain.story import Story, batch

HOUR = timedelta(hours=1)
REGIONAL: dict[str, Any] = {"category": "regional_outage", "regions": ("eu",)}


@pytest.fixture
def automatic(policy: Policy) -> Policy:
    """Nobody is asked, unless something speaks against it."""
    return policy.model_copy(update={"gates": (GateRule(gate=Gate.AUTO),)})


def confirmed(policy: Policy, now: datetime, *regions: str, **alert: Any) -> Story:
    """A suspected incident whose region a human names on confirming it."""
    story = Story(policy, now, batch(confirms=False, **alert))
    story.command(ImpactConfirmed(by="ada", regions=regions))
    return story


def test_a_region_that_the_signals_name_needs_nobody(automatic: Policy, now: datetime) -> None:
    story = Story(automatic, now, batch(**REGIONAL))
    assert story.moments() == ["initial"]
    assert "region_unverified" not in story.notes()


@pytest.mark.parametrize(
    ("named", "alert", "reason"),
    [
        (("us",), REGIONAL, "no signal names the region us; signals name eu as well"),
        (("eu",), {}, "no signal names the region eu"),
        (
            ("eu",),
            {"category": "regional_outage", "regions": ("eu", "us")},
            "signals name us as well",
        ),
        (("eu",), REGIONAL | {"sources": ("human",)}, "no signal names the region eu"),
    ],
)
def test_a_region_that_they_do_not_bear_out_waits_for_a_human(
    automatic: Policy, now: datetime, named: tuple[str, ...], alert: dict[str, Any], reason: str
) -> None:
    story = confirmed(automatic, now, *named, **alert)
    assert story.moments() == []
    assert story.broadcasts(customers=False)  # colleagues hear of it all the same
    assert story.state.pending is not None
    (note,) = story.noted("region_unverified")
    assert note.data["reason"] == reason
    assert reason in story.state.reasons  # what the card shows

    story.approve()
    assert story.moments() == ["initial"]
    # A human has looked: the rest needs nobody again, and promises are kept.
    story.command(UpdatePosted(by="ada", note_id="n1"))
    assert story.moments() == ["initial", "update"]
    story.pass_time(2 * HOUR)
    assert story.promises("missed") == []


def test_silence_does_not_let_it_out(policy: Policy, now: datetime) -> None:
    gates = (GateRule(gate=Gate.APPROVE, on_silence="send"),)
    story = confirmed(policy.model_copy(update={"gates": gates}), now, "us", **REGIONAL)
    story.pass_time(6 * HOUR)
    assert story.moments() == []
    sure = Story(policy.model_copy(update={"gates": gates}), now, batch(**REGIONAL))
    sure.pass_time(HOUR)
    assert sure.moments()[0] == "initial"


def test_what_a_later_signal_bears_out_is_believed(automatic: Policy, now: datetime) -> None:
    story = confirmed(automatic, now, "eu")
    assert story.moments() == []
    story.tell(AlertsReceived(batch=batch(2, **REGIONAL)))
    story.command(UpdatePosted(by="ada", note_id="n1"))
    assert story.moments() == ["initial"]


def test_an_old_policy_does_not_ask(automatic: Policy, now: datetime) -> None:
    audience = automatic.audience.model_copy(update={"verify_regions": False})
    story = confirmed(automatic.model_copy(update={"audience": audience}), now, "us", **REGIONAL)
    assert story.moments() == ["initial"]
