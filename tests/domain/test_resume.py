"""Going on after the running state, or the records, were lost."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from domain.actions import Decide, Note, Target
from domain.incident import (
    EDITION,
    AudienceCount,
    Draft,
    IncidentState,
    Pending,
    PostMortemOffer,
    PostMortemState,
    Promise,
    Stage,
)
from domain.message import Channel, Moment
from domain.policy import Policy
from domain.resume import RecordsLost, mend, resume
from domain.signal import Severity

NOW = datetime(2026, 3, 10, 14, 0, tzinfo=UTC)


def state(**changes: Any) -> IncidentState:
    base = IncidentState(
        id="inc_1",
        severity=Severity.P1,
        stage=Stage.INVESTIGATING,
        category="local_degradation",
        components=("payments",),
        started_at=NOW,
        opened_at=NOW,
        steps=7,
        draft_request=3,
    )
    return base.model_copy(update=changes)


def writing(request: int, *, holding: bool = False, ago: int = 40) -> Draft:
    return Draft(
        request=request,
        moment=Moment.UPDATE,
        number=1,
        channels=(Channel.EMAIL,),
        stage=Stage.INVESTIGATING,
        holding=holding,
        note_id=None if holding else "note_1",
        next_update_at=NOW - timedelta(minutes=ago - 30),
    )


def waiting(moment: Moment = Moment.UPDATE) -> Pending:
    return Pending(
        draft=5,
        moment=moment,
        number=1,
        hash="h",
        channels=(Channel.EMAIL,),
        stage=Stage.INVESTIGATING,
        asked_at=NOW,
        audience=AudienceCount(audience_id="old"),
    )


def test_what_was_being_written_is_asked_for_again_with_times_ahead(policy: Policy) -> None:
    promise = Promise(number=1, made_at=NOW, due=NOW - timedelta(minutes=10))
    before = state(
        drafting=writing(2), holding=writing(3, holding=True), targeting=True, promise=promise
    )
    after, actions = resume(before, NOW, policy)
    asked = [a for a in actions if isinstance(a, Draft)]
    assert [a.holding for a in asked] == [False, True]
    # New numbers: an answer to the old ones may stand in PostgreSQL with times that have passed.
    assert {a.request for a in asked} == {4, 5}
    assert all(a.next_update_at and a.next_update_at > NOW for a in asked)
    assert all(a.promised == promise.due for a in asked)
    assert asked[0].note_id == "note_1"
    assert (after.drafting, after.holding) == tuple(asked)
    assert any(isinstance(a, Target) for a in actions)
    assert after.steps == before.steps + 1


def test_nothing_is_asked_for_where_nothing_was_under_way(policy: Policy) -> None:
    _, actions = resume(state(pending=waiting()), NOW, policy)
    assert [a.kind for a in actions] == ["note", "tell_staff"]


def test_a_version_whose_texts_are_gone_is_not_left_to_be_approved(policy: Policy) -> None:
    after, actions = mend(state(pending=waiting()), RecordsLost(since=3, pending=True), NOW, policy)
    assert after.pending is None
    assert after.drafting is not None
    assert after.drafting.moment is Moment.UPDATE
    assert Decide(version=5, state="superseded") in actions
    assert {a.key for a in actions if isinstance(a, Note)} >= {"records_lost", "draft_lost"}


def test_a_version_that_is_still_there_waits_on_for_the_new_audience(policy: Policy) -> None:
    new = AudienceCount(audience_id="new", accounts=3, recipients=4)
    after, _ = mend(state(pending=waiting()), RecordsLost(since=3, audience=new), NOW, policy)
    assert after.pending is not None
    assert (after.pending.draft, after.pending.audience) == (5, new)
    assert after.audience == new


def test_a_lost_version_is_written_anew_for_those_who_still_wait_for_it(policy: Policy) -> None:
    sent_in_part = waiting(Moment.INITIAL)
    after, _ = mend(
        state(pending=sent_in_part, edition=EDITION, announced=True),
        RecordsLost(since=3, pending=True),
        NOW,
        policy,
    )
    assert after.drafting is not None
    assert after.drafting.channels == sent_in_part.channels


def test_a_lost_end_keeps_what_a_human_said_of_it(policy: Policy) -> None:
    end = waiting(Moment.RESOLUTION).model_copy(update={"note_id": "note_9"})
    after, _ = mend(
        state(pending=end, edition=EDITION), RecordsLost(since=3, pending=True), NOW, policy
    )
    assert after.drafting is not None and after.drafting.note_id == "note_9"


def test_a_new_audience_over_the_cap_needs_a_second_person(policy: Policy) -> None:
    capped = policy.model_copy(
        update={"approval": policy.approval.model_copy(update={"second_over": 0.5})}
    )
    new = AudienceCount(audience_id="new", share_of_customers=0.9)
    after, _ = mend(state(pending=waiting()), RecordsLost(since=3, audience=new), NOW, capped)
    assert after.pending is not None and after.pending.approvals_needed == 2


@pytest.mark.parametrize(
    ("report", "asked"), [(PostMortemState.DRAFTED, True), (PostMortemState.PUBLISHED, False)]
)
def test_a_lost_report_that_is_held_back_is_written_anew_unless_published(
    policy: Policy, report: PostMortemState, asked: bool
) -> None:
    held = PostMortemOffer(version=4, hash="p")
    before = state(pending=waiting(), offer=held, post_mortem=report, edition=EDITION)
    kept, actions = mend(before, RecordsLost(since=3, pending=True), NOW, policy)
    assert kept.offer == held and not any(a.kind == "answer_post_mortem" for a in actions)
    after, actions = mend(before, RecordsLost(since=3, offer=True), NOW, policy)
    assert after.offer is None
    assert after.post_mortem is (PostMortemState.DUE if asked else report)
    assert any(a.kind == "answer_post_mortem" for a in actions) is asked


def test_credits_that_were_being_worked_out_are_asked_for_again(policy: Policy) -> None:
    after, actions = resume(state(proposing=2), NOW, policy)
    assert [a.kind for a in actions].count("propose_credits") == 1 and after.proposing == 1


def test_a_lost_post_mortem_draft_goes_back_to_its_writer(policy: Policy) -> None:
    before = state(
        stage=Stage.RESOLVED,
        pending=waiting(Moment.POST_MORTEM),
        post_mortem=PostMortemState.DRAFTED,
    )
    after, actions = mend(before, RecordsLost(since=3, pending=True), NOW, policy)
    assert after.pending is None
    assert after.post_mortem is PostMortemState.DUE
    (answer,) = [a for a in actions if a.kind == "answer_post_mortem"]
    assert not answer.approved
