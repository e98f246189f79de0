"""What waited while the world went on is never let out as it is."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from domain.actions import AnswerPostMortem, OpenPostMortem
from domain.events import (
    AlertsReceived,
    Drafted,
    Edited,
    PostMortemMoved,
    ResolveRequested,
    Targeted,
    TimerFired,
    UpdatePosted,
)
from domain.incident import Draft, PostMortemState, Stage, TimerKind
from domain.message import Channel, Gate, Moment
from domain.policy import Policy
from domain.policy_sections import GateRule
from tests.domain.story import Story, batch


@pytest.fixture
def told(policy: Policy, now: datetime) -> Story:
    """An incident whose first message went out."""
    begun = Story(policy, now)
    begun.approve()
    return begun


def late(story: Story, draft: Draft, after: timedelta) -> None:
    """The words of a draft come only now."""
    story.pass_time(after)
    story.versions += 1
    story.tell(
        Drafted(
            request=draft.request, version=story.versions, moment=draft.moment,
            number=draft.number, hash="h", next_update_at=draft.next_update_at,
        )
    )  # fmt: skip


def test_another_stage_makes_another_version(policy: Policy, now: datetime) -> None:
    story = Story(policy, now)
    old = story.state.pending
    story.tell(AlertsReceived(batch=batch(2, firing=0)))
    new = story.state.pending
    assert old is not None and new is not None and story.stage() is Stage.MONITORING
    assert (old.stage, new.stage) == (Stage.INVESTIGATING, Stage.MONITORING)
    assert new.draft > old.draft and new.channels == old.channels
    assert story.noted("draft_outdated")[0].data["version"] == str(old.draft)


def test_words_still_being_written_are_asked_for_again(policy: Policy, now: datetime) -> None:
    story = Story(policy, now)
    story.silent = True
    story.tell(UpdatePosted(by="ada", note_id="n"))
    story.tell(AlertsReceived(batch=batch(2, firing=0)))
    assert [d.stage for d in story.drafts()][-2:] == [Stage.INVESTIGATING, Stage.MONITORING]
    assert story.drafts()[-1].note_id == "n"


def test_slow_words_do_not_promise_the_past(policy: Policy, now: datetime) -> None:
    story = Story(policy, now)
    story.silent = True
    story.tell(UpdatePosted(by="ada", note_id="n"))
    late(story, story.drafts()[-1], timedelta(hours=2))
    waiting = story.state.pending
    assert waiting is not None and not waiting.invalid
    assert waiting.next_update_at is not None and waiting.next_update_at > story.now


def test_a_time_written_out_by_hand_is_refused_once_it_has_passed(told: Story) -> None:
    told.tell(UpdatePosted(by="ada", note_id="n"))
    assert told.state.pending is not None
    edited = Edited(
        draft=told.state.pending.draft, version=9, hash="h9", by="ada", promise_is_literal=True
    )
    assert told.command(edited) is None
    told.versions = 9
    due = told.state.pending.next_update_at
    assert due is not None
    told.silent = True  # the holding lines that keep promises meanwhile are not the point
    told.pass_time(due - told.now)
    told.state = told.state.model_copy(update={"promise": None})
    assert told.approve() == "invalid_draft"


def test_a_missed_promise_is_admitted_by_what_waited(policy: Policy, now: datetime) -> None:
    held = policy.model_copy(
        update={"promises": policy.promises.model_copy(update={"on_silence": "hold"})}
    )
    story = Story(held, now)
    story.approve()
    due = story.state.promise.due if story.state.promise else now
    story.pass_time(due - timedelta(minutes=5) - story.now)
    story.tell(UpdatePosted(by="ada", note_id="n"))
    waiting = story.state.pending
    assert waiting is not None and waiting.promised is None
    story.pass_time(timedelta(minutes=10))
    fresh = story.state.pending
    assert fresh is not None and fresh.draft > waiting.draft and fresh.promised == due
    assert story.drafts()[-1].note_id == "n"
    assert story.noted("promise_held")
    assert story.approve() is None
    assert [p.due for p in story.promises("missed")] == [due]


def test_a_late_audience_leaves_the_end_alone(told: Story) -> None:
    told.tell(ResolveRequested(by="ada"))
    end = told.state.pending
    told.state = told.state.model_copy(update={"targeting": True})
    told.tell(Targeted(audience=told.state.audience))
    assert told.state.pending == end is not None
    told.approve()
    assert told.moments() == ["initial", "resolution"]


def in_parts(policy: Policy) -> Policy:
    """The status page at once, mails by approval."""
    rules = (
        GateRule(channels=(Channel.STATUS_PAGE, Channel.IN_APP), gate=Gate.AUTO), *policy.gates
    )  # fmt: skip
    return policy.model_copy(update={"gates": rules})


def test_a_promise_is_kept_to_all_who_were_given_it(policy: Policy, now: datetime) -> None:
    story = Story(in_parts(policy), now)
    first = story.state.promise
    assert first is not None and story.state.pending is not None
    story.pass_time(timedelta(minutes=40))
    story.approve()
    # Mails of the same message: readers of the status page still wait, and mails say the same time.
    assert story.state.promise is not None and story.state.promise.due == first.due
    assert story.promises("kept") == []
    assert story.broadcasts()[-1].next_update_at == first.due
    story.pass_time(first.due - story.now)
    kept = story.broadcasts()[-1]
    assert kept.moment is Moment.UPDATE and Channel.STATUS_PAGE in kept.channels
    assert [p.number for p in story.promises("kept")] == [first.number]


def test_what_went_out_in_part_is_not_said_again_there(policy: Policy, now: datetime) -> None:
    story = Story(in_parts(policy), now)
    story.tell(AlertsReceived(batch=batch(2, firing=0)))
    story.approve()
    said = [c for b in story.broadcasts() if b.moment is Moment.INITIAL for c in b.channels]
    assert len(said) == len(set(said)) and Channel.EMAIL in said


def test_a_reopened_incident_has_its_post_mortem_written_anew(told: Story) -> None:
    told.tell(ResolveRequested(by="ada"))
    told.approve()
    assert any(isinstance(a, OpenPostMortem) for _, a in told.actions)
    told.tell(PostMortemMoved(state=PostMortemState.DRAFTED, version=20, hash="p"))
    assert told.state.pending is not None and told.state.pending.moment is Moment.POST_MORTEM
    told.versions = 20
    told.tell(AlertsReceived(batch=batch(2)))
    assert told.stage() is Stage.INVESTIGATING
    told.approve()
    told.tell(ResolveRequested(by="ada"))
    told.approve()
    answers = [a for _, a in told.actions if isinstance(a, AnswerPostMortem)]
    assert [(a.approved, a.version) for a in answers] == [(False, 20)]
    told.tell(PostMortemMoved(state=PostMortemState.DRAFTED, version=40, hash="p2"))
    told.approve()
    told.tell(PostMortemMoved(state=PostMortemState.PUBLISHED, version=40, hash="p2"))
    told.pass_time(timedelta(hours=1))
    assert told.stage() is Stage.CLOSED


def test_a_report_that_comes_while_it_is_open_again_waits(told: Story) -> None:
    told.tell(ResolveRequested(by="ada"))
    told.approve()
    told.tell(AlertsReceived(batch=batch(2)))
    told.tell(PostMortemMoved(state=PostMortemState.DRAFTED, version=20, hash="p"))
    assert told.state.pending is None or told.state.pending.moment is not Moment.POST_MORTEM
    told.approve()
    told.tell(ResolveRequested(by="ada"))
    told.approve()
    answers = [a for _, a in told.actions if isinstance(a, AnswerPostMortem)]
    assert [(a.approved, a.version) for a in answers] == [(False, 20)]
    assert told.state.post_mortem is PostMortemState.DUE


def test_a_report_published_meanwhile_is_announced_and_not_asked_for_again(told: Story) -> None:
    told.tell(ResolveRequested(by="ada"))
    told.approve()
    told.tell(PostMortemMoved(state=PostMortemState.DRAFTED, version=20, hash="p"))
    told.versions = 20
    told.approve()
    told.tell(AlertsReceived(batch=batch(2)))
    told.tell(PostMortemMoved(state=PostMortemState.PUBLISHED, version=20, hash="p"))
    told.approve()
    told.tell(ResolveRequested(by="ada"))
    told.approve()
    # Its run has ended: nobody is there to take a second answer.
    answers = [a.approved for _, a in told.actions if isinstance(a, AnswerPostMortem)]
    assert answers == [True]
    assert told.moments()[-2:] == ["resolution", "post_mortem"]
    told.pass_time(timedelta(hours=1))
    assert told.stage() is Stage.CLOSED


def test_silence_lets_nothing_out_that_promises_the_past(policy: Policy, now: datetime) -> None:
    rule = GateRule(gate=Gate.APPROVE, on_silence="send")
    story = Story(policy.model_copy(update={"gates": (rule,)}), now)
    waiting = story.state.pending
    assert waiting is not None and waiting.next_update_at is not None
    late = waiting.model_copy(update={"promise_is_literal": True})
    story.state = story.state.model_copy(update={"pending": late})
    # Nothing ran for so long that the time written out has passed.
    story.now = waiting.next_update_at + timedelta(minutes=1)
    story.tell(TimerFired(timer=TimerKind.APPROVAL_ESCALATION))
    assert story.moments() == [] and story.state.pending is not None


def test_a_run_of_an_earlier_edition_goes_on_as_it_began(policy: Policy, now: datetime) -> None:
    story = Story(policy, now)
    story.state = story.state.model_copy(update={"edition": 0})
    old = story.state.pending
    story.tell(AlertsReceived(batch=batch(2, firing=0)))
    assert story.state.pending == old
