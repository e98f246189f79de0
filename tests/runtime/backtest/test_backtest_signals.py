"""Reading a recording: what is taken, and what is refused with its file and field."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from domain.errors import BadInput
from runtime.backtest.signals import read_recording
from tests.runtime.backtest.recordings import START, at, save, signal


def test_objects_arrays_lines_and_messages_are_read_from_one_folder(tmp_path: Path) -> None:
    (tmp_path / "1.json").write_text(json.dumps(signal("one", 0)))
    (tmp_path / "2.json").write_text(json.dumps([signal("two", 1), signal("three", 2)]))
    lines = [json.dumps(signal("four", 3)), "", json.dumps(signal("five", 4))]
    (tmp_path / "3.jsonl").write_text("\n".join(lines))
    said = {"messages": [{"incident": "one", "at": at(1), "stage": "In progress", "by": "x"}]}
    (tmp_path / "4.json").write_text(json.dumps(said))
    (tmp_path / "README.md").write_text("not a signal")
    found = read_recording(tmp_path)
    assert [one.incident for one in found.signals] == ["one", "two", "three", "four", "five"]
    assert [message.stage for message in found.actual] == ["in_progress"]
    assert found.remarks == {}


def test_a_signal_is_timed_by_its_arrival_else_by_its_start(tmp_path: Path) -> None:
    early = signal("a", 10, started_at=at(0))
    plain = signal("b", 0, started_at=at(0))
    del plain["received_at"]
    found = read_recording(save(tmp_path / "in", [early, plain]))
    assert [(one.at - START).total_seconds() for one in found.signals] == [600, 0]


def test_source_and_incident_can_be_said(tmp_path: Path) -> None:
    named = signal("a", 0, source="datadog", labels={"incident": "INC-7"})
    (one,) = read_recording(save(tmp_path / "in", [named])).signals
    assert (one.signal.source, one.incident, one.alert) == ("datadog", "INC-7", "datadog:a")


def test_a_cloud_event_is_a_signal_too(tmp_path: Path) -> None:
    event = {
        "specversion": "1.0", "id": "1", "source": "/m", "type": "alert", "time": at(5),
        "data": {"status": "firing", "title": "down"},
    }  # fmt: skip
    (one,) = read_recording(save(tmp_path / "in", [event])).signals
    assert (one.at - START).total_seconds() == 300


def test_ends_without_a_time_and_messages_without_a_signal_are_remarked(tmp_path: Path) -> None:
    untimed = signal("a", 0, "resolved", started_at=at(0), received_at=None)
    said = [("a", 0, "update"), ("b", 0, "update")]
    found = read_recording(save(tmp_path / "in", [signal("a", 0), untimed], *said))
    assert found.remarks == {"end_without_time": 1, "said_without_signal": 1}


def test_an_end_without_a_time_came_when_the_operator_said_so(tmp_path: Path) -> None:
    untimed = signal("a", 0, "resolved", started_at=at(0), received_at=None)
    said = ("a", 5, "update"), ("a", 40, "resolved")
    found = read_recording(save(tmp_path / "in", [signal("a", 0), untimed], *said))
    assert [(one.at - START).total_seconds() for one in found.signals] == [0, 2400]
    assert found.remarks == {}


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        ("{", ["bad.json", "not JSON", "line 1"]),
        ('["text"]', ["item 1", "signal", "'text'"]),
        ("[]", ["holds no signal"]),
        (json.dumps([signal("a", 0, status="broken")]), ["item 1", "status", "broken", "firing"]),
        (json.dumps(signal("a", 0, severty="P1")), ["severty", "only id"]),
        (json.dumps(signal("a", 0, received_at="noon")), ["received_at", "noon", "2026-03-01"]),
        (json.dumps(signal("a", 0, source=7)), ["source", "7", "monitor"]),
        (json.dumps(signal("a", 0, received_at=None)), ["received_at", "started_at"]),
        (json.dumps({"messages": 7}), ["messages", "7", "list"]),
        (json.dumps({"messages": [{"incident": "a", "at": at(0)}]}), ["messages.0.stage"]),
        (
            json.dumps({"messages": [{"incident": "a", "at": at(0), "stage": "panic"}]}),
            ["messages.0.stage", "panic", "monitoring"],
        ),
        (
            json.dumps({"messages": [{"incident": "a", "at": "10:00", "stage": "update"}]}),
            ["messages.0.at", "10:00"],
        ),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path: Path, content: str, parts: list[str]) -> None:
    (tmp_path / "bad.json").write_text(content)
    with pytest.raises(BadInput) as caught:
        read_recording(tmp_path)
    said = f"{caught.value} " + " ".join(str(e.model_dump()) for e in caught.value.errors)
    for part in parts:
        assert part in said


def test_a_place_that_is_not_there_or_not_text_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="nowhere: does not exist"):
        read_recording(tmp_path / "nowhere")
    (tmp_path / "x.json").write_bytes(b"\xff\xfe")
    with pytest.raises(BadInput, match="byte 1 is not UTF-8"):
        read_recording(tmp_path)


def test_nesting_without_end_is_no_crash(tmp_path: Path) -> None:
    (tmp_path / "deep.json").write_text("[" * 200_000)
    with pytest.raises(BadInput, match="not JSON"):
        read_recording(tmp_path)


def test_one_file_is_a_recording_too(tmp_path: Path) -> None:
    item: dict[str, Any] = signal("a", 0)
    path = tmp_path / "one.json"
    path.write_text(json.dumps(item))
    assert len(read_recording(path).signals) == 1


def test_a_time_at_the_end_of_the_calendar_is_refused(tmp_path: Path) -> None:
    late = signal("a", 0, received_at="9999-12-31T23:59:59Z")
    with pytest.raises(BadInput) as caught:
        read_recording(save(tmp_path / "in", [late]))
    assert caught.value.errors[0].field == "received_at"
