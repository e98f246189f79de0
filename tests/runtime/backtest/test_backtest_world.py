"""Recorded alerts become incidents as live ones do."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

from domain.backtest import Assumptions
from domain.backtest_crowd import Assumed
from domain.backtest_record import Told
from domain.incident import Stage
from domain.message import Moment
from domain.policy import Policy
from domain.signal import Severity
from runtime.backtest.report import Test as Backtest
from runtime.backtest.signals import read_recording
from runtime.backtest.world import World
from tests.runtime.backtest.recordings import save, signal

PROMPT = Assumptions(approve_after=timedelta(minutes=3))


def play(tmp_path: Path, policy: Policy, *signals: dict[str, Any]) -> list[Told]:
    recording = read_recording(save(tmp_path / "in", list(signals)))
    return list(World(policy, PROMPT, Assumed(100)).play(recording.signals, []).values())


def test_alerts_on_dependent_components_are_one_incident(tmp_path: Path, policy: Policy) -> None:
    (told,) = play(
        tmp_path, policy,
        signal("db", 0, components=["database"]), signal("api", 5, components=["rest-api"]),
        signal("db", 30, "resolved"), signal("api", 40, "resolved"),
    )  # fmt: skip
    assert told.recorded == ("db", "api")
    assert told.resolved_at is not None and f"{told.resolved_at:%H:%M}" == "14:40"
    assert next(m.moment for m in told.thread if m.gate == "approved") is Moment.INITIAL


def test_the_grouping_window_and_regions_keep_incidents_apart(
    tmp_path: Path, policy: Policy
) -> None:
    told = play(
        tmp_path, policy,
        signal("a", 0), signal("late", 31),
        signal("eu", 32, components=["dashboard"], regions=["eu"]),
        signal("us", 33, components=["dashboard"], regions=["us"]),
    )  # fmt: skip
    assert [one.recorded for one in told] == [("a",), ("late",), ("eu",), ("us",)]


def test_a_refire_within_the_window_reopens_and_after_it_is_a_new_incident(
    tmp_path: Path, policy: Policy
) -> None:
    told = play(
        tmp_path, policy,
        signal("a", 0), signal("a", 20, "resolved"), signal("a", 45), signal("a", 60, "resolved"),
        signal("a", 600), signal("a", 620, "resolved"),
    )  # fmt: skip
    assert [one.key for one in told] == ["a", "a #2"]
    assert "reopened" in told[0].remarks
    ends = [m for m in told[0].thread if m.moment is Moment.RESOLUTION]
    assert len(ends) == 2
    assert [one.stage for one in told] == [Stage.CLOSED, Stage.CLOSED]


def test_the_same_delivery_twice_changes_nothing(tmp_path: Path, policy: Policy) -> None:
    first = signal("a", 0)
    (told,) = play(tmp_path, policy, first, first, signal("a", 20, "resolved"))
    assert told.signals == 2


def test_noise_that_nobody_confirms_is_told_to_nobody(tmp_path: Path, policy: Policy) -> None:
    quiet, unknown = play(
        tmp_path, policy,
        signal("noise", 0, customer_impact=None), signal("noise", 5, "resolved"),
        signal("strange", 100, components=["warp-drive"]), signal("strange", 120, "resolved"),
    )  # fmt: skip
    assert quiet.remarks == ("never_confirmed",) and quiet.thread == ()
    assert unknown.remarks == ("no_component", "nobody_told")
    assert unknown.reasons[-1].endswith("warp-drive")


def test_an_alert_that_gets_worse_escalates(tmp_path: Path, policy: Policy) -> None:
    (told,) = play(
        tmp_path, policy,
        signal("a", 0, severity="P3"), signal("a", 20, severity="P1"), signal("a", 50, "resolved"),
    )  # fmt: skip
    assert (told.opened_as, told.worst) == (Severity.P3, Severity.P1)
    assert Moment.ESCALATION in [m.moment for m in told.thread]


def test_two_policies_are_paired_by_the_first_alert(tmp_path: Path, policy: Policy) -> None:
    wide = policy.grouping.model_copy(update={"window": timedelta(hours=2)})
    other = policy.model_copy(update={"grouping": wide})
    signals = [signal("a", 0), signal("b", 60), signal("a", 90, "resolved"),
               signal("b", 95, "resolved"), signal("c", 900, components=["dashboard"]),
               signal("c", 920, "resolved", components=["dashboard"])]  # fmt: skip
    recording = read_recording(save(tmp_path / "in", signals))
    test = Backtest(recording=recording, assumed=PROMPT, count=Assumed(100), people="assumed")
    report = test.run(("here", policy), ("there", other))
    by_key = {told.key: told.other for told in report.incidents}
    assert by_key.keys() == {"a", "b", "c"}
    assert by_key["a"] is not None and not by_key["a"].grouped_alike
    assert by_key["c"] is not None and by_key["c"].grouped_alike and by_key["c"].changes == ()
    assert [total.incidents for total in report.against_totals if total.severity == "all"] == [2]
    # What differs most comes first.
    assert report.incidents[-1].key == "c"


def test_a_storm_of_one_incident_costs_no_more_messages(tmp_path: Path, policy: Policy) -> None:
    storm = [signal(f"a{n}", n / 600, id=f"s{n}") for n in range(600)]
    ends = [signal(f"a{n}", 30, "resolved", id=f"e{n}") for n in range(600)]
    (told,) = play(tmp_path, policy, *storm, *ends)
    assert told.signals == 1200
    assert [m.moment for m in told.thread] == [Moment.INITIAL, Moment.RESOLUTION]
