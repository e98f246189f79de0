"""A drill's order and caution, against a stack that only writes down what it is told."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from domain.errors import BadInput, Refused
from runtime.backtest.signals import read_recording
from runtime.backtest.world import Recorded
from runtime.drill import Drill, body_of, one_incident, schedule
from tests.runtime.backtest.recordings import at, save, signal


@dataclass
class Notebook:
    """A stack at the other end of the drill; implements its port."""

    knows: bool = True
    dry: bool = True
    taken: list[dict[str, Any]] = field(default_factory=list)

    def takes_drills(self) -> bool:
        return self.knows

    def deliver(self, body: dict[str, Any], speed: int) -> dict[str, Any]:
        self.taken.append(body | {"speed": speed})
        return {"incident_id": "inc_1", "disposition": "started"}

    def incident(self, incident_id: str) -> dict[str, Any]:
        return {"id": incident_id, "dry_run": self.dry}

    def timeline(self, incident_id: str) -> list[dict[str, Any]]:
        return [{"at": "2026-03-10T14:00:00Z", "kind": "k", "text": "a line"}]


@pytest.fixture
def signals(tmp_path: Path) -> list[Recorded]:
    recorded = [signal("a", 0), signal("a", 5, "resolved"), signal("b", 1)]
    return one_incident(read_recording(save(tmp_path / "in", recorded)), "a")


def test_it_plays_marked_alerts_in_their_order_and_shows_each_line_once(
    signals: list[Recorded],
) -> None:
    stack, said = Notebook(), list[str]()
    assert Drill(stack, "DRILL", said.append).play(signals, 600) == ["inc_1"]
    assert [(b["status"], b["speed"]) for b in stack.taken] == [("firing", 600), ("resolved", 600)]
    assert all(b["title"].startswith("DRILL: ") for b in stack.taken)
    assert len({b["id"] for b in stack.taken}) == 2
    assert len({b["dedup_key"] for b in stack.taken}) == 1
    assert sum("a line" in line for line in said) == 1


def test_a_stack_that_knows_no_exercise_is_told_nothing(signals: list[Recorded]) -> None:
    stack = Notebook(knows=False)
    with pytest.raises(Refused, match="dry run"):
        Drill(stack, "DRILL", lambda line: None).play(signals, 600)
    assert stack.taken == []


def test_an_incident_that_is_real_breaks_the_drill_off(signals: list[Recorded]) -> None:
    stack = Notebook(dry=False)
    with pytest.raises(Refused, match="inc_1"):
        Drill(stack, "DRILL", lambda line: None).play(signals, 600)
    assert len(stack.taken) == 1


def test_pauses_and_what_was_before_the_alert_shrink_alike(tmp_path: Path) -> None:
    recorded = [signal("a", 10, started_at=at(0)), signal("a", 70, "resolved")]
    chosen = one_incident(read_recording(save(tmp_path / "in", recorded)), None)
    assert [due.after for due in schedule(chosen, 60)] == [0, 60]
    now = datetime(2026, 5, 1, tzinfo=UTC)
    body = body_of(chosen[0], "run", "DRILL", 60, now)
    assert datetime.fromisoformat(body["started_at"]) == now - timedelta(seconds=10)


def test_which_incident_must_be_clear(tmp_path: Path) -> None:
    recording = read_recording(save(tmp_path / "in", [signal("a", 0), signal("b", 1)]))
    for name in (None, "c"):
        with pytest.raises(BadInput) as caught:
            one_incident(recording, name)
        assert "a, b" in caught.value.errors[0].allowed
