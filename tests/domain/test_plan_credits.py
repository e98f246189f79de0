"""Credits in an incident: proposed at its end, stated only after a person approved."""

from __future__ import annotations

from datetime import datetime

from domain.facts import build_facts
from domain.incident import (
    AudienceCount,
    CreditsApproved,
    CreditsProposed,
    ProposeCredits,
    ResolveRequested,
)
from domain.message import Facts, Moment
from domain.policy import Policy
from domain.signal import Severity
from tests.domain.story import Story, batch


def ended(policy: Policy, now: datetime, severity: Severity = Severity.P2) -> Story:
    """An incident whose all-clear waits for approval."""
    story = Story(policy, now, batch(severity=severity))
    if story.state.pending is not None:
        story.approve()
    story.tell(ResolveRequested(by="ada"))
    return story


def asked(story: Story) -> int:
    return sum(isinstance(action, ProposeCredits) for _, action in story.actions)


def facts(story: Story, moment: Moment) -> Facts:
    audience = AudienceCount()
    return build_facts(story.state, moment, 1, audience, story.policy, {}, "https://s.example")


def test_they_are_worked_out_when_the_end_is_drafted(policy: Policy, now: datetime) -> None:
    assert asked(ended(policy, now)) == 1
    assert asked(ended(policy, now, Severity.P3)) == 0
    assert asked(ended(policy.model_copy(update={"credits": None}), now)) == 0


def test_nothing_is_stated_before_a_person_approved(policy: Policy, now: datetime) -> None:
    story = ended(policy, now)
    story.tell(CreditsProposed(accounts=3, total="104.00 USD", unknown=1))
    assert story.noted("credits_proposed")[0].data["unknown"] == "1"
    before = facts(story, Moment.RESOLUTION)
    assert not any(key.startswith("credit") for key in (*before.numbers, *before.notes))
    waiting = story.state.pending
    story.tell(
        CreditsApproved(by="ada", accounts=2, total="104.00 USD", percents={"enterprise": "10"})
    )
    after = facts(story, Moment.RESOLUTION)
    assert after.numbers["credit_percent_enterprise"] == 10
    assert after.notes["credit_applied"] == "next_invoice"
    # The all-clear that waited knew nothing of it: another version takes its place.
    now_waiting = story.state.pending
    assert waiting is not None and now_waiting is not None
    assert now_waiting.draft > waiting.draft and now_waiting.moment is Moment.RESOLUTION
    assert "credit_applied" not in facts(story, Moment.UPDATE).notes


def test_one_figure_where_all_get_the_same(policy: Policy, now: datetime) -> None:
    story = ended(policy, now)
    story.tell(CreditsApproved(by="ada", accounts=2, total="9 USD", percents={"*": "5"}))
    assert facts(story, Moment.RESOLUTION).numbers["credit_percent"] == 5


def test_no_proposal_is_no_news(policy: Policy, now: datetime) -> None:
    story = ended(policy, now)
    story.tell(CreditsProposed(accounts=0, total="0 USD"))
    assert story.noted("credits_proposed") == []
