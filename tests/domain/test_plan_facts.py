"""What a human states about an incident: it goes into what is said next, and into nothing else."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from domain.events import AlertsReceived, FactsStated, ResolveRequested, UpdatePosted
from domain.facts import build_facts, story
from domain.incident import AudienceCount, Stage
from domain.message import Channel, Facts, Moment
from domain.policy import Policy
from domain.ports import DraftRequest
from domain.signal import Severity
from tests.domain.story import Story, batch


@pytest.fixture
def told(policy: Policy, now: datetime) -> Story:
    """An incident whose first message went out."""
    begun = Story(policy, now)
    begun.approve()
    return begun


def test_a_fact_waits_for_the_next_message(told: Story) -> None:
    eta = told.now + timedelta(minutes=50)
    told.tell(FactsStated(by="ada", notes={"cause": "note_1", "workaround": "note_2"}, eta=eta))
    assert told.moments() == ["initial"] and told.state.pending is None
    assert told.state.stated == {"cause": "note_1", "workaround": "note_2"}
    assert told.noted("facts_stated")[0].data == {"what": "cause, workaround, eta"}


def test_what_is_left_out_stays_and_empty_words_are_taken_back(told: Story) -> None:
    eta = told.now + timedelta(minutes=50)
    told.tell(FactsStated(by="ada", notes={"cause": "note_1", "workaround": "note_2"}, eta=eta))
    told.tell(FactsStated(by="ada", notes={"workaround": ""}))
    assert told.state.stated == {"cause": "note_1"} and told.state.eta == eta
    told.tell(FactsStated(by="ada", eta_unknown=True))
    assert told.state.eta is None


def test_a_draft_that_waits_is_written_anew_with_the_humans_words(told: Story) -> None:
    told.tell(UpdatePosted(by="ada", note_id="note_words"))
    old = told.state.pending
    assert old is not None
    told.tell(FactsStated(by="ada", notes={"cause": "note_1"}))
    new = told.state.pending
    assert new is not None and new.draft > old.draft and new.moment is Moment.UPDATE
    assert told.drafts()[-1].note_id == "note_words"
    assert told.state.promises == 1


def test_the_end_is_written_anew_as_the_end(told: Story) -> None:
    told.tell(ResolveRequested(by="ada", note_id="note_end"))
    told.tell(FactsStated(by="ada", notes={"fixed": "note_1"}))
    again = told.drafts()[-1]
    assert (again.moment, again.stage, again.note_id) == (
        Moment.RESOLUTION, Stage.RESOLVED, "note_end",
    )  # fmt: skip


def test_a_turn_for_the_worse_keeps_what_a_human_wrote(told: Story) -> None:
    told.tell(UpdatePosted(by="ada", note_id="note_words"))
    told.tell(AlertsReceived(batch=batch(2, severity=Severity.P1)))
    assert told.drafts()[-1].moment is Moment.ESCALATION
    assert told.drafts()[-1].note_id == "note_words"


def test_a_stated_share_can_make_it_worse_but_not_better(policy: Policy, now: datetime) -> None:
    begun = Story(policy, now)
    begun.approve()
    begun.tell(FactsStated(by="ada", affected_share=0.05))
    assert begun.severity() is Severity.P2
    begun.tell(FactsStated(by="ada", affected_share=0.251))
    assert begun.severity() is Severity.P1 and begun.state.affected_share == 0.251
    assert begun.drafts()[-1].moment is Moment.ESCALATION


def test_a_resolved_incident_takes_no_more_facts(told: Story) -> None:
    told.tell(ResolveRequested(by="ada"))
    told.approve()
    late = FactsStated(by="ada", notes={"cause": "n"}, eta=told.now, started_at=told.now)
    assert told.command(late) == "not_open"
    before = told.state
    # Past the validator, because the end came in between: it is refused all the same.
    told.tell(late)
    assert told.state.model_copy(update={"steps": before.steps}) == before


def test_an_estimate_that_has_passed_is_none(told: Story) -> None:
    eta = told.now + timedelta(minutes=10)
    told.tell(FactsStated(by="ada", eta=eta))
    before, after = eta - timedelta(seconds=1), eta
    assert story(told.state, Moment.UPDATE, before) == {"eta": eta}
    assert story(told.state, Moment.UPDATE, after) == {}
    assert story(told.state, Moment.RESOLUTION, before) == {}


def test_the_start_of_the_impact_is_a_stated_fact(told: Story, policy: Policy) -> None:
    began = told.now - timedelta(hours=1)
    told.tell(FactsStated(by="ada", started_at=began))
    facts = build_facts(told.state, Moment.UPDATE, 1, AudienceCount(), policy, {}, "https://s")
    assert facts.times["impact_start"] == began


def test_personal_channels_are_written_in_the_languages_of_their_readers() -> None:
    facts = Facts(
        incident_id="i", moment=Moment.INITIAL, severity="P2", stage="investigating", category="c"
    )
    channels = (Channel.EMAIL, Channel.STATUS_PAGE)
    asked = DraftRequest(
        facts=facts, channels=channels, locales=("en", "de", "pt-BR", "ja"),
        personal=("de-AT", "pt", "xx"),
    )  # fmt: skip
    assert asked.locales_of(Channel.EMAIL) == ("en", "de", "pt-BR")
    assert asked.locales_of(Channel.STATUS_PAGE) == asked.locales
    assert asked.model_copy(update={"personal": None}).locales_of(Channel.EMAIL) == asked.locales
