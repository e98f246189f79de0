"""The plan broken on purpose: each break is found by the invariant that forbids it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import pytest
from hypothesis import strategies as st

import domain.plan as planning
import domain.resume as resuming
from domain import plan_alerts, plan_facts, refusals
from domain.actions import Action, SettlePromise
from domain.credits import EVERYBODY
from domain.errors import Refused
from domain.events import CreditsProposed, Decided, Drafted, Edited
from domain.incident import IncidentState, Pending
from domain.message import Channel, Moment
from domain.plan_credits import on_credits_proposed
from domain.plan_facts import write_anew
from domain.plan_messages import on_drafted
from domain.policy import Policy
from domain.resume import RecordsLost, mend, resume
from domain.signal import AlertBatch
from domain.step import Step
from tests.domain.properties import accounts, invariants, statements, world
from tests.domain.properties.checks import CHECKS
from tests.domain.properties.exploring import SEARCH, explore
from tests.domain.properties.invariants import Check
from tests.domain.properties.records import Violation
from tests.domain.properties.stories import Story, losing, restored, stories

# The search ends with the first story that shows the break; most take fewer than fifty.
STORIES = 1200
pytestmark = pytest.mark.timeout(300)


@dataclass(frozen=True)
class Break:
    """A fault somebody could make, and the breach that must give it away."""

    make: Callable[[pytest.MonkeyPatch], None]
    check: Check
    breach: str
    drawn: st.SearchStrategy[Story] = stories


def the_end_forgets_who_was_told(patch: pytest.MonkeyPatch) -> None:
    """The all-clear follows today's routes only."""

    def channels(step: Step, moment: Moment) -> tuple[Channel, ...]:
        return step.policy.channels(step.state.severity, moment)

    patch.setattr(Step, "channels", channels)


def no_miss_is_recorded(patch: pytest.MonkeyPatch) -> None:
    """Whatever keeps a promise late counts as if it had been in time."""
    original = Step.keep_promise

    def keep_promise(step: Step) -> None:
        original(step)
        step.actions[:] = [
            a.model_copy(update={"state": "kept"})
            if isinstance(a, SettlePromise) and a.state == "missed"
            else a
            for a in step.actions
        ]

    patch.setattr(Step, "keep_promise", keep_promise)


def findings_are_overlooked(patch: pytest.MonkeyPatch) -> None:
    """A draft that breaks rules is taken for a good one."""

    def drafted(step: Step, event: Drafted) -> None:
        on_drafted(step, event.model_copy(update={"invalid": False}))

    patch.setitem(planning._HANDLERS, "drafted", drafted)


def an_alert_does_not_take_back_the_end(patch: pytest.MonkeyPatch) -> None:
    """An all-clear that waits for approval goes on waiting when alerts fire again."""

    def drafts_the_end(state: IncidentState) -> bool:
        return False

    patch.setattr(plan_alerts, "_drafts_the_end", drafts_the_end)


def holding_lines_go_out_twice(patch: pytest.MonkeyPatch) -> None:
    """What keeps a promise while nobody acts is sent once more."""
    original = Step.broadcast

    def broadcast(step: Step, pending: Pending, channels: tuple[Channel, ...], by: str) -> None:
        original(step, pending, channels, by)
        if by.startswith("policy: holding line"):
            original(step, pending, channels, by)

    patch.setattr(Step, "broadcast", broadcast)


def a_stale_decision_is_accepted(patch: pytest.MonkeyPatch) -> None:
    """An old button decides on whatever waits now."""
    original = refusals._decision_refusal

    def decision_refusal(
        state: IncidentState, event: Decided | Edited, now: datetime
    ) -> Refused | None:
        if state.pending is not None:
            event = event.model_copy(update={"draft": state.pending.draft})
        return original(state, event, now)

    patch.setattr(refusals, "_decision_refusal", decision_refusal)


def every_gate_stands_open(patch: pytest.MonkeyPatch) -> None:
    """What policy wants approved goes out at once."""

    def split(
        step: Step, moment: Moment, channels: tuple[Channel, ...], *rest: object, **more: object
    ) -> tuple[tuple[Channel, ...], tuple[Channel, ...]]:
        return channels, ()

    patch.setattr(Step, "split", split)


def alerts_overrule_people(patch: pytest.MonkeyPatch) -> None:
    """An alert raises a severity that a human has set."""
    original = plan_alerts._raise_severity

    def raise_severity(step: Step, batch: AlertBatch) -> None:
        by_human = step.state.severity_by_human
        step.set(severity_by_human=False)
        original(step, batch)
        step.set(severity_by_human=by_human)

    patch.setattr(plan_alerts, "_raise_severity", raise_severity)


def a_resumed_run_asks_for_nothing(patch: pytest.MonkeyPatch) -> None:
    """After a loss nobody asks again for what was under way."""

    def resumed(
        state: IncidentState, now: datetime, policy: Policy
    ) -> tuple[IncidentState, list[Action]]:
        after, actions = resume(state, now, policy)
        return after, [a for a in actions if a.kind not in ("draft", "target")]

    patch.setattr(world, "resume", resumed)


def what_is_proposed_counts_as_approved(patch: pytest.MonkeyPatch) -> None:
    """Messages state a credit as soon as it was worked out."""

    def proposed(step: Step, event: CreditsProposed) -> None:
        on_credits_proposed(step, event)
        if event.accounts:
            step.set(credits={EVERYBODY: "10"})
            write_anew(step)

    patch.setitem(planning._HANDLERS, "credits_proposed", proposed)


def a_lost_text_is_asked_for_everywhere(patch: pytest.MonkeyPatch) -> None:
    """What waits for some channels only is written anew for all, with its texts gone."""
    patch.setattr(resuming, "_draft_anew", lambda step, pending: step.draft(pending.moment))


def a_lost_text_goes_on_waiting(patch: pytest.MonkeyPatch) -> None:
    """After a loss the version whose texts are gone can still be approved."""

    def mended(
        state: IncidentState, lost: RecordsLost, now: datetime, policy: Policy
    ) -> tuple[IncidentState, list[Action]]:
        return mend(state, lost.model_copy(update={"pending": False}), now, policy)

    patch.setattr(world, "mend", mended)


def a_resumed_run_forgets_the_credits(patch: pytest.MonkeyPatch) -> None:
    """What was being worked out when the run was lost never comes."""

    def resumed(
        state: IncidentState, now: datetime, policy: Policy
    ) -> tuple[IncidentState, list[Action]]:
        return resume(state.model_copy(update={"proposing": 0}), now, policy)

    patch.setattr(world, "resume", resumed)


def a_fact_leaves_what_waits_as_it_is(patch: pytest.MonkeyPatch) -> None:
    """What was written before somebody stated a fact goes out without it."""
    patch.setattr(plan_facts, "write_anew", lambda step: None)


BREAKS = (
    Break(
        the_end_forgets_who_was_told,
        invariants.whoever_heard_the_start_hears_the_end,
        "and no end",
    ),
    Break(no_miss_is_recorded, accounts.every_promise_is_settled_once, "counts as kept"),
    Break(findings_are_overlooked, accounts.nothing_unapproved_goes_out, "breaks rules"),
    Break(
        an_alert_does_not_take_back_the_end,
        invariants.no_message_contradicts_the_state,
        "alerts fire",
    ),
    Break(holding_lines_go_out_twice, invariants.nobody_hears_the_same_twice, "repeats version"),
    Break(a_stale_decision_is_accepted, accounts.nothing_unapproved_goes_out, "approved by nobody"),
    Break(every_gate_stands_open, accounts.nothing_unapproved_goes_out, "approved by nobody"),
    Break(alerts_overrule_people, invariants.severity_is_a_humans_once_set, "after a human's word"),
    Break(a_resumed_run_asks_for_nothing, invariants.what_is_waited_for_will_come, "will not come"),
    Break(
        what_is_proposed_counts_as_approved,
        statements.no_amount_is_stated_unapproved,
        "states credit_percent",
    ),
    Break(
        a_lost_text_is_asked_for_everywhere,
        invariants.nobody_hears_the_same_twice,
        "is a second|has the number|escalates again",
        losing(restored, 3),
    ),
    Break(
        a_lost_text_goes_on_waiting,
        invariants.every_broadcast_carries_what_was_written,
        "a text that was lost",
    ),
    Break(
        a_resumed_run_forgets_the_credits,
        statements.what_is_owed_is_proposed,
        "nobody will propose",
    ),
    Break(
        a_fact_leaves_what_waits_as_it_is, statements.what_is_said_is_as_stated, "says|begins|end"
    ),
)
# Enough for the break to show many times over.
MANY = 60


@pytest.mark.parametrize("fault", BREAKS, ids=lambda fault: fault.make.__name__)
def test_is_caught(fault: Break, monkeypatch: pytest.MonkeyPatch) -> None:
    fault.make(monkeypatch)

    def judge(story: Story) -> None:
        breaches = [b for b in fault.check(story.live()) if re.search(fault.breach, b)]
        if breaches:
            raise Violation(breaches[0])

    with pytest.raises(Violation, match=fault.breach):
        explore(fault.make.__name__, fault.drawn, judge, STORIES, SEARCH)


def test_only_one_check_stands_between_customers_and_unapproved_amounts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    what_is_proposed_counts_as_approved(monkeypatch)
    breached: set[str] = set()

    def judge(story: Story) -> None:
        lived = story.live()
        breached.update(check.__name__ for check in CHECKS if any(check(lived)))

    explore("unapproved amounts", stories, judge, MANY, SEARCH)
    assert breached == {statements.no_amount_is_stated_unapproved.__name__}
