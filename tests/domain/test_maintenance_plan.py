"""Planned work on the pure plan, each edge case as a story."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from domain.events import AlertsReceived, PolicyAdopted
from domain.incident import AudienceCount, Stage, TimerKind
from domain.maintenance import (
    Begun,
    CalledOff,
    Completed,
    Extended,
    KeptTime,
    Objected,
    Rescheduled,
)
from domain.policy import Policy
from domain.policy_change import unfit
from domain.resume import RecordsLost, mend_maintenance
from tests.domain.maintenance_story import HOUR, MINUTE, MaintenanceStory
from tests.domain.story import batch

DAY = 24 * HOUR


def announced(policy: Policy, now: datetime, **changes: Any) -> MaintenanceStory:
    """Scheduled ten days ahead unless told otherwise, and its notice approved."""
    story = MaintenanceStory(policy, now, **changes)
    assert story.approve() is None
    return story


def under_way(policy: Policy, now: datetime, **changes: Any) -> MaintenanceStory:
    story = announced(policy, now, **changes)
    story.until(story.state.starts_at)
    return story


def test_customers_hear_nothing_before_the_notice_is_approved(
    policy: Policy, now: datetime
) -> None:
    story = MaintenanceStory(policy, now)
    story.sleep(9 * DAY)
    assert story.told == []
    assert story.state.pending is not None
    assert story.state.pending.moment == "maintenance_notice"


def test_notice_reminders_start_and_done_come_at_their_times(policy: Policy, now: datetime) -> None:
    story = announced(policy, now)
    start, end = story.state.starts_at, story.state.ends_at
    story.until(end - 5 * MINUTE)
    assert story.command(Completed(by="ada")) is None
    assert [(at, facts.moment.value) for at, facts in story.said] == [
        (now, "maintenance_notice"),
        (start - 7 * DAY, "maintenance_reminder"),
        (start - DAY, "maintenance_reminder"),
        (start - HOUR, "maintenance_reminder"),
        (start, "maintenance_start"),
        (end - 5 * MINUTE, "maintenance_done"),
    ]
    assert story.state.stage is Stage.COMPLETED
    assert story.state.over
    assert story.promises == [(1, "open"), (1, "kept")]
    assert "minutes_over" not in story.said[-1][1].numbers


def test_reminders_that_are_past_are_skipped(policy: Policy, now: datetime) -> None:
    story = announced(policy, now, starts_in=3 * HOUR)
    story.until(story.state.starts_at)
    assert story.told == ["notice", "reminder", "start"]


def test_no_reminder_right_after_the_notice(policy: Policy, now: datetime) -> None:
    story = announced(policy, now, starts_in=HOUR + 10 * MINUTE)
    story.until(story.state.starts_at)
    assert story.told == ["notice", "start"]


def test_staff_are_asked_before_the_end_and_again_when_nobody_answers(
    policy: Policy, now: datetime
) -> None:
    story = under_way(policy, now)
    story.until(story.state.ends_at - 46 * MINUTE)
    assert "overrun_question" not in story.notes
    story.sleep(MINUTE)
    assert story.notes.count("overrun_question") == 1
    story.sleep(15 * MINUTE)
    assert story.notes.count("overrun_question") == 2


def test_who_answered_is_not_asked_again(policy: Policy, now: datetime) -> None:
    story = under_way(policy, now)
    story.until(story.state.ends_at - 45 * MINUTE)
    assert story.command(KeptTime(by="ada")) is None
    story.until(story.state.ends_at - 10 * MINUTE)
    assert story.notes.count("overrun_question") == 1


def test_an_overrun_is_told_with_its_reason_and_revised_end(policy: Policy, now: datetime) -> None:
    story = under_way(policy, now)
    end = story.state.ends_at
    story.until(end - 40 * MINUTE)
    later = end + HOUR
    assert story.command(Extended(by="ada", ends_at=later, note_id="Copying takes longer.")) is None
    assert story.told[-1] == "start", "a human's words wait for approval"
    story.approve()
    facts = story.said[-1][1]
    assert facts.moment == "maintenance_overrun"
    assert facts.times["ends_at"] == end
    assert facts.times["revised_end"] == later
    assert facts.notes["reason"] == "Copying takes longer."
    story.until(later - 45 * MINUTE)
    assert story.notes.count("overrun_question") == 2, "it is asked before the new end as well"
    story.until(later - 20 * MINUTE)
    story.command(Completed(by="ada"))
    assert story.said[-1][1].numbers["minutes_over"] == 40
    assert [state for _, state in story.promises] == ["open", "kept", "open", "kept"]


def test_it_never_ends_silently(policy: Policy, now: datetime) -> None:
    story = under_way(policy, now)
    end = story.state.ends_at
    story.until(end)
    at, facts = story.said[-1]
    assert facts.moment == "maintenance_overrun"
    assert end - MINUTE < at <= end, "the promise to say something by the end is kept"
    assert "revised_end" not in facts.times
    assert "reason" not in facts.notes
    assert story.promises == [(1, "open"), (1, "kept")]
    assert "overrun_unanswered" in story.notes
    story.until(end + 125 * MINUTE)
    assert story.told[-3:] == ["overrun", "overrun", "overrun"]
    assert story.said[-1][1].numbers["minutes_over"] >= 119
    story.command(Completed(by="ada"))
    assert story.told[-1] == "done"


def test_an_end_that_waits_for_approval_does_not_break_the_promise(
    policy: Policy, now: datetime
) -> None:
    """The approver sleeps: customers still hear by the end they know that it goes on."""
    story = under_way(policy, now)
    end = story.state.ends_at
    story.until(end - 20 * MINUTE)
    story.command(Extended(by="ada", ends_at=end + 2 * HOUR, note_id="why"))
    story.until(end)
    facts = story.said[-1][1]
    assert facts.moment == "maintenance_overrun"
    assert "revised_end" not in facts.times, "nobody let the new end out"
    assert story.state.pending is not None, "the human's words still wait"
    story.approve()
    assert story.said[-1][1].times["revised_end"] == end + 2 * HOUR
    assert story.state.told_end == end + 2 * HOUR


def test_a_done_message_that_waits_goes_out_in_fixed_words_by_the_end(
    policy: Policy, now: datetime
) -> None:
    story = under_way(policy, now)
    story.until(story.state.ends_at - 20 * MINUTE)
    story.command(Completed(by="ada", note_id="All went well."))
    assert story.told[-1] == "start"
    story.until(story.state.ends_at)
    assert story.told[-1] == "done"
    assert story.promises == [(1, "open"), (1, "kept")]
    assert story.state.over


def test_credit_is_considered_two_hours_past_the_announced_end(
    policy: Policy, now: datetime
) -> None:
    story = under_way(policy, now)
    end = story.state.ends_at
    story.until(end - 40 * MINUTE)
    story.command(Extended(by="ada", ends_at=end + 5 * HOUR, note_id="why"))
    story.approve()
    story.until(end + 119 * MINUTE)
    assert "credit_considered" not in story.notes
    story.until(end + 2 * HOUR)
    assert story.state.credit_considered
    story.sleep(5 * HOUR)
    assert story.notes.count("credit_considered") == 1


def test_no_credit_for_work_that_ends_in_time(policy: Policy, now: datetime) -> None:
    story = under_way(policy, now, lasts=5 * HOUR)
    story.until(story.state.ends_at - MINUTE)
    story.command(Completed(by="ada"))
    story.sleep(DAY)
    assert not story.state.credit_considered


def test_rescheduling_tells_everybody_the_old_and_the_new_times(
    policy: Policy, now: datetime
) -> None:
    story = announced(policy, now)
    old, new = story.state.starts_at, story.state.starts_at + 2 * DAY
    story.command(Rescheduled(by="ada", starts_at=new, ends_at=new + HOUR, note_id="A holiday."))
    assert story.told == ["notice"]
    story.approve()
    facts = story.said[-1][1]
    assert (facts.moment, facts.notes["rescheduled"]) == ("maintenance_notice", "yes")
    assert facts.times["old_start"] == old
    assert facts.times["starts_at"] == new
    story.until(new)
    assert story.told == ["notice", "notice", "reminder", "reminder", "reminder", "start"]
    assert story.said[-1][0] == new


def test_no_reminder_of_old_times_while_new_ones_wait(policy: Policy, now: datetime) -> None:
    story = announced(policy, now)
    start = story.state.starts_at
    story.command(Rescheduled(by="ada", starts_at=start + HOUR, ends_at=start + 3 * HOUR))
    story.until(start)
    assert story.told == ["notice"]


def test_a_rejected_new_time_leaves_the_one_that_customers_know(
    policy: Policy, now: datetime
) -> None:
    story = announced(policy, now)
    start = story.state.starts_at
    story.command(Rescheduled(by="ada", starts_at=start + DAY, ends_at=start + DAY + HOUR))
    story.reject()
    story.until(start)
    assert story.told[-1] == "start"
    assert story.said[-1][0] == start


def test_cancelling_tells_everybody_who_was_told(policy: Policy, now: datetime) -> None:
    story = announced(policy, now)
    story.sleep(DAY)
    assert story.command(CalledOff(by="ada")) is None
    facts = story.said[-1][1]
    assert (facts.moment, facts.stage) == ("maintenance_done", "cancelled")
    assert story.state.stage is Stage.CANCELLED
    story.sleep(20 * DAY)
    assert story.told == ["notice", "done"]


def test_cancelling_what_nobody_was_told_is_silent(policy: Policy, now: datetime) -> None:
    story = MaintenanceStory(policy, now)
    story.command(CalledOff(by="ada"))
    assert (story.told, story.state.stage) == ([], Stage.CANCELLED)
    assert story.state.pending is None


def test_work_that_begins_untold_waits_for_approval(policy: Policy, now: datetime) -> None:
    story = MaintenanceStory(policy, now, starts_in=2 * HOUR)
    story.until(story.state.starts_at)
    assert story.told == []
    assert story.state.pending is not None
    assert story.state.pending.moment == "maintenance_start"
    story.approve()
    assert story.told == ["start"]


def test_where_policy_asks_for_a_human_it_does_not_begin_by_itself(
    policy: Policy, now: datetime
) -> None:
    assert policy.maintenance is not None
    asked = policy.maintenance.model_copy(update={"start": "human"})
    story = announced(policy.model_copy(update={"maintenance": asked}), now)
    story.until(story.state.starts_at + MINUTE)
    assert story.state.stage is Stage.SCHEDULED
    assert "maintenance_start_due" in story.notes
    assert story.command(Begun(by="ada")) is None
    assert story.told[-1] == "start"


def test_an_objection_becomes_a_task_and_a_late_one_is_recorded(
    policy: Policy, now: datetime
) -> None:
    story = announced(policy, now)
    story.tell(Objected(account_id="acme", late=False, assignee="the CSM"))
    story.tell(Objected(account_id="globex", late=True))
    assert story.notes[-2:] == ["objection", "objection_late"]


def test_alerts_in_the_window_stand_on_its_timeline(policy: Policy, now: datetime) -> None:
    story = under_way(policy, now)
    story.tell(AlertsReceived(batch=batch(1)))
    story.tell(AlertsReceived(batch=batch(1)))
    assert story.notes.count("alerts_folded") == 1
    story.command(Completed(by="ada"))
    assert "maintenance_alerts" in story.notes, "what still fires is said to staff"


def test_an_outage_of_ours_sends_no_reminder_of_what_has_begun(
    policy: Policy, now: datetime
) -> None:
    story = announced(policy, now)
    story.outage(10 * DAY + HOUR)
    assert story.told == ["notice", "start"]


def test_an_outage_throughout_the_window_announces_no_start(policy: Policy, now: datetime) -> None:
    story = announced(policy, now)
    story.outage(10 * DAY + 3 * HOUR)
    assert story.told == ["notice", "overrun"]
    assert story.state.stage is Stage.IN_PROGRESS


@pytest.mark.parametrize(
    ("event", "kind"),
    [
        (Completed(by="ada"), "not_started"),
        (KeptTime(by="ada"), "not_started"),
    ],
)
def test_what_has_not_begun_cannot_end(
    policy: Policy, now: datetime, event: Completed | KeptTime, kind: str
) -> None:
    assert announced(policy, now).command(event) == kind


def test_what_has_begun_is_extended_not_rescheduled(policy: Policy, now: datetime) -> None:
    story = under_way(policy, now)
    end = story.state.ends_at
    assert story.command(Rescheduled(by="a", starts_at=end, ends_at=end + HOUR)) == (
        "already_started"
    )
    assert story.command(Begun(by="a")) == "already_started"
    assert story.command(Extended(by="a", ends_at=end)) == "not_later"
    assert story.command(Completed(by="a")) is None
    assert story.command(Completed(by="a")) == "not_open"


def test_a_rejected_end_leaves_it_under_way(policy: Policy, now: datetime) -> None:
    story = under_way(policy, now)
    story.until(story.state.ends_at - 50 * MINUTE)
    story.command(Completed(by="ada", note_id="done"))
    story.reject()
    assert story.state.ending is None
    story.until(story.state.ends_at + timedelta(minutes=1))
    assert story.told[-1] == "overrun"
    assert story.command(Completed(by="ada")) is None
    assert story.told[-1] == "done"


def test_a_notice_is_kept_back_no_longer_than_it_is_true(policy: Policy, now: datetime) -> None:
    story = under_way(policy, now)
    story.until(story.state.ends_at - MINUTE)
    story.command(Completed(by="ada"))
    expiries = {
        action.moment.value: action.expires_at
        for _, action in story.actions
        if action.kind == "broadcast"
    }
    start, end = story.state.starts_at, story.state.ends_at
    assert expiries == {
        "maintenance_notice": start,
        "maintenance_reminder": start,
        "maintenance_start": end,
        "maintenance_done": None,
    }


def changed(policy: Policy, **figures: str) -> Policy:
    content = policy.model_dump(mode="json")
    content["maintenance"] |= figures
    return Policy.model_validate(content)


def test_another_policy_moves_the_questions_that_are_still_to_come(
    policy: Policy, now: datetime
) -> None:
    story = under_way(policy, now)
    end = story.state.ends_at
    story.policy = changed(policy, ask_before_end="60m", warn_before_end="20m")
    story.tell(PolicyAdopted(by="ada", hash=story.policy.hash, old=policy.hash))
    assert story.state.policy_hash == story.policy.hash
    assert story.notes.count("policy_changed") == 1
    story.until(end - 60 * MINUTE)
    assert story.notes.count("overrun_question") == 1
    story.until(end - 21 * MINUTE)
    assert story.notes.count("overrun_question") == 1
    story.sleep(MINUTE)
    assert story.notes.count("overrun_question") == 2


def test_another_policy_asks_nobody_a_second_time(policy: Policy, now: datetime) -> None:
    story = under_way(policy, now)
    story.until(story.state.ends_at - 44 * MINUTE)
    story.policy = changed(policy, ask_before_end="40m")
    story.tell(PolicyAdopted(by="ada", hash=story.policy.hash, old=policy.hash))
    assert TimerKind.OVERRUN_QUESTION not in story.state.timers
    story.sleep(10 * MINUTE)
    assert story.notes.count("overrun_question") == 1


def test_a_policy_without_maintenance_cannot_rule_it(policy: Policy, now: datetime) -> None:
    state = MaintenanceStory(policy, now).state
    assert unfit(policy, state) == ()
    without = policy.model_copy(update={"maintenance": None})
    assert unfit(without, state) == ("it plans no maintenance",)


def test_a_notice_whose_words_are_lost_is_written_anew(policy: Policy, now: datetime) -> None:
    story = MaintenanceStory(policy, now)
    lost, requests = story.state.pending, story.state.draft_request
    assert lost is not None
    state, _ = mend_maintenance(story.state, RecordsLost(since=1, pending=True), now, policy)
    assert state.pending is None
    assert state.drafting is not None
    assert (state.drafting.moment, state.drafting.request) == (lost.moment, requests + 1)


def test_an_audience_taken_anew_is_what_the_notice_will_go_to(
    policy: Policy, now: datetime
) -> None:
    story = MaintenanceStory(policy, now)
    anew = AudienceCount(audience_id="aud_2", accounts=3, recipients=4)
    state, _ = mend_maintenance(story.state, RecordsLost(since=1, audience=anew), now, policy)
    assert state.audience == anew
    assert state.pending is not None
    assert state.pending.audience == anew
