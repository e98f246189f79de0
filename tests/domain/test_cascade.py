"""The handshake of merging and the halves of splitting, with every message in the test's hands."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from domain.cascade import (
    Absorb,
    AnswerMerge,
    AskMerge,
    HandTo,
    MergeAsked,
    OpenSplit,
    SplitAsked,
    SplitDone,
    SplitOpened,
    TakeIn,
)
from domain.events import (
    AlertsReceived,
    Event,
    ResolveRequested,
    SeverityChanged,
    Targeted,
    UpdatePosted,
)
from domain.incident import Stage, TimerKind
from domain.message import Channel, Moment
from domain.plan import plan
from domain.plan_cascade import split_state
from domain.policy import Policy
from domain.resume import resume
from domain.signal import Severity
from tests.domain.story import Story, batch

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
Post = list[tuple[str, Event]]


def incident(policy: Policy, now: datetime, id: str, *, told: bool = True, **alert: Any) -> Story:
    """An incident under this id, told to customers unless said otherwise."""
    story = Story(policy, now, batch(**alert))
    story.state = story.state.model_copy(update={"id": id})
    if told:
        assert story.approve() is None
    return story


def post(story: Story, since: int = 0) -> Post:
    """What an incident said to others, in order."""
    said: Post = []
    for _, action in story.actions[since:]:
        match action:
            case HandTo():
                said.append((action.to, action.absorb))
            case AnswerMerge():
                said.append((action.to, action.answer))
            case AskMerge():
                said.append((action.of, action.asked))
    return said


def deliver(*stories: Story) -> None:
    """Carry messages to and fro until nobody says anything new."""
    by_id = {story.state.id: story for story in stories}
    seen = dict.fromkeys(by_id, 0)
    while any(len(story.actions) > seen[id] for id, story in by_id.items()):
        for id, story in by_id.items():
            letters, seen[id] = post(story, seen[id]), len(story.actions)
            for to, event in letters:
                by_id[to].tell(event)


def merged(policy: Policy, one: Story, into: Story) -> None:
    assert one.command(MergeAsked(into=into.state.id, by="ada")) is None
    deliver(one, into)


def test_what_was_owed_goes_on_and_nothing_is_said_twice(policy: Policy, now: datetime) -> None:
    one = incident(policy, now, "inc_1", severity=Severity.P1)
    one.pass_time(10 * MINUTE)
    two = incident(policy, one.now, "inc_2", components=("webhooks",), severity=Severity.P3)
    first_due = one.state.next_update_due
    merged(policy, one, two)
    assert one.stage() is Stage.CLOSED
    assert (one.state.merged_into, two.state.merged) == ("inc_2", ("inc_1",))
    assert one.state.timers == {} and one.state.pending is None
    assert [p.due for p in one.promises("superseded")] == [first_due]
    assert two.state.next_update_due == first_due
    assert two.severity() is Severity.P1
    assert two.state.components == ("webhooks", "payments")
    assert two.state.started_at == one.state.started_at
    assert set(one.state.told) <= set(two.state.told)
    # The worse severity is news for those who heard of the milder one.
    assert two.state.pending is not None and two.state.pending.moment is Moment.ESCALATION
    before = one.moments()
    one.pass_time(3 * HOUR)
    two.pass_time(30 * MINUTE)
    assert one.moments() == before
    assert two.promises("missed") == []
    two.command(ResolveRequested(by="ada"))
    two.approve()
    end = two.broadcasts()[-1]
    assert (end.moment, Channel.SMS in end.channels) == (Moment.RESOLUTION, True)


def test_a_promise_is_kept_on_the_channels_of_both(policy: Policy, now: datetime) -> None:
    one = incident(policy, now, "inc_1", severity=Severity.P2)
    two = incident(policy, now, "inc_2", components=("webhooks",), severity=Severity.P3)
    two.command(SeverityChanged(by="ada", severity=Severity.P1))
    two.approve()
    merged(policy, one, two)
    promise = two.state.promise
    assert promise is not None
    assert Channel.EMAIL in promise.channels


def test_an_incident_without_a_promise_takes_one_over(policy: Policy, now: datetime) -> None:
    one = incident(policy, now, "inc_1")
    two = incident(policy, now, "inc_2", told=False, components=("webhooks",), confirms=False)
    merged(policy, one, two)
    assert two.state.announced
    assert two.state.next_update_due == one.promises("superseded")[0].due
    assert two.state.pending is not None and two.state.pending.moment is Moment.UPDATE


def test_an_unapproved_start_is_taken_back_when_the_other_one_told_it(
    policy: Policy, now: datetime
) -> None:
    one = incident(policy, now, "inc_1")
    two = incident(policy, now, "inc_2", told=False, components=("webhooks",))
    assert two.state.pending is not None
    start = two.state.pending.draft
    merged(policy, one, two)
    assert two.state.pending is not None
    assert two.state.pending.draft != start
    two.approve()
    assert two.moments() == ["update"]


def test_each_half_may_come_twice(policy: Policy, now: datetime) -> None:
    one = incident(policy, now, "inc_1")
    two = incident(policy, now, "inc_2", components=("webhooks",))
    merged(policy, one, two)
    state, firing, drafts = two.state, two.state.firing, len(two.drafts())
    for _, event in post(one):
        two.tell(event)
    assert two.state.merged == state.merged
    assert two.state.firing == firing
    assert len(two.drafts()) == drafts
    assert two.state.promise == state.promise
    for _, event in post(two):
        one.tell(event)
    assert one.notes().count("merged_into") == 1


@pytest.mark.parametrize("lost", ["the handing over", "the answer"])
def test_a_run_that_was_lost_in_between_says_its_half_again(
    policy: Policy, now: datetime, lost: str
) -> None:
    one = incident(policy, now, "inc_1")
    two = incident(policy, now, "inc_2", components=("webhooks",))
    one.command(MergeAsked(into="inc_2", by="ada"))
    if lost == "the answer":
        two.tell(post(one)[0][1])
    again = two if lost == "the answer" else one
    again.state, actions = resume(again.state, now, policy)
    again.actions += [(now, action) for action in actions]
    deliver(one, two)
    assert one.stage() is Stage.CLOSED
    assert two.state.merged == ("inc_1",)
    assert two.state.firing == 2


def test_what_happens_while_it_is_handed_over_is_handed_over_too(
    policy: Policy, now: datetime
) -> None:
    one = incident(policy, now, "inc_1")
    two = incident(policy, now, "inc_2", components=("webhooks",))
    one.command(MergeAsked(into="inc_2", by="ada"))
    one.tell(AlertsReceived(batch=batch(2, firing=3, components=("reporting",))))
    deliver(one, two)
    assert one.stage() is Stage.CLOSED
    assert "reporting" in two.state.components
    assert two.state.firing == 4


def test_while_nobody_answers_promises_are_kept_as_ever(policy: Policy, now: datetime) -> None:
    one = incident(policy, now, "inc_1")
    one.command(MergeAsked(into="inc_2", by="ada"))
    one.pass_time(3 * HOUR)
    assert one.moments() == ["initial"] + ["update"] * 3
    assert one.promises("missed") == []


def test_two_that_ask_each_other_both_go_on(policy: Policy, now: datetime) -> None:
    one = incident(policy, now, "inc_1")
    two = incident(policy, now, "inc_2", components=("webhooks",))
    one.command(MergeAsked(into="inc_2", by="ada"))
    two.command(MergeAsked(into="inc_1", by="bob"))
    deliver(one, two)
    for story in (one, two):
        assert not story.state.over
        assert story.state.merging is None
        assert "merge_failed" in story.notes()
    assert one.command(MergeAsked(into="inc_2", by="ada")) is None


def test_what_is_over_or_told_its_end_takes_nothing_in(policy: Policy, now: datetime) -> None:
    for ending in ("resolved", "over"):
        one = incident(policy, now, "inc_1")
        two = incident(policy, now, "inc_2", told=ending == "resolved", components=("webhooks",))
        two.command(ResolveRequested(by="ada"))
        if ending == "resolved":
            two.approve()
        else:
            two.pass_time(HOUR)
        merged(policy, one, two)
        assert not one.state.over
        assert not [a for _, a in two.actions if isinstance(a, TakeIn)]
        assert two.command(MergeAsked(into="inc_1", by="ada")) == "not_open"


def test_a_drill_and_a_real_one_are_never_one(policy: Policy, now: datetime) -> None:
    one = incident(policy, now, "inc_1")
    two = incident(policy, now, "inc_2", components=("webhooks",))
    two.state = two.state.model_copy(update={"dry_run": True})
    merged(policy, one, two)
    assert not one.state.over and two.state.merged == ()


def test_security_stays_security_whichever_goes_on(policy: Policy, now: datetime) -> None:
    one = incident(policy, now, "inc_1", category="security", severity=Severity.P1)
    two = incident(policy, now, "inc_2", components=("webhooks",))
    merged(policy, one, two)
    assert two.state.category == "security"


def test_an_alert_that_fires_there_holds_back_the_end_here(policy: Policy, now: datetime) -> None:
    one = incident(policy, now, "inc_1")
    two = incident(policy, now, "inc_2", components=("webhooks",))
    two.tell(AlertsReceived(batch=batch(2, firing=0, severity=None)))
    assert TimerKind.STABILITY in two.state.timers
    merged(policy, one, two)
    assert TimerKind.STABILITY not in two.state.timers
    assert two.stage() is Stage.INVESTIGATING


def test_related_incidents_are_asked_only_where_policy_says_so(
    policy: Policy, now: datetime
) -> None:
    grouping = policy.grouping.model_copy(update={"merge": False})
    for allowed in (policy, policy.model_copy(update={"grouping": grouping})):
        one = incident(allowed, now, "inc_1")
        two = incident(allowed, now, "inc_2", components=("graphql-api",))
        one.tell(AlertsReceived(batch=batch(2, components=("database",), relates=("inc_2",))))
        deliver(one, two)
        assert two.state.over is allowed.grouping.merge


def test_an_audience_that_comes_late_does_not_take_back_the_end(
    policy: Policy, now: datetime
) -> None:
    one = incident(policy, now, "inc_1")
    two = incident(policy, now, "inc_2", components=("webhooks",))
    two.silent = True
    merged(policy, one, two)
    assert two.state.targeting
    two.command(ResolveRequested(by="ada", note_id="the_end"))
    two.silent = False
    two.tell(Targeted(audience=two.state.audience))
    assert two.state.drafting is not None and two.state.drafting.moment is Moment.RESOLUTION
    two.answer(two.state.drafting)
    assert two.state.pending is not None
    assert (two.state.pending.moment, two.state.pending.note_id) == (Moment.RESOLUTION, "the_end")
    two.approve()
    assert two.stage() is Stage.RESOLVED


def test_growing_does_not_lose_a_humans_words(policy: Policy, now: datetime) -> None:
    story = incident(policy, now, "inc_1")
    story.command(UpdatePosted(by="ada", note_id="my_words"))
    story.tell(AlertsReceived(batch=batch(2, components=("payments", "webhooks"))))
    assert story.state.pending is not None and story.state.pending.note_id == "my_words"


# ---------------------------------------------------------------- splitting


def split(policy: Policy, story: Story, *components: str, firing: int = 1) -> Story:
    """The incident that is split off, as its run begins."""
    assert story.command(SplitAsked(id="inc_new", components=components, by="ada")) is None
    (asked,) = [a for _, a in story.actions if isinstance(a, OpenSplit)]
    other = Story.__new__(Story)
    other.policy, other.now, other.share = policy, story.now, None
    other.actions, other.versions, other.silent = [], 0, False
    other.state = split_state(story.state, asked.split, firing, story.now, policy)
    other.tell(SplitOpened(origin=story.state.id, by="ada", alerts=1))
    story.tell(SplitDone(id="inc_new", firing=1))
    return other


def test_the_new_one_owes_what_was_promised_and_starts_with_an_update(
    policy: Policy, now: datetime
) -> None:
    story = incident(policy, now, "inc_1", components=("payments", "reporting"))
    due = story.state.next_update_due
    new = split(policy, story, "reporting")
    assert story.state.components == ("payments",)
    assert new.state.components == ("reporting",)
    assert story.state.next_update_due == new.state.next_update_due == due
    assert [p.due for p in new.promises("open")] == [due]
    assert new.state.pending is not None and new.state.pending.moment is Moment.UPDATE
    new.pass_time(HOUR)
    assert new.moments() == ["update"]
    assert new.promises("missed") == []


def test_a_waiting_draft_that_names_what_left_is_written_anew(
    policy: Policy, now: datetime
) -> None:
    story = incident(policy, now, "inc_1", told=False, components=("payments", "reporting"))
    assert story.state.pending is not None
    waiting = story.state.pending.draft
    new = split(policy, story, "reporting")
    assert story.state.pending is not None and story.state.pending.draft != waiting
    assert not new.state.announced
    new.approve()
    assert new.moments() == ["initial"]


def test_alerts_that_had_stopped_let_the_new_one_end(policy: Policy, now: datetime) -> None:
    story = incident(policy, now, "inc_1", components=("payments", "reporting"))
    new = split(policy, story, "reporting", firing=0)
    assert new.stage() is Stage.MONITORING
    new.pass_time(policy.resolution.stable_for)
    assert new.state.pending is not None and new.state.pending.moment is Moment.RESOLUTION


def test_a_lost_run_splits_once_more(policy: Policy, now: datetime) -> None:
    story = incident(policy, now, "inc_1", components=("payments", "reporting"))
    story.silent = True
    story.command(SplitAsked(id="inc_new", components=("reporting",), by="ada"))
    _, actions = resume(story.state, now, policy)
    assert [a.split.id for a in actions if isinstance(a, OpenSplit)] == ["inc_new"]


def test_splitting_is_refused_while_something_else_moves(policy: Policy, now: datetime) -> None:
    story = incident(policy, now, "inc_1", components=("payments", "reporting"))
    ask = SplitAsked(id="inc_new", components=("reporting",), by="ada")
    story.command(MergeAsked(into="inc_2", by="ada"))
    assert story.command(ask) == "busy"
    assert story.command(MergeAsked(into="inc_3", by="ada")) == "busy"
    assert story.command(UpdatePosted(by="ada", note_id="n")) is None


def test_absorbing_is_answered_even_when_it_is_over(policy: Policy, now: datetime) -> None:
    story = incident(policy, now, "inc_1", told=False)
    other = incident(policy, now, "inc_2", components=("webhooks",))
    closed = story.state.model_copy(update={"stage": Stage.CLOSED})
    other.command(MergeAsked(into="inc_1", by="ada"))
    (event,) = [e for _, e in post(other) if isinstance(e, Absorb)]
    _, actions = plan(closed, event, now, policy)
    (answer,) = [a.answer for a in actions if isinstance(a, AnswerMerge)]
    assert not answer.accepted
