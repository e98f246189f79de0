from __future__ import annotations

from datetime import timedelta

import pytest

from domain.drill import KEY_LENGTH, MAX_SPEED, SHORTEST, SHORTEST_LEAD, drilled, sped_up
from domain.policy import Policy
from domain.signal import Severity, Signal, SignalStatus


def alert(dedup: str = "a") -> Signal:
    return Signal(
        source="generic", external_id="e1", dedup_key=dedup, status=SignalStatus.FIRING, title="t"
    )


def test_a_drilled_alert_shares_no_key_with_a_real_one() -> None:
    real, practice = alert(), drilled(alert())
    assert practice.dedup_key != real.dedup_key and practice.external_id != real.external_id
    assert practice == drilled(alert())
    # Long keys that only differ at their end stay apart, and none is too long to be stored.
    long = [drilled(alert("k" * (KEY_LENGTH - 1) + end)).dedup_key for end in "xy"]
    assert len(set(long)) == 2 and max(map(len, long)) <= KEY_LENGTH


def test_cadences_are_divided_and_what_is_of_the_world_stays(policy: Policy) -> None:
    fast = sped_up(policy, 60)
    assert fast.severities[Severity.P1].update_every == timedelta(seconds=30)
    assert fast.severities[Severity.P1].post_mortem.remind_before[0] == timedelta(minutes=24)
    assert fast.severities[Severity.P4].update_every is None
    assert fast.resolution.stable_for == timedelta(seconds=10)
    assert fast.grouping.window == timedelta(seconds=30)
    assert fast.promises.holding_lead == SHORTEST_LEAD
    assert fast.promises.remind_before == SHORTEST
    assert fast.delivery == policy.delivery and fast.retention == policy.retention
    assert fast.tone == policy.tone and fast.routes == policy.routes


@pytest.mark.parametrize("speed", [1, 7, MAX_SPEED])
def test_a_faster_policy_is_read_back_under_its_hash(policy: Policy, speed: int) -> None:
    fast = sped_up(policy, speed)
    again = Policy.model_validate(fast.model_dump(mode="json"))
    assert again == fast and again.hash == fast.hash
    assert (fast.hash == policy.hash) == (speed == 1)


def test_at_full_speed_a_holding_line_still_waits_for_its_turn(policy: Policy) -> None:
    quick = policy.severities[Severity.P1].model_copy(update={"update_every": timedelta(minutes=5)})
    short = policy.model_copy(update={"severities": policy.severities | {Severity.P1: quick}})
    for rules in (policy, short):
        fast = sped_up(rules, MAX_SPEED)
        every = [plan.update_every for plan in fast.severities.values() if plan.update_every]
        assert fast.promises.holding_lead < min(every)


def test_an_older_policy_keeps_its_hash_and_a_category_can_be_held(policy: Policy) -> None:
    assert "dry_run" not in policy.model_dump(mode="json")["categories"]["security"]
    held = policy.model_dump(mode="json")
    held["categories"]["security"]["dry_run"] = True
    read = Policy.model_validate(held)
    assert read.categories["security"].dry_run and read.hash != policy.hash
