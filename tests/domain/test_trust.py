"""The trust ladder: what is proposed, from which figures, and what a bad send takes back."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
import yaml

from domain.actions import Target
from domain.duties import Trust
from domain.events import Targeted
from domain.message import Channel, Gate, Moment
from domain.policy import Policy
from domain.policy_sections import GateRule
from domain.signal import Severity
from domain.trust import Decision, standing, tightened
from tests.domain.story import Story, batch

LOCAL = "local_degradation"
DAY = timedelta(days=1)


def decided(now: datetime, unedited: int, edited: int = 0) -> list[tuple[datetime, Decision]]:
    """Newest first, one a day: the edited ones came last."""
    late: list[Decision] = ["edited"]
    early: list[Decision] = ["unedited"]
    kinds = late * edited + early * unedited
    return [(now - number * DAY, kind) for number, kind in enumerate(kinds)]


@pytest.fixture
def relaxed(policy: Policy, now: datetime) -> Policy:
    """A policy in which a human has accepted a month ago."""
    gate = GateRule(categories=(LOCAL,), severities=(Severity.P2, Severity.P3), gate=Gate.AUTO)
    trust = Trust(window=20, unedited=0.95, accepted={LOCAL: now - 30 * DAY})
    return policy.model_copy(update={"gates": (gate, *policy.gates), "trust": trust})


def test_enough_unedited_drafts_propose_lines_that_the_policy_takes(
    policy: Policy, now: datetime
) -> None:
    found = standing(policy, LOCAL, decided(now, 19, edited=1), None, now)
    assert found is not None and found.proposal is not None
    assert (found.state, found.share) == ("proposed", 0.95)
    assert "19 of the last 20 drafts were approved as written (95%), 1 edited" in found.advice
    lines = yaml.safe_load(found.proposal)
    whole = policy.model_dump(mode="json")
    whole["gates"] = lines["gates"] + whole["gates"]
    whole["trust"] |= lines["trust"]
    accepted = Policy.model_validate(whole)
    initial = (Moment.INITIAL, Channel.EMAIL, LOCAL, False)
    assert accepted.gate(Severity.P2, *initial) is Gate.AUTO
    assert accepted.gate(Severity.P1, *initial) is Gate.APPROVE, "P1 always needs a person"


@pytest.mark.parametrize(
    ("unedited", "edited", "bad", "state"),
    [
        (19, 0, None, "gathering"),
        (18, 2, None, "below"),
        (40, 0, 5, "bad_send"),
        (40, 0, 25, "proposed"),
        (0, 0, None, "gathering"),
    ],
)
def test_too_little_or_a_bad_send_proposes_nothing(
    policy: Policy, now: datetime, unedited: int, edited: int, bad: int | None, state: str
) -> None:
    sent = now - bad * DAY if bad is not None else None
    found = standing(policy, LOCAL, decided(now, unedited, edited), sent, now)
    assert found is not None
    assert found.state == state
    assert (found.proposal is not None) == (state == "proposed")


def test_what_is_compliance_bound_is_never_proposed(policy: Policy, now: datetime) -> None:
    found = standing(policy, "security", decided(now, 50), None, now)
    assert found is not None and (found.state, found.proposal) == ("never", None)


def test_without_a_rule_nothing_is_said(policy: Policy, now: datetime) -> None:
    bare = policy.model_copy(update={"trust": None})
    assert standing(bare, LOCAL, decided(now, 50), None, now) is None


def test_one_bad_send_since_the_acceptance_takes_it_back(relaxed: Policy, now: datetime) -> None:
    assert tightened(relaxed, LOCAL, now - DAY)
    assert not tightened(relaxed, LOCAL, now - 31 * DAY)
    assert not tightened(relaxed, LOCAL, None)
    assert not tightened(relaxed, "regional_outage", now)
    found = standing(relaxed, LOCAL, decided(now, 30), now - DAY, now)
    assert found is not None and found.proposal is not None
    assert found.state == "tightened"
    assert "gates:" not in found.proposal, "the gate stands there already"


def test_a_relaxed_gate_sends_at_once_until_trust_is_taken_back(
    relaxed: Policy, now: datetime
) -> None:
    assert Story(relaxed, now).moments() == ["initial"]

    class Distrusted(Story):
        def _answer(self, action):  # type: ignore[no-untyped-def]  # as the story's own
            answer = super()._answer(action)
            if isinstance(action, Target) and isinstance(answer, Targeted):
                return answer.model_copy(update={"tightened": True})
            return answer

    story = Distrusted(relaxed, now, batch())
    assert story.moments() == []
    assert story.broadcasts(customers=False), "colleagues hear at once"
    story.approve()
    assert story.moments() == ["initial"]


def test_an_acceptance_names_a_category(policy: Policy, now: datetime) -> None:
    content = policy.model_dump(mode="json")
    content["trust"]["accepted"] = {"weather": now.isoformat()}
    with pytest.raises(ValueError, match=r"trust\.accepted: 'weather' is not a category"):
        Policy.model_validate(content)
