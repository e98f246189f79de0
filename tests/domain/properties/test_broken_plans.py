"""The plan broken on purpose: each break is found by the invariant that forbids it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import pytest

import domain.plan as planning
from domain import plan_alerts, refusals
from domain.errors import Refused
from domain.incident import Action, Decided, Drafted, Edited, IncidentState, Pending, SettlePromise
from domain.message import Channel, Moment
from domain.plan_messages import on_drafted
from domain.policy import Policy
from domain.resume import resume
from domain.signal import AlertBatch
from domain.step import Step
from tests.domain.properties import accounts, invariants, world
from tests.domain.properties.exploring import SEARCH, explore
from tests.domain.properties.invariants import Check
from tests.domain.properties.records import Violation
from tests.domain.properties.stories import Story, stories

# The search ends with the first story that shows the break; most take fewer than fifty.
STORIES = 1200
pytestmark = pytest.mark.timeout(300)


@dataclass(frozen=True)
class Break:
    """A fault somebody could make, and the breach that must give it away."""

    make: Callable[[pytest.MonkeyPatch], None]
    check: Check
    breach: str


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
)


@pytest.mark.parametrize("fault", BREAKS, ids=lambda fault: fault.make.__name__)
def test_is_caught(fault: Break, monkeypatch: pytest.MonkeyPatch) -> None:
    fault.make(monkeypatch)

    def judge(story: Story) -> None:
        breaches = [b for b in fault.check(story.live()) if re.search(fault.breach, b)]
        if breaches:
            raise Violation(breaches[0])

    with pytest.raises(Violation, match=fault.breach):
        explore(fault.make.__name__, stories, judge, STORIES, SEARCH)
