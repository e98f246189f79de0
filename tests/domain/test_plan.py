"""The plan, told as short stories: what an incident says to customers, when, and when not."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import pairwise

import pytest

from domain.actions import Broadcast, Decide, Note
from domain.events import (
    AlertsReceived,
    Decided,
    Dismissed,
    Drafted,
    Edited,
    FalseAlarmMarked,
    HandedOver,
    ImpactConfirmed,
    PostMortemMoved,
    ResolveRequested,
    SeverityChanged,
    UpdatePosted,
)
from domain.incident import PostMortemState, Stage, TimerKind
from domain.message import Channel, Moment
from domain.policy import Policy
from domain.signal import Severity
from tests.domain.story import Story, batch

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)


@pytest.fixture
def announced(policy: Policy, now: datetime) -> Story:
    """A P2 whose first message was approved at once."""
    story = Story(policy, now)
    assert story.approve() is None
    return story


def test_suspected_incident_tells_no_customer_and_closes_silently(
    policy: Policy, now: datetime
) -> None:
    story = Story(policy, now, batch(confirms=False))
    assert story.stage() is Stage.SUSPECTED
    story.pass_time(12 * HOUR)
    story.tell(AlertsReceived(batch=batch(2, firing=0, confirms=False)))
    assert story.stage() is Stage.CLOSED
    assert story.broadcasts() == []
    assert story.state.post_mortem is PostMortemState.NOT_REQUIRED


def test_confirmed_impact_waits_for_approval_and_staff_channels_do_not(
    policy: Policy, now: datetime
) -> None:
    story = Story(policy, now)
    assert story.stage() is Stage.INVESTIGATING
    assert story.broadcasts() == []
    assert [set(b.channels) for b in story.broadcasts(customers=False)] == [
        {Channel.INTERNAL, Channel.TICKET}
    ]
    assert story.state.pending is not None
    story.approve()
    (sent,) = story.broadcasts()
    assert sent.moment is Moment.INITIAL
    assert Channel.EMAIL in sent.channels
    assert Channel.SMS not in sent.channels  # P2 sends no SMS
    assert sent.by == "ada"


def test_human_confirms_a_suspected_incident_and_names_its_component(
    policy: Policy, now: datetime
) -> None:
    story = Story(policy, now, batch(confirms=False, components=()))
    story.command(ImpactConfirmed(by="ada", components=("payments",), severity=Severity.P1))
    assert story.state.components == ("payments",)
    assert story.severity() is Severity.P1
    assert story.state.pending is not None
    assert story.command(ImpactConfirmed(by="bob")) == "not_suspected"


def test_what_a_confirmed_incident_is_about_can_be_said_later(
    policy: Policy, now: datetime
) -> None:
    story = Story(policy, now, batch(confirms=False, components=()))
    story.command(ImpactConfirmed(by="ada"))
    assert "draft_ready" not in story.notes()
    assert "no_components" in story.notes()
    assert story.command(ImpactConfirmed(by="ada", components=("payments",))) is None
    assert story.state.pending is not None
    assert story.command(ImpactConfirmed(by="ada", components=("api",))) == "not_suspected"


def test_a_measured_share_raises_an_unstated_severity(policy: Policy, now: datetime) -> None:
    unstated = batch(severity=Severity.P3, severity_stated=False)
    assert Story(policy, now, unstated, share=0.25).severity() is Severity.P2
    assert Story(policy, now, unstated, share=0.251).severity() is Severity.P1
    assert Story(policy, now, unstated, share=None).severity() is Severity.P3
    assert Story(policy, now, batch(severity=Severity.P3), share=0.9).severity() is Severity.P3


def test_every_promise_is_kept_by_holding_lines_while_nobody_acts(announced: Story) -> None:
    opened = announced.now
    announced.pass_time(24 * HOUR)
    sent = [at for at, action in announced.actions if isinstance(action, Broadcast) and
            Channel.EMAIL in action.channels]  # fmt: skip
    early = [at for at in sent if at - opened < 4 * HOUR]
    late = [at for at in sent if at - opened > 4 * HOUR]
    assert len(early) == 1 + 4
    # From the fourth hour on they hear every quarter of an hour.
    assert max(b - a for a, b in pairwise(late)) <= 15 * MINUTE
    assert announced.moments() == ["initial"] + ["update"] * (len(sent) - 1)
    assert announced.promises("missed") == []
    assert len(announced.promises("kept")) == len(sent) - 1
    assert all(b.by.startswith("policy") for b in announced.broadcasts()[1:])


def test_a_promise_is_told_to_the_minute_and_kept_before_it(announced: Story) -> None:
    due = announced.state.next_update_due
    assert due is not None and due.second == 0
    announced.pass_time(due - announced.now)
    assert announced.moments() == ["initial", "update"]


def test_an_unapproved_update_does_not_stop_the_holding_line(announced: Story) -> None:
    announced.command(UpdatePosted(by="bob", note_id="note_1", stage=Stage.IDENTIFIED))
    waiting = announced.state.pending
    assert waiting is not None
    announced.pass_time(HOUR)
    assert announced.moments() == ["initial", "update"]
    assert announced.state.pending is not None
    assert announced.state.pending.draft == waiting.draft
    announced.approve()
    assert announced.moments() == ["initial", "update", "update"]


def test_late_approval_counts_the_promise_from_the_decision(policy: Policy, now: datetime) -> None:
    story = Story(policy, now)
    pending = story.state.pending
    assert pending is not None and pending.next_update_at is not None
    story.pass_time(2 * HOUR)
    story.approve()
    assert story.state.next_update_due is not None
    assert story.state.next_update_due > story.now
    assert story.broadcasts()[0].next_update_at == story.state.next_update_due


def test_prompt_approval_keeps_the_time_the_approver_saw(policy: Policy, now: datetime) -> None:
    story = Story(policy, now)
    pending = story.state.pending
    assert pending is not None
    story.pass_time(5 * MINUTE)
    story.approve()
    assert story.state.next_update_due == pending.next_update_at


def test_severity_rise_recomputes_the_due_time_from_the_last_update(announced: Story) -> None:
    sent = announced.state.last_sent_at
    assert sent is not None
    announced.pass_time(10 * MINUTE)
    announced.command(SeverityChanged(by="ada", severity=Severity.P1))
    assert announced.state.next_update_due == (sent + 30 * MINUTE).replace(second=0, microsecond=0)
    assert announced.state.pending is not None
    assert announced.state.pending.moment is Moment.ESCALATION
    assert Channel.SMS in announced.state.pending.channels


def test_severity_fall_never_breaks_what_customers_were_told(announced: Story) -> None:
    told = announced.state.next_update_due
    announced.command(SeverityChanged(by="ada", severity=Severity.P3))
    assert announced.state.next_update_due == told
    announced.pass_time(HOUR)
    assert announced.promises("missed") == []
    assert announced.command(SeverityChanged(by="ada", severity=Severity.P3)) == "same_severity"


def test_a_promise_is_kept_where_it_was_made(announced: Story) -> None:
    announced.command(SeverityChanged(by="ada", severity=Severity.P4))
    announced.pass_time(HOUR)
    kept = announced.broadcasts()[-1]
    assert kept.moment is Moment.UPDATE
    assert Channel.EMAIL in kept.channels
    announced.pass_time(12 * HOUR)
    assert announced.broadcasts()[-1] == kept  # P4 promises nothing more


def test_the_end_goes_to_every_channel_that_carried_the_start(announced: Story) -> None:
    announced.command(SeverityChanged(by="ada", severity=Severity.P4))
    announced.command(ResolveRequested(by="ada"))
    announced.approve()
    start, end = announced.broadcasts()[0], announced.broadcasts()[-1]
    assert end.moment is Moment.RESOLUTION
    assert set(start.channels) - {Channel.INTERNAL, Channel.TICKET} <= set(end.channels)


def test_alerts_raise_severity_but_never_lower_a_humans_word(announced: Story) -> None:
    announced.tell(AlertsReceived(batch=batch(2, severity=Severity.P1)))
    assert announced.severity() is Severity.P1
    announced.command(SeverityChanged(by="ada", severity=Severity.P3))
    announced.tell(AlertsReceived(batch=batch(3, severity=Severity.P1)))
    assert announced.severity() is Severity.P3


def test_all_clear_after_stability_and_approval(announced: Story) -> None:
    announced.pass_time(20 * MINUTE)
    quiet = announced.now
    announced.tell(AlertsReceived(batch=batch(2, firing=0)))
    assert announced.stage() is Stage.MONITORING
    announced.pass_time(10 * MINUTE)
    assert announced.state.pending is not None
    assert announced.state.pending.moment is Moment.RESOLUTION
    announced.approve()
    assert announced.moments()[-1] == "resolution"
    assert announced.stage() is Stage.RESOLVED
    assert announced.state.resolved_at == quiet
    assert announced.state.next_update_due is None
    assert announced.state.post_mortem is PostMortemState.DUE


def test_an_alert_one_second_before_stability_holds_back_the_all_clear(announced: Story) -> None:
    announced.tell(AlertsReceived(batch=batch(2, firing=0)))
    announced.pass_time(10 * MINUTE - timedelta(seconds=1))
    announced.tell(AlertsReceived(batch=batch(3, firing=1)))
    announced.pass_time(10 * MINUTE)
    assert announced.stage() is Stage.INVESTIGATING
    assert TimerKind.STABILITY not in announced.state.timers
    assert "resolution" not in announced.moments()


def test_an_alert_takes_back_a_resolution_that_waits_for_approval(announced: Story) -> None:
    announced.tell(AlertsReceived(batch=batch(2, firing=0)))
    announced.pass_time(11 * MINUTE)
    pending = announced.state.pending
    assert pending is not None
    announced.tell(AlertsReceived(batch=batch(3, firing=1)))
    assert announced.state.pending is None
    late = Decided(draft=pending.draft, decision="approve", by="ada")
    assert announced.command(late) == "superseded"


def test_refire_in_the_window_reopens_and_after_resolution_one_post_mortem(
    announced: Story,
) -> None:
    announced.command(ResolveRequested(by="ada"))
    announced.approve()
    announced.pass_time(5 * MINUTE)
    announced.tell(AlertsReceived(batch=batch(2, firing=1)))
    assert announced.stage() is Stage.INVESTIGATING
    announced.approve()
    assert announced.state.next_update_due is not None
    announced.command(ResolveRequested(by="ada"))
    announced.approve()
    assert announced.moments() == ["initial", "resolution", "update", "resolution"]
    opened = [a for _, a in announced.actions if a.kind == "open_post_mortem"]
    assert len(opened) == 1


def test_post_mortem_is_reviewed_published_and_the_incident_closes(announced: Story) -> None:
    announced.command(ResolveRequested(by="ada"))
    announced.approve()
    announced.tell(PostMortemMoved(state=PostMortemState.DRAFTED, version=90, hash="pm"))
    assert announced.state.pending is not None
    assert announced.state.pending.moment is Moment.POST_MORTEM
    announced.approve()
    answers = [a for _, a in announced.actions if a.kind == "answer_post_mortem"]
    assert len(answers) == 1
    announced.tell(PostMortemMoved(state=PostMortemState.PUBLISHED, version=90, hash="pm"))
    assert announced.moments()[-1] == "post_mortem"
    assert announced.stage() is Stage.RESOLVED
    announced.pass_time(HOUR)
    assert announced.stage() is Stage.CLOSED


def test_false_alarm_apologises_only_to_those_who_were_told(policy: Policy, now: datetime) -> None:
    untold = Story(policy, now)
    untold.command(FalseAlarmMarked(by="ada"))
    assert untold.stage() is Stage.FALSE_ALARM
    assert untold.broadcasts() == []

    told = Story(policy, now)
    told.approve()
    told.command(FalseAlarmMarked(by="ada"))
    assert told.stage() is Stage.INVESTIGATING  # until the apology is approved
    told.approve()
    assert told.moments() == ["initial", "false_alarm"]
    assert told.stage() is Stage.FALSE_ALARM


def test_resolved_before_anybody_was_told_says_nothing(policy: Policy, now: datetime) -> None:
    story = Story(policy, now)
    story.command(ResolveRequested(by="ada"))
    assert story.stage() is Stage.RESOLVED
    assert story.state.pending is None
    story.pass_time(HOUR)
    assert story.stage() is Stage.CLOSED
    assert story.broadcasts() == []


def test_dismiss_only_while_suspected(policy: Policy, now: datetime, announced: Story) -> None:
    assert announced.command(Dismissed(by="ada")) == "not_suspected"
    story = Story(policy, now, batch(confirms=False))
    assert story.command(UpdatePosted(by="ada", note_id="n")) == "not_confirmed"
    story.command(Dismissed(by="ada", reason="noise"))
    assert story.stage() is Stage.DISMISSED
    assert story.command(ImpactConfirmed(by="ada")) == "not_open"


def test_decisions_that_come_too_late_or_from_the_wrong_person_change_nothing(
    policy: Policy, now: datetime
) -> None:
    story = Story(policy, now)
    first = story.state.pending
    assert first is not None
    wrong_role = Decided(draft=first.draft, decision="approve", by="eve", role="viewer")
    assert story.command(wrong_role) == "forbidden"
    story.command(Edited(draft=first.draft, version=7, hash="edited", by="ada"))
    approve_old = Decided(draft=first.draft, decision="approve", by="ada")
    assert story.command(approve_old) == "superseded"
    assert story.broadcasts() == []
    story.approve()
    assert story.broadcasts()[0].version == 7
    approve_again = Decided(draft=7, decision="approve", by="ada")
    assert story.command(approve_again) == "already_sent"


def test_rejection_is_final_and_a_new_update_starts_over(policy: Policy, now: datetime) -> None:
    story = Story(policy, now)
    pending = story.state.pending
    assert pending is not None
    reject = Decided(draft=pending.draft, decision="reject", by="ada", reason="unclear")
    assert story.command(reject) is None
    assert story.command(reject) == "already_decided"
    story.command(UpdatePosted(by="bob", note_id="note_2"))
    story.approve()
    assert story.moments() == ["initial"]


def test_an_invalid_draft_is_never_approved_unedited(policy: Policy, now: datetime) -> None:
    story = Story(policy, now, batch(confirms=False))
    story.state = story.state.model_copy(update={"stage": Stage.INVESTIGATING})
    step_draft = story.state.model_copy(update={})
    assert step_draft.pending is None
    story.tell(UpdatePosted(by="ada", note_id="n"))
    pending = story.state.pending
    assert pending is not None
    story.tell(Edited(draft=pending.draft, version=50, hash="x", by="ada", invalid=True))
    assert story.approve() == "invalid_draft"


def test_four_eyes_needs_two_different_people(policy: Policy, now: datetime) -> None:
    careful = policy.model_copy(
        update={"approval": policy.approval.model_copy(update={"four_eyes": True})}
    )
    story = Story(careful, now)
    assert story.approve("ada") is None
    assert story.broadcasts() == []
    assert story.approve("ada") == "second_person_needed"
    assert story.approve("bob") is None
    assert story.moments() == ["initial"]


def test_silence_reminds_then_escalates_along_the_chain(policy: Policy, now: datetime) -> None:
    story = Story(policy, now)
    story.pass_time(5 * MINUTE)
    assert story.notes().count("reminded") == 1
    story.pass_time(HOUR)
    assert story.notes().count("escalated") == len(policy.people.roles["approver"]) - 1
    assert story.broadcasts() == []  # silence never sends


def test_security_incidents_are_never_automatic(policy: Policy, now: datetime) -> None:
    open_gates = policy.model_copy(
        update={"gates": (policy.gates[0].model_copy(update={"channels": None}),)}
    )
    story = Story(open_gates, now, batch(category="security"))
    assert story.broadcasts() == []
    automatic = Story(open_gates, now)
    assert automatic.moments() == ["initial"]


def test_a_late_draft_of_a_superseded_request_is_not_offered(announced: Story) -> None:
    announced.command(UpdatePosted(by="ada", note_id="n"))
    waiting = announced.state.pending
    announced.tell(Drafted(request=1, version=99, moment=Moment.UPDATE, number=1, hash="old"))
    assert announced.state.pending == waiting
    superseded = [
        a.version for _, a in announced.actions if isinstance(a, Decide) and a.state == "superseded"
    ]
    assert 99 in superseded


def test_new_component_widens_the_audience_only_with_approval(announced: Story) -> None:
    announced.tell(AlertsReceived(batch=batch(2, components=("dashboard",))))
    assert announced.moments() == ["initial"]
    assert announced.state.pending is not None
    assert announced.state.components == ("payments", "dashboard")


def test_the_same_batch_twice_changes_nothing(announced: Story) -> None:
    before = announced.state
    announced.tell(AlertsReceived(batch=batch(1, severity=Severity.P1)))
    assert announced.state.model_copy(update={"steps": before.steps}) == before


def test_broadcasts_carry_what_was_approved(announced: Story) -> None:
    (sent,) = announced.broadcasts()
    assert isinstance(sent, Broadcast)
    assert (sent.version, sent.hash, sent.audience_id) == (1, "h1", "aud_1")
    assert sent.expires_at is not None and sent.expires_at > announced.now


def test_the_timeline_says_once_why_an_alert_was_judged_so(policy: Policy, now: datetime) -> None:
    def reasons(story: Story) -> list[str]:
        notes = [a for _, a in story.actions if isinstance(a, Note) and a.key == "signal_received"]
        return [note.data.get("reason", "") for note in notes]

    story = Story(policy, now, batch(confirms=False, reasons=("unknown region: mars",)))
    assert reasons(story) == ["unknown region: mars"]
    more = ("unknown region: mars", "the monitor states P1")
    story.tell(AlertsReceived(batch=batch(watermark=2, confirms=False, reasons=more)))
    assert reasons(story) == ["unknown region: mars", "the monitor states P1"]


def test_handed_over_the_new_person_is_asked_and_has_the_whole_time(
    policy: Policy, now: datetime
) -> None:
    story = Story(policy, now)
    story.pass_time(11 * MINUTE)
    assert story.asked() == [policy.people.roles["approver"][1]]  # escalated by now
    story.command(HandedOver(by="ada", role="approver", to="grace"))
    story.pass_time(4 * MINUTE)
    assert "reminded" not in story.notes()[-1:]
    story.pass_time(2 * MINUTE)
    assert story.asked()[-1] == "grace"
    story.pass_time(5 * MINUTE)
    assert story.asked()[-1] == policy.people.roles["approver"][0]


def test_the_commander_who_took_over_is_reminded(announced: Story) -> None:
    announced.command(HandedOver(by="ada", role="commander", to="grace"))
    announced.pass_time(58 * MINUTE)
    (reminder,) = announced.noted("promise_reminder")
    assert reminder.data["who"] == "grace"


def test_a_message_after_the_promised_time_admits_it(announced: Story) -> None:
    promise = announced.state.promise
    assert promise is not None
    announced.now = promise.due + 20 * MINUTE  # every worker was down
    announced.pass_time(timedelta(0))
    (holding,) = [d for d in announced.drafts() if d.holding]
    assert holding.promised == promise.due
    assert [p.due for p in announced.promises("missed")] == [promise.due]
    announced.pass_time(60 * MINUTE)
    later = [d for d in announced.drafts() if d.holding][-1]
    assert later.promised is None


def test_words_written_before_the_promise_passed_are_written_anew(announced: Story) -> None:
    promise = announced.state.promise
    assert promise is not None
    before = len(announced.broadcasts())
    announced.now = promise.due - 10 * timedelta(seconds=1)
    announced.silent = True  # the answer to the draft comes late
    announced.pass_time(timedelta(0))
    (asked,) = [d for d in announced.drafts() if d.holding]
    assert asked.promised is None
    announced.silent = False
    announced.now = promise.due + MINUTE
    announced.answer(asked)
    again = [d for d in announced.drafts() if d.holding]
    assert [d.promised for d in again] == [None, promise.due]
    assert len(announced.broadcasts()) == before + 1


def test_staff_are_told_of_what_waits_for_them_and_not_of_every_holding_line(
    policy: Policy, now: datetime
) -> None:
    suspected = Story(policy, now, batch(confirms=False))
    assert suspected.told_staff() == 1
    for mark in range(2, 50):
        suspected.tell(AlertsReceived(batch=batch(mark, confirms=False)))
    assert suspected.told_staff() == 1
    story = Story(policy, now)
    asked = story.told_staff()
    story.approve()
    assert story.told_staff() == asked + 1
    story.pass_time(3 * HOUR)
    reminded = ("promise_reminder", "suggested", "assessment_missing", "target_missed")
    lines = [key for key in story.notes() if key in reminded]
    # Each suggestion that lapses is taken back where it was shown.
    assert story.told_staff() == asked + 1 + len(lines) + lines.count("suggested")
