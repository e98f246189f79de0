"""A status page's history as signals, and the back-test over 399 real incidents."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from runtime.backtest.signals import read_recording
from runtime.commands.policy import app

ROOT = Path(__file__).parents[3]
DEFAULT = ROOT / "content/policy/default.yaml"
MAPPING = ROOT / "content/backtest/github_status.yaml"
RECORDED = ROOT.parent / "shared/data/github_status/incidents_to_2024.jsonl"

# As the public API v2 of a Statuspage answers, shortened.
HISTORY = {
    "page": {"id": "p", "name": "Acme"},
    "incidents": [
        {
            "id": "i1", "name": "Payments fail", "status": "resolved", "impact": "major",
            "created_at": "2026-03-10T14:00:00.000Z", "started_at": "2026-03-10T13:50:00.000Z",
            "resolved_at": "2026-03-10T15:00:00.000Z",
            "incident_updates": [
                {"status": "resolved", "display_at": "2026-03-10T15:00:00.000Z", "body": "ok"},
                {"status": "investigating", "display_at": "2026-03-10T14:00:00.000Z", "body": "?"},
            ],
            "components": [{"id": "c", "name": "Zahlungsabwicklung"}, {"name": "Warp drive"}],
        },
        {
            "id": "i2", "name": "Slow", "status": "investigating", "impact": "minor",
            "created_at": "2026-04-10T14:00:00Z", "resolved_at": None, "components": [],
            "incident_updates": [{"status": "investigating", "created_at": "2026-04-10T14:00:00Z"}],
        },
    ],
}  # fmt: skip


def convert(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["signals-from-statuspage", *(str(a) for a in arguments)])


def test_a_history_becomes_signals_and_messages(tmp_path: Path) -> None:
    source, out = tmp_path / "incidents.json", tmp_path / "out"
    source.write_text(json.dumps(HISTORY))
    result = convert(source, out, "--policy", DEFAULT, "--json")
    assert result.exit_code == 0, result.output
    assert result.stderr.count("Warp drive (1)") == 1
    summary = json.loads(result.stdout)
    assert summary["unknown_components"] == {"Warp drive": 1}
    assert summary["incidents_without_component"] == 1
    found = read_recording(out)
    start, end, open_one = found.signals
    assert start.signal.components == ("payments", "Warp drive")
    assert (start.signal.severity, start.signal.customer_impact) == ("P2", True)
    assert f"{start.at:%H:%M} {end.at:%H:%M}" == "13:50 15:00"
    assert (open_one.incident, open_one.signal.status) == ("i2", "firing")
    assert [m.stage for m in found.actual] == ["investigating", "resolved", "investigating"]
    again = convert(source, out, "--policy", DEFAULT)
    assert again.exit_code == 1 and "stands there already" in again.stderr


def test_a_mapping_names_what_the_policy_does_not(tmp_path: Path) -> None:
    source, mapping = tmp_path / "incidents.json", tmp_path / "map.yaml"
    source.write_text(json.dumps(HISTORY["incidents"]))
    mapping.write_text('warp drive: rest-api\n"*": dashboard\n')
    out = tmp_path / "out"
    result = convert(source, out, "--policy", DEFAULT, "--components", mapping)
    assert result.exit_code == 0 and result.stderr == ""
    keys = [one.signal.components for one in read_recording(out).signals]
    assert keys == [("payments", "rest-api"), ("payments", "rest-api"), ("dashboard",)]
    mapping.write_text("Warp drive: engine\n")
    wrong = convert(source, tmp_path / "o2", "--policy", DEFAULT, "--components", mapping)
    assert wrong.exit_code == 1
    assert "Warp drive" in wrong.stderr and "engine" in wrong.stderr and "rest-api" in wrong.stderr


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        ("nonsense", ["line 1", "not JSON"]),
        ('{"incidents": []}', ["holds no incident"]),
        ('{"incidents": [{"id": "1"}]}', ["incident 1", "name"]),
        ('[{"id": "1", "name": "n", "created_at": "x", "incident_updates": []}]', ["'x'"]),
        ("7", ["incident"]),
    ],
)
def test_what_is_no_history_is_named(tmp_path: Path, content: str, parts: list[str]) -> None:
    source = tmp_path / "bad.json"
    source.write_text(content)
    result = convert(source, tmp_path / "out", "--policy", DEFAULT)
    assert result.exit_code == 1
    for part in ("bad.json", *parts):
        assert part in result.stderr


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The back-test over the recorded incidents, with everything it can do."""
    if not RECORDED.exists():
        pytest.skip(f"the recorded incidents are not there: {RECORDED}")
    folder = tmp_path_factory.mktemp("history")
    out = folder / "signals"
    made = convert(RECORDED, out, "--policy", DEFAULT, "--components", MAPPING)
    assert made.exit_code == 0, made.output
    arguments = ["backtest", DEFAULT, "--signals", out, "--html", folder / "r.html", "--json"]
    result = CliRunner().invoke(app, [str(a) for a in arguments])
    assert result.exit_code == 0, result.output
    text = (folder / "r.html").read_text("utf-8")
    return json.loads(result.stdout) | {"page": text}


def test_each_recorded_incident_is_in_the_report(report: Any) -> None:
    names = [name for told in report["incidents"] for name in told["recorded"]]
    assert len(names) == len(set(names)) == 399
    assert report["page"].count("<article") == len(report["incidents"])
    for told in report["incidents"]:
        thread = [m["moment"] for m in told["messages"] if m["to_customers"]]
        assert thread[0] == "initial" and "resolution" in thread, told["key"]
        assert told["stage"] == "closed" and told["operator"]["messages"] > 0, told["key"]


def test_every_promise_is_kept_where_the_operator_kept_some(report: Any) -> None:
    total = report["totals"][-1]
    assert total["promises_missed"] == 0 and total["promises_kept"] > 500
    assert 0 < total["operator_gaps_in_shortest"] < total["operator_gaps"]


def test_the_work_is_bounded_by_the_length_of_what_happened(report: Any) -> None:
    """Never more messages than a start, an end, and one for each rhythm in between."""
    for told in report["incidents"]:
        thread = [m for m in told["messages"] if m["to_customers"]]
        rhythm = told["rhythm_seconds"]
        if rhythm is None:
            assert len(thread) <= 3, told["key"]
            continue
        assert told["promises"], told["key"]
        assert len(thread) <= 3 + len(told["promises"]), told["key"]
