"""Credits in an incident: proposed at its end, stated only after a person approved."""

from __future__ import annotations

from datetime import datetime

from domain.actions import AnswerPostMortem, ProposeCredits
from domain.events import (
    CreditsApproved,
    CreditsProposed,
    Decided,
    PostMortemMoved,
    ResolveRequested,
)
from domain.facts import build_facts
from domain.incident import AudienceCount, PostMortemState, Stage
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
    end = story.state.pending
    story.tell(
        CreditsApproved(by="ada", accounts=2, total="104.00 USD", percents={"enterprise": "10"})
    )
    after = facts(story, Moment.RESOLUTION)
    assert after.numbers["credit_percent_enterprise"] == 10
    assert after.notes["credit_applied"] == "next_invoice"
    # The all-clear that waited knew nothing of it: another version takes its place.
    now_waiting = story.state.pending
    assert end is not None and now_waiting is not None
    assert now_waiting.draft > end.draft and now_waiting.moment is Moment.RESOLUTION
    assert "credit_applied" not in facts(story, Moment.UPDATE).notes


def test_one_figure_where_all_get_the_same(policy: Policy, now: datetime) -> None:
    story = ended(policy, now)
    story.tell(CreditsApproved(by="ada", accounts=2, total="9 USD", percents={"*": "5"}))
    assert facts(story, Moment.RESOLUTION).numbers["credit_percent"] == 5


def test_no_proposal_is_no_news(policy: Policy, now: datetime) -> None:
    story = ended(policy, now)
    story.tell(CreditsProposed(accounts=0, total="0 USD"))
    assert story.noted("credits_proposed") == []


# ---------------------------------------------------------------- after the all-clear


def resolved(policy: Policy, now: datetime) -> Story:
    """An incident whose all-clear went out, and whose report is being written."""
    story = ended(policy, now)
    story.approve()
    assert (story.stage(), story.state.post_mortem) == (Stage.RESOLVED, PostMortemState.DUE)
    return story


def drafted(story: Story, version: int) -> None:
    story.tell(PostMortemMoved(state=PostMortemState.DRAFTED, version=version, hash="pm"))


def grant(story: Story, percent: str = "5") -> None:
    story.tell(CreditsApproved(by="ada", accounts=2, total="9 USD", percents={"*": percent}))


def waiting(story: Story) -> int | None:
    """The version that waits for its reviewers."""
    return story.state.pending.draft if story.state.pending is not None else None


def written_anew(story: Story) -> list[int]:
    """The versions of the report that were sent back to be written again."""
    answers = [a for _, a in story.actions if isinstance(a, AnswerPostMortem)]
    return [answer.version for answer in answers if not answer.approved]


def test_the_report_states_what_is_approved_by_then(policy: Policy, now: datetime) -> None:
    story = resolved(policy, now)
    story.tell(CreditsProposed(accounts=3, total="104.00 USD"))
    before = facts(story, Moment.POST_MORTEM)
    assert not any(key.startswith("credit") for key in (*before.numbers, *before.notes))
    grant(story)
    after = facts(story, Moment.POST_MORTEM)
    assert after.numbers["credit_percent"] == 5
    assert after.notes["credit_applied"] == "next_invoice"


def test_a_report_under_review_is_written_anew(policy: Policy, now: datetime) -> None:
    story = resolved(policy, now)
    drafted(story, 90)
    grant(story)
    assert waiting(story) is None and written_anew(story) == [90]
    assert story.command(Decided(draft=90, decision="approve", by="ada")) == "superseded"
    drafted(story, 91)
    assert waiting(story) == 91
    # The same again, or for further accounts of the same share, says nothing new.
    grant(story)
    assert written_anew(story) == [90]
    grant(story, "10")
    assert written_anew(story) == [90, 91]


def test_a_report_that_is_being_written_is_written_again(policy: Policy, now: datetime) -> None:
    story = resolved(policy, now)
    grant(story)
    assert written_anew(story) == []
    drafted(story, 90)
    assert waiting(story) is None and written_anew(story) == [90]
    drafted(story, 91)
    assert waiting(story) == 91 and written_anew(story) == [90]


def test_an_approved_report_stays_as_it_is(policy: Policy, now: datetime) -> None:
    story = resolved(policy, now)
    drafted(story, 90)
    story.approve()
    grant(story)
    story.tell(PostMortemMoved(state=PostMortemState.PUBLISHED, version=90, hash="pm"))
    grant(story, "10")
    assert written_anew(story) == []
    assert story.moments()[-1] == "post_mortem"
