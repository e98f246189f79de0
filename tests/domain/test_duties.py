"""What is owed to colleagues, told as short stories: who responds, who is told, what is missing."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from domain.actions import OpenWarRoom, ProposeCredits
from domain.events import (
    Acknowledged,
    AlertsReceived,
    Decided,
    FactsStated,
    HandedOver,
    ImpactConfirmed,
    ResolveRequested,
    SeverityChanged,
    UpdatePosted,
    WarRoomOpened,
)
from domain.incident import AudienceCount, Stage, TimerKind
from domain.message import Gate, Moment
from domain.plan import open_incident, plan
from domain.policy import Policy
from domain.resume import resume
from domain.signal import Severity
from tests.domain.story import Story, batch

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)


def critical(policy: Policy, now: datetime, **changes: Any) -> Story:
    """A confirmed P1 on which no human has acted."""
    return Story(policy, now, batch(severity=Severity.P1, **changes))


def rooms(story: Story) -> list[OpenWarRoom]:
    return [a for _, a in story.actions if isinstance(a, OpenWarRoom)]


def told(story: Story, key: str) -> list[dict[str, str]]:
    return [note.data for note in story.noted(key)]


def waiting(story: Story) -> Moment | None:
    return story.state.pending.moment if story.state.pending else None


# Response


def test_at_confirmation_the_commander_is_notified_and_executives_are_told_by_name(
    policy: Policy, now: datetime
) -> None:
    story = critical(policy, now)
    assert told(story, "notified") == [{"who": "on-call commander"}]
    assert told(story, "told") == [{"roles": "ceo, cto", "who": "CEO, CTO"}]
    (room,) = rooms(story)
    assert room.people == ("on-call commander", "on-call manager")
    assert room.name == room.name.lower() and len(room.name) <= 80


def test_a_suspicion_notifies_nobody(policy: Policy, now: datetime) -> None:
    story = critical(policy, now, confirms=False)
    story.pass_time(12 * HOUR)
    assert not {"notified", "told", "not_engaged", "target_missed"} & set(story.notes())
    assert rooms(story) == []


def test_nobody_acts_so_the_next_is_asked_and_the_missed_target_is_said_once(
    policy: Policy, now: datetime
) -> None:
    story = critical(policy, now)
    story.pass_time(14 * MINUTE)
    assert "not_engaged" not in story.notes()
    story.pass_time(51 * MINUTE)
    assert [d["target"] for d in told(story, "target_missed")] == ["response"]
    assert [d["who"] for d in told(story, "not_engaged")] == [
        "on-call manager", "incident manager", "head of support", "head of support",
    ]  # fmt: skip


def test_any_act_of_a_human_acknowledges_once(policy: Policy, now: datetime) -> None:
    story = critical(policy, now)
    story.pass_time(14 * MINUTE)
    story.approve(by="ada")
    story.command(UpdatePosted(by="bob", note_id="note_1"))
    (line,) = story.noted("acknowledged")
    assert line.actor == "ada"
    assert [d["target"] for d in told(story, "target_met")] == ["response"]
    story.pass_time(HOUR)
    assert "not_engaged" not in story.notes()


def test_saying_i_am_on_it_is_enough_and_said_twice_it_is_refused(
    policy: Policy, now: datetime
) -> None:
    story = critical(policy, now)
    assert story.command(Acknowledged(by="ada")) is None
    assert story.command(Acknowledged(by="bob")) == "already_acknowledged"
    assert [line.actor for line in story.noted("acknowledged")] == ["ada"]


def test_a_refused_command_is_no_response(policy: Policy, now: datetime) -> None:
    story = critical(policy, now)
    story.tell(Decided(draft=99, decision="approve", by="ada"))
    assert "acknowledged" not in story.notes()


def test_whoever_confirms_has_responded(policy: Policy, now: datetime) -> None:
    story = critical(policy, now, confirms=False)
    story.pass_time(HOUR)
    story.command(ImpactConfirmed(by="ada"))
    assert [d["target"] for d in told(story, "target_met")] == ["response"]
    assert TimerKind.ENGAGE not in story.state.timers


def test_whoever_acted_on_the_suspicion_has_responded(policy: Policy, now: datetime) -> None:
    story = critical(policy, now, confirms=False)
    story.command(Acknowledged(by="ada"))
    story.tell(AlertsReceived(batch=batch(2, severity=Severity.P1)))
    assert [d["target"] for d in told(story, "target_met")] == ["response"]
    assert TimerKind.ENGAGE not in story.state.timers


def test_what_grows_worse_leaves_at_most_its_own_time(policy: Policy, now: datetime) -> None:
    story = Story(policy, now, batch(severity=Severity.P3))
    story.pass_time(40 * MINUTE)
    story.tell(AlertsReceived(batch=batch(2, severity=Severity.P1)))
    assert story.state.timers[TimerKind.ENGAGE] == story.now + 15 * MINUTE
    assert [d["roles"] for d in told(story, "told")] == ["ceo, cto"]
    assert len(rooms(story)) == 1


def test_the_war_room_is_said_once_and_a_new_commander_is_invited(
    policy: Policy, now: datetime
) -> None:
    story = critical(policy, now)
    opened = WarRoomOpened(name=rooms(story)[0].name, url="https://chat.example/C1")
    story.tell(opened)
    story.command(HandedOver(by="ada", role="commander", to="grace"))
    assert rooms(story)[-1].people[0] == "grace"
    story.tell(opened)
    assert len(story.noted("war_room_opened")) == 1


def test_without_a_chat_somebody_opens_the_war_room_by_hand(policy: Policy, now: datetime) -> None:
    story = critical(policy, now)
    story.tell(WarRoomOpened(reason="no chat is configured"))
    assert told(story, "war_room_by_hand") == [
        {"who": "on-call commander", "reason": "no chat is configured"}
    ]
    story.pass_time(HOUR)
    assert len(rooms(story)) == 1


def test_a_run_that_was_lost_asks_for_its_war_room_again(policy: Policy, now: datetime) -> None:
    story = critical(policy, now)
    _, actions = resume(story.state, now, policy)
    assert [a.name for a in actions if isinstance(a, OpenWarRoom)] == [rooms(story)[0].name]


def test_a_dry_run_calls_nobody_together(policy: Policy, now: datetime) -> None:
    first = batch(severity=Severity.P1)
    state = open_incident("inc_dry", first, now, True)
    _, actions = plan(state, AlertsReceived(batch=first), now, policy)
    assert not [a for a in actions if isinstance(a, OpenWarRoom)]


def test_whom_a_severity_tells_must_be_a_role(policy: Policy) -> None:
    content = policy.model_dump(mode="json")
    content["severities"]["P1"]["duties"]["tell"] = ["cfo"]
    with pytest.raises(ValueError, match=r"severities\.P1\.duties\.tell: 'cfo' is not a role"):
        Policy.model_validate(content)


# First assessment


def test_after_a_quarter_of_an_hour_the_missing_facts_are_asked_for_by_name(
    policy: Policy, now: datetime
) -> None:
    story = Story(policy, now)
    story.command(FactsStated(by="ada", notes={"cause": "note_1"}))
    story.pass_time(15 * MINUTE)
    assert told(story, "assessment_missing") == [
        {"missing": "eta, share", "who": "on-call commander"}
    ]


def test_stated_facts_are_not_asked_for(policy: Policy, now: datetime) -> None:
    story = Story(policy, now, share=0.2)
    story.command(FactsStated(by="ada", notes={"cause": "note_1"}, eta=now + HOUR))
    story.pass_time(30 * MINUTE)
    assert "assessment_missing" not in story.notes()


def test_each_promise_reminder_names_what_is_still_missing(policy: Policy, now: datetime) -> None:
    story = Story(policy, now, share=0.2)
    story.approve()
    story.command(FactsStated(by="ada", eta=now + 10 * HOUR))
    story.pass_time(56 * MINUTE)
    assert [d["missing"] for d in told(story, "promise_reminder")] == ["cause"]
    story.command(FactsStated(by="ada", notes={"cause": "note_1"}))
    story.pass_time(HOUR)
    assert "missing" not in told(story, "promise_reminder")[-1]


def test_an_expected_end_that_passes_is_said_and_asked_for_anew(
    policy: Policy, now: datetime
) -> None:
    story = Story(policy, now, share=0.2)
    story.command(FactsStated(by="ada", notes={"cause": "note_1"}, eta=now + 20 * MINUTE))
    waiting = story.state.pending
    assert waiting is not None
    story.pass_time(20 * MINUTE)
    assert [d["who"] for d in told(story, "eta_passed")] == ["on-call commander"]
    assert story.state.pending is not None
    assert story.state.pending.draft > waiting.draft, "its words name an end that has passed"


# Extended outage


def extended(policy: Policy, now: datetime) -> Story:
    """A P1 told to customers, four hours after it began and without an expected end."""
    story = critical(policy, now, affected_share=0.3)
    story.approve()
    story.pass_time(4 * HOUR)
    return story


def test_four_hours_without_an_expected_end_change_rhythm_words_and_circle(
    policy: Policy, now: datetime
) -> None:
    story = extended(policy, now)
    assert {"extended_entered", "workaround_wanted"} <= set(story.notes())
    assert any(isinstance(action, ProposeCredits) for _, action in story.actions)
    assert story.state.pending is not None
    assert story.state.pending.moment is Moment.EXTENDED
    personal = [d for d in story.drafts() if d.form == "personal"]
    assert [d.moment for d in personal] == [Moment.EXECUTIVE]
    before = len(story.broadcasts())
    story.pass_time(HOUR)
    assert len(story.broadcasts()) - before == 4, "a quarter of an hour, though nobody approves"
    assert story.promises("missed") == []


def test_it_begins_not_a_second_before(policy: Policy, now: datetime) -> None:
    story = critical(policy, now)
    story.approve()
    story.pass_time(4 * HOUR - timedelta(seconds=1))
    assert "extended_entered" not in story.notes()
    story.pass_time(timedelta(seconds=1))
    assert "extended_entered" in story.notes()


def test_an_earlier_start_of_the_impact_counts(policy: Policy, now: datetime) -> None:
    story = critical(policy, now)
    story.approve()
    story.command(FactsStated(by="ada", started_at=now - 4 * HOUR))
    assert "extended_entered" in story.notes()


def test_a_current_end_puts_it_off_until_it_passes(policy: Policy, now: datetime) -> None:
    story = critical(policy, now)
    story.approve()
    story.command(FactsStated(by="ada", eta=now + 5 * HOUR))
    story.pass_time(5 * HOUR - MINUTE)
    assert "extended_entered" not in story.notes()
    story.pass_time(MINUTE)
    assert "extended_entered" in story.notes()
    assert "eta_passed" in story.notes()


def test_a_stated_end_leaves_it_and_restores_the_rhythm(policy: Policy, now: datetime) -> None:
    story = extended(policy, now)
    story.approve()
    assert story.moments()[-1] == "extended"
    due = story.state.next_update_due
    assert due is not None and due - story.now <= 15 * MINUTE
    story.command(FactsStated(by="ada", eta=story.now + 10 * HOUR))
    assert "extended_left" in story.notes()
    assert story.state.timers[TimerKind.EXTENDED] == story.state.eta, "it begins again then"
    assert story.state.next_update_due == due, "never later than told"
    story.pass_time(15 * MINUTE)
    after = story.state.next_update_due
    assert after is not None and after - story.now > 25 * MINUTE


def test_a_stated_end_turns_the_extended_words_that_wait_into_an_update(
    policy: Policy, now: datetime
) -> None:
    story = extended(policy, now)
    story.command(FactsStated(by="ada", eta=story.now + HOUR))
    assert story.state.pending is not None
    assert story.state.pending.moment is Moment.UPDATE


def test_it_is_said_again_when_the_end_stated_has_passed_too(policy: Policy, now: datetime) -> None:
    story = extended(policy, now)
    story.approve()
    story.command(FactsStated(by="ada", eta=story.now + HOUR))
    story.pass_time(HOUR)
    assert story.state.pending is not None
    assert (story.state.pending.moment, story.state.pending.number) == (Moment.EXTENDED, 2)


def test_words_that_a_human_has_written_go_into_it(policy: Policy, now: datetime) -> None:
    story = critical(policy, now)
    story.approve()
    story.pass_time(4 * HOUR - 10 * MINUTE)
    story.command(UpdatePosted(by="bob", note_id="note_1"))
    story.pass_time(10 * MINUTE)
    assert story.state.pending is not None
    assert story.state.pending.moment is Moment.EXTENDED
    assert story.state.pending.note_id == "note_1"


def test_an_escalation_that_waits_is_said_first(policy: Policy, now: datetime) -> None:
    story = Story(policy, now)
    story.approve()
    story.pass_time(4 * HOUR - 5 * MINUTE)
    story.command(SeverityChanged(by="ada", severity=Severity.P1))
    story.pass_time(10 * MINUTE)
    assert waiting(story) is Moment.ESCALATION
    story.approve()
    assert waiting(story) is Moment.EXTENDED


def test_a_minor_incident_is_never_extended(policy: Policy, now: datetime) -> None:
    story = Story(policy, now, batch(severity=Severity.P3))
    story.approve()
    story.pass_time(24 * HOUR)
    assert "extended_entered" not in story.notes()


def test_it_is_not_extended_while_the_all_clear_waits(policy: Policy, now: datetime) -> None:
    story = critical(policy, now)
    story.approve()
    story.pass_time(4 * HOUR - MINUTE)
    story.command(ResolveRequested(by="ada"))
    story.pass_time(2 * HOUR)
    assert "extended_entered" not in story.notes()
    assert story.state.pending is not None
    assert story.state.pending.moment is Moment.RESOLUTION


# Executives


def test_executives_hear_hourly_until_it_is_resolved(policy: Policy, now: datetime) -> None:
    story = critical(policy, now)
    story.approve()
    story.pass_time(3 * HOUR)
    notes = [b for b in story.broadcasts(customers=False) if b.moment is Moment.EXECUTIVE]
    assert [b.number for b in notes] == [1, 2, 3]
    story.command(ResolveRequested(by="ada"))
    story.approve()
    story.pass_time(4 * HOUR)
    after = [b for b in story.broadcasts(customers=False) if b.moment is Moment.EXECUTIVE]
    assert after == notes


def test_a_note_is_short_when_nothing_changed(policy: Policy, now: datetime) -> None:
    story = critical(policy, now)
    story.approve()
    story.pass_time(2 * HOUR + MINUTE)
    story.command(FactsStated(by="ada", notes={"cause": "note_1"}))
    story.pass_time(HOUR)
    assert [d.form for d in story.drafts() if d.moment is Moment.EXECUTIVE] == [
        None, "unchanged", None,
    ]  # fmt: skip


def test_a_note_to_executives_leaves_what_waits_alone(policy: Policy, now: datetime) -> None:
    story = critical(policy, now)
    waiting = story.state.pending
    story.pass_time(61 * MINUTE)
    assert waiting is not None and story.state.pending is not None
    assert story.state.pending.draft == waiting.draft
    assert any(b.moment is Moment.EXECUTIVE for b in story.broadcasts(customers=False))


# Targets


def test_a_missed_target_resolution_is_said_once(policy: Policy, now: datetime) -> None:
    story = critical(policy, now)
    story.approve()
    story.pass_time(6 * HOUR)
    missed = [d for d in told(story, "target_missed") if d["target"] == "resolution"]
    assert [d["due"] for d in missed] == [(now + 2 * HOUR).isoformat()]


def test_the_target_is_judged_by_the_end_of_the_impact_not_by_the_approval(
    policy: Policy, now: datetime
) -> None:
    story = critical(policy, now)
    story.approve()
    story.pass_time(2 * HOUR - MINUTE)
    story.command(ResolveRequested(by="ada"))
    story.pass_time(HOUR)
    assert "target_missed" not in story.notes()
    story.approve()
    assert [d["target"] for d in told(story, "target_met")] == ["response", "resolution"]


def test_a_lower_severity_has_its_own_target(policy: Policy, now: datetime) -> None:
    story = critical(policy, now)
    story.approve()
    story.command(SeverityChanged(by="ada", severity=Severity.P3))
    story.pass_time(7 * HOUR)
    assert "target_missed" not in story.notes()
    story.pass_time(HOUR)
    assert "target_missed" in story.notes()


# Suggested updates


def test_five_minutes_before_a_promise_the_commander_gets_an_update_to_edit(
    policy: Policy, now: datetime
) -> None:
    story = Story(policy, now)
    story.approve()
    story.pass_time(55 * MINUTE)
    pending = story.state.pending
    assert pending is not None and pending.suggested
    assert pending.moment is Moment.UPDATE
    assert TimerKind.APPROVAL_ESCALATION not in story.state.timers, "nobody is pressed"
    story.approve(by="ada")
    assert [b.by for b in story.broadcasts()] == ["ada", "ada"]
    assert len(story.promises("kept")) == 1


def test_a_suggestion_lapses_with_its_promise(policy: Policy, now: datetime) -> None:
    story = Story(policy, now)
    story.approve()
    story.pass_time(55 * MINUTE)
    suggested = story.state.pending
    assert suggested is not None
    story.pass_time(5 * MINUTE)
    assert story.moments() == ["initial", "update"]
    assert story.broadcasts()[-1].by.startswith("policy")
    assert story.state.pending is None
    decision = Decided(draft=suggested.draft, decision="approve", by="ada")
    assert story.command(decision) == "superseded"


def test_reminders_are_quiet_when_a_human_just_wrote_and_nothing_changed(
    policy: Policy, now: datetime
) -> None:
    story = extended(policy, now)
    story.approve()
    story.command(UpdatePosted(by="ada", note_id="note_1"))
    story.approve()
    reminders = len(story.noted("promise_reminder"))
    story.pass_time(12 * MINUTE)
    assert len(story.noted("promise_reminder")) == reminders
    story.pass_time(3 * MINUTE)
    assert story.moments()[-1] == "update", "the promise is kept all the same"
    story.pass_time(13 * MINUTE)
    assert len(story.noted("promise_reminder")) == reminders + 1


def test_a_change_since_the_last_words_brings_the_reminder(policy: Policy, now: datetime) -> None:
    story = extended(policy, now)
    story.approve()
    story.command(UpdatePosted(by="ada", note_id="note_1"))
    story.approve()
    reminders = len(story.noted("promise_reminder"))
    story.pass_time(2 * MINUTE)
    story.command(FactsStated(by="ada", notes={"workaround": "note_2"}))
    story.pass_time(10 * MINUTE)
    assert len(story.noted("promise_reminder")) == reminders + 1


def test_a_fact_stated_meanwhile_is_in_the_suggestion(policy: Policy, now: datetime) -> None:
    story = Story(policy, now)
    story.approve()
    story.pass_time(55 * MINUTE)
    old = story.state.pending
    story.command(FactsStated(by="ada", notes={"cause": "note_1"}))
    new = story.state.pending
    assert old is not None and new is not None
    assert new.suggested and new.draft > old.draft


def test_a_humans_own_words_take_the_place_of_a_suggestion(policy: Policy, now: datetime) -> None:
    story = Story(policy, now)
    story.approve()
    story.pass_time(55 * MINUTE)
    story.command(UpdatePosted(by="bob", note_id="note_1"))
    assert story.state.pending is not None
    assert not story.state.pending.suggested
    assert TimerKind.APPROVAL_REMINDER in story.state.timers


# Four eyes, blast cap, chain


class Wide(Story):
    """Whoever is affected is so large a share of all customers."""

    part = 0.51

    def _audience(self) -> AudienceCount:
        return super()._audience().model_copy(update={"share_of_customers": self.part})


class Half(Wide):
    part = 0.5


def test_more_than_half_of_all_customers_need_two_different_people(
    policy: Policy, now: datetime
) -> None:
    story = Wide(policy, now)
    assert story.approve(by="ada") is None
    assert story.broadcasts() == []
    assert story.approve(by="ada") == "second_person_needed"
    assert story.approve(by="bob") is None
    assert story.moments() == ["initial"]
    assert Half(policy, now).state.pending is not None
    half = Half(policy, now)
    half.approve(by="ada")
    assert half.moments() == ["initial"]


def test_over_the_cap_an_automatic_gate_waits_for_people(policy: Policy, now: datetime) -> None:
    auto = policy.model_copy(
        update={"gates": tuple(g.model_copy(update={"gate": Gate.AUTO}) for g in policy.gates)}
    )
    assert Half(auto, now).moments() == ["initial"]
    wide = Wide(auto, now)
    assert wide.moments() == []
    assert wide.broadcasts(customers=False), "colleagues hear at once"
    assert wide.state.pending is not None
    assert wide.state.pending.approvals_needed == 2


def test_over_the_cap_silence_sends_nothing(policy: Policy, now: datetime) -> None:
    sends = policy.model_copy(
        update={
            "gates": (
                *policy.gates[:2],
                policy.gates[2].model_copy(update={"on_silence": "send"}),
            )
        }
    )
    plain = Half(sends, now, batch(severity=Severity.P2))
    plain.pass_time(HOUR)
    assert plain.moments()[:1] == ["initial"]
    wide = Wide(sends, now, batch(severity=Severity.P2))
    wide.pass_time(HOUR)
    assert wide.moments() == []


def test_holding_lines_over_the_cap_were_approved_by_both(policy: Policy, now: datetime) -> None:
    story = Wide(policy, now)
    story.approve(by="ada")
    story.approve(by="bob")
    story.pass_time(2 * HOUR)
    assert story.moments() == ["initial", "update", "update"]


def test_with_four_eyes_every_message_needs_two_people(policy: Policy, now: datetime) -> None:
    careful = policy.model_copy(
        update={"approval": policy.approval.model_copy(update={"four_eyes": True})}
    )
    story = Story(careful, now)
    story.approve(by="ada")
    assert story.approve(by="ada") == "second_person_needed"
    story.approve(by="bob")
    assert story.moments() == ["initial"]


def test_past_the_end_of_the_chain_the_last_one_is_asked_again_and_again(
    policy: Policy, now: datetime
) -> None:
    story = Story(policy, now)
    story.pass_time(2 * HOUR)
    assert story.asked() == [
        "incident manager", "head of support", *["head of support"] * 4,
    ]  # fmt: skip


# Older policies


def test_without_its_sections_a_policy_says_nothing_of_all_this(
    policy: Policy, now: datetime
) -> None:
    bare = policy.model_copy(
        update={
            "assessment": None,
            "extended": None,
            "severities": {
                severity: part.model_copy(update={"duties": None})
                for severity, part in policy.severities.items()
            },
        }
    )
    story = Story(bare, now, batch(severity=Severity.P1))
    story.approve()
    story.pass_time(6 * HOUR)
    new = {
        "acknowledged", "assessment_missing", "extended_entered", "eta_passed", "not_engaged",
        "notified", "target_met", "target_missed", "told",
    }  # fmt: skip
    assert not new & set(story.notes())
    assert set(story.state.timers) == {TimerKind.PROMISE, TimerKind.PROMISE_REMINDER}
    story.command(Acknowledged(by="ada"))
    assert len(story.noted("acknowledged")) == 1


def test_the_state_survives_its_way_through_json(policy: Policy, now: datetime) -> None:
    story = extended(policy, now)
    again = type(story.state).model_validate_json(story.state.model_dump_json())
    assert again == story.state


@pytest.mark.parametrize("stage", [Stage.DISMISSED, Stage.CLOSED])
def test_nothing_is_owed_when_it_is_over(policy: Policy, now: datetime, stage: Stage) -> None:
    state = open_incident("inc_over", batch(), now, False).model_copy(update={"stage": stage})
    after, actions = plan(state, Acknowledged(by="ada"), now, policy)
    assert (after.timers, actions) == ({}, [])
