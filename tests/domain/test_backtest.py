"""One incident of a back-test, as stories: who is assumed to do what, and what goes out."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from domain.backtest import Assumptions, Play
from domain.backtest_crowd import Assumed
from domain.backtest_record import Sent
from domain.incident import Stage
from domain.message import Channel, Moment
from domain.policy import Policy
from domain.signal import Severity
from tests.domain.story import batch

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
PROMPT = Assumptions(approve_after=3 * MINUTE)
NOBODY = Assumptions(approve_after=None)


def opened(policy: Policy, now: datetime, assumed: Assumptions = PROMPT, **first: Any) -> Play:
    """A confirmed P2 on payments unless told otherwise."""
    return Play("inc", batch(**first), now, policy, assumed, Assumed(200))


def thread(play: Play) -> list[Sent]:
    return [m for m in play.sent if m.to_customers and m.moment is not Moment.POST_MORTEM]


def test_the_start_goes_out_when_the_assumed_person_approves(policy: Policy, now: datetime) -> None:
    play = opened(policy, now)
    assert thread(play) == []
    play.run_until(now + 3 * MINUTE)
    assert thread(play) == []
    play.run_until(now + 3 * MINUTE + timedelta(seconds=1))
    (start,) = thread(play)
    assert (start.at, start.moment, start.gate) == (now + 3 * MINUTE, Moment.INITIAL, "approved")
    assert start.by == "on-call manager"
    assert start.recipients[Channel.EMAIL] == 200
    assert start.recipients[Channel.STATUS_PAGE] == 1
    assert start.recipients[Channel.SLACK] is None


def test_nobody_writes_so_holding_lines_keep_every_promise(policy: Policy, now: datetime) -> None:
    play = opened(policy, now)
    play.expect_until(now + 3 * HOUR)
    play.run_until(now + 3 * HOUR)
    start, *lines = thread(play)
    assert len(lines) == 3
    assert {line.gate for line in lines} == {"holding"}
    assert {p.state for p in play.promises} == {"kept"}
    for promised, line in zip((start, *lines), lines, strict=False):
        assert promised.next_update_at is not None and line.at <= promised.next_update_at


def test_a_policy_that_holds_back_is_seen_to_miss(policy: Policy, now: datetime) -> None:
    held = policy.promises.model_copy(update={"on_silence": "hold"})
    play = opened(policy.model_copy(update={"promises": held}), now)
    play.run_until(now + 3 * HOUR)
    play.alert(batch(2, firing=0, severity=None), now + 3 * HOUR)
    play.run_until(None)
    assert [m.moment for m in thread(play)] == [Moment.INITIAL, Moment.RESOLUTION]
    assert [p.state for p in play.promises] == ["missed"]


def test_the_end_follows_the_last_alert_by_stability_and_approval(
    policy: Policy, now: datetime
) -> None:
    play = opened(policy, now)
    play.run_until(now + 20 * MINUTE)
    play.alert(batch(2, firing=0, severity=None), now + 20 * MINUTE)
    play.run_until(None)
    end = thread(play)[-1]
    assert end.moment is Moment.RESOLUTION
    assert end.at == now + 20 * MINUTE + policy.resolution.stable_for + 3 * MINUTE
    report = play.sent[-1]
    due = policy.severities[Severity.P2].post_mortem.within
    assert due is not None
    assert (report.moment, report.at) == (Moment.POST_MORTEM, end.at + due)
    assert play.state.stage is Stage.CLOSED and not play.abandoned


def test_with_nobody_to_approve_people_are_asked_and_customers_hear_nothing(
    policy: Policy, now: datetime
) -> None:
    play = opened(policy, now, NOBODY)
    play.run_until(now + HOUR)
    assert thread(play) == []
    chain = policy.people.roles["approver"]
    assert [act.who for act in play.asked if act.kind == "escalated"] == list(chain[1:])


def test_four_eyes_need_a_second_person_who_comes_later(policy: Policy, now: datetime) -> None:
    careful = policy.approval.model_copy(update={"four_eyes": True})
    play = opened(policy.model_copy(update={"approval": careful}), now)
    play.run_until(now + 7 * MINUTE)
    (start,) = thread(play)
    assert (start.at, start.by) == (now + 6 * MINUTE, "incident manager")


def test_a_suspicion_waits_for_a_human_who_comes_only_if_assumed(
    policy: Policy, now: datetime
) -> None:
    silent = opened(policy, now, confirms=False)
    silent.run_until(now + 2 * HOUR)
    assert silent.state.stage is Stage.SUSPECTED and thread(silent) == []
    seen = opened(policy, now, Assumptions(approve_after=MINUTE, confirm_after=5 * MINUTE),
                  confirms=False)  # fmt: skip
    seen.run_until(now + 2 * HOUR)
    assert thread(seen)[0].at == now + 6 * MINUTE


def test_what_the_recording_never_ends_is_left_in_the_end(policy: Policy, now: datetime) -> None:
    play = opened(policy.model_copy(update={"extended": None}), now)
    play.run_until(None)
    assert play.abandoned and play.over
    assert thread(play)[-1].at <= now + PROMPT.give_up_after
    # A start, and a line an hour for a day.
    assert len(thread(play)) == 25


def test_an_automatic_gate_says_so(policy: Policy, now: datetime) -> None:
    auto = policy.gates[0].model_copy(update={"channels": None})
    play = opened(policy.model_copy(update={"gates": (auto,)}), now)
    assert [(m.at, m.gate) for m in thread(play)] == [(now, "auto")]


@pytest.mark.parametrize(("share", "told"), [(0.2, 40), (None, 200), (0.0, 0)])
def test_without_customers_the_share_says_how_many(
    policy: Policy, now: datetime, share: float | None, told: int
) -> None:
    play = opened(policy, now, affected_share=share)
    play.run_until(now + 4 * MINUTE)
    assert thread(play)[0].recipients[Channel.EMAIL] == told
