"""The command: what it prints, writes and refuses."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from runtime.commands.policy import app
from tests.runtime.backtest.recordings import save, signal

ROOT = Path(__file__).parents[3]
DEFAULT = ROOT / "content/policy/default.yaml"
HOSTILE = '<script>alert("x")</script> {{ 7*7 }}'


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["backtest", *(str(a) for a in arguments)])


def data(*arguments: object) -> Any:
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    return save(
        tmp_path / "in",
        [signal("a", 0, affected_share=0.12), signal("a", 150, "resolved")],
        ("a", 5, "investigating"), ("a", 95, "update"), ("a", 155, "resolved"),
    )  # fmt: skip


@pytest.fixture
def faster(tmp_path: Path) -> Path:
    """The shipped policy with another rhythm, another confirmation and other channels for P2."""
    path = tmp_path / "faster.yaml"
    path.write_text(f"extends: {DEFAULT}\nseverities:\n  P2: {{update_every: 30m}}\n")
    return path


def test_it_says_what_when_to_how_many_and_why(recorded: Path) -> None:
    report = data(DEFAULT, "--signals", recorded)
    (told,) = report["incidents"]
    public = [m for m in told["messages"] if m["to_customers"]]
    start, one, two, end, mortem = public
    assert (start["at"], start["moment"], start["gate"]) == (
        "2026-03-10T14:03:00Z", "initial", "approved",
    )  # fmt: skip
    assert start["recipients"] == {
        "email": 120, "in_app": 120, "status_page": 1, "social": 1, "slack": None, "teams": None,
    }  # fmt: skip
    assert [one["gate"], two["gate"]] == ["holding", "holding"]
    assert (end["at"], end["moment"]) == ("2026-03-10T16:43:00Z", "resolution")
    assert mortem["moment"] == "post_mortem"
    assert [p["state"] for p in told["promises"]] == ["kept", "kept", "kept"]
    assert told["operator"] == {
        "messages": 3, "first_at": "2026-03-10T14:05:00Z", "last_at": "2026-03-10T16:35:00Z",
        "first_later_seconds": -120, "longest_silence_seconds": 5400, "rhythm_seconds": 3600,
        "gaps": 2, "gaps_in_rhythm": 1, "gaps_in_shortest": 0,
    }  # fmt: skip
    total = report["totals"][-1]
    assert (total["severity"], total["messages"], total["kept_share"]) == ("all", 4, 1.0)
    assert report["assumptions"]["approve_after"] == "3m"


def test_assumptions_are_the_users(recorded: Path) -> None:
    report = data(DEFAULT, "--signals", recorded, "--approve-after", "10m", "--accounts", "50")
    start = next(m for m in report["incidents"][0]["messages"] if m["to_customers"])
    assert start["at"] == "2026-03-10T14:10:00Z" and start["recipients"]["email"] == 6
    silent = data(DEFAULT, "--signals", recorded, "--approve-after", "never")["incidents"][0]
    assert not [m for m in silent["messages"] if m["to_customers"]]
    assert "nobody_told" in silent["remarks"]


def test_a_customers_file_counts_recipients(recorded: Path, tmp_path: Path) -> None:
    customers = tmp_path / "customers.csv"
    customers.write_text(
        "account_id,contact_id,email,features\n"
        "1,1,ada@example.com,payments\n1,2,bob@example.com,payments\n2,3,eve@example.com,dashboard\n"
    )
    (told,) = data(DEFAULT, "--signals", recorded, "--customers", customers)["incidents"]
    start = next(m for m in told["messages"] if m["to_customers"])
    assert start["recipients"]["email"] == 2 and told["accounts"] == 1


def test_two_policies_side_by_side(recorded: Path, faster: Path) -> None:
    report = data(DEFAULT, "--signals", recorded, "--against", faster)
    assert report["policy"]["hash"] != report["against"]["hash"]
    other = report["incidents"][0]["other"]
    moved = [(c["moment"], c["nth"]) for c in other["changes"] if c["kind"] == "moved"]
    added = [(c["moment"], c["nth"]) for c in other["changes"] if c["kind"] == "added"]
    assert moved == [("update", 1), ("update", 2)] and added[0] == ("update", 3)
    same = data(DEFAULT, "--signals", recorded, "--against", DEFAULT)
    assert same["incidents"][0]["other"]["changes"] == []


class _Page(HTMLParser):
    """What a browser would find."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.names: list[str] = []
        self.ids: list[str] = []
        self.labelled: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.names.append(tag)
        if given.get("id"):
            self.ids.append(str(given["id"]))
        if given.get("aria-labelledby"):
            self.labelled += str(given["aria-labelledby"]).split()
        assert not given.get("src") and not given.get("href"), "the page needs nothing else"


def test_the_page_stands_alone_and_can_be_read_aloud(
    tmp_path: Path, recorded: Path, faster: Path
) -> None:
    save(recorded, [signal("a", 0, title=HOSTILE), signal("a", 150, "resolved", title=HOSTILE)])
    out = tmp_path / "report.html"
    result = run(DEFAULT, "--signals", recorded, "--against", faster, "--html", out)
    assert result.exit_code == 0 and str(out) in result.stdout
    text = out.read_text("utf-8")
    page = _Page(text)
    assert "script" not in page.names and "&lt;script&gt;" in text and "{{ 7*7 }}" in text
    assert page.labelled and set(page.labelled) <= set(page.ids)
    assert len(page.ids) == len(set(page.ids))
    assert "prefers-color-scheme: dark" in text and "width=device-width" in text
    assert not re.search(r"https?://|url\(|@import", text)
    # Three lanes: this policy with start, two lines and the end; the other; three of the operator.
    ours, theirs = (
        re.findall(r'<circle class="ours', text),
        re.findall(r'class="theirs" x="[\d.]+%', text),
    )
    assert len(ours) == 4 + 2 and len(theirs) == 3
    assert "Promises kept: 3 of 3" in text and "(2m earlier)" in text


def test_it_is_readable_in_a_terminal(recorded: Path) -> None:
    result = run(DEFAULT, "--signals", recorded)
    assert result.exit_code == 0
    assert "holding" in result.stdout and "2026-03-10 14:03:00" in result.stdout
    assert "\x1b" not in result.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "parts"),
    [
        (["--approve-after", "soon"], 2, ["--approve-after", "soon", "3m"]),
        (["--customers", "nowhere.csv"], 1, ["nowhere.csv"]),
        (["--against", "nowhere.yaml"], 1, ["nowhere.yaml", "cannot be read"]),
        (["--html", "/nowhere/at/all.html"], 1, ["/nowhere/at/all.html"]),
        (["--accounts", "0"], 2, ["--accounts"]),
    ],
)
def test_bad_options_are_named(
    recorded: Path, arguments: list[str], code: int, parts: list[str]
) -> None:
    result = run(DEFAULT, "--signals", recorded, *arguments)
    assert result.exit_code == code
    for part in parts:
        assert part in result.stderr


def test_bad_signals_and_customers_are_named_with_their_place(
    tmp_path: Path, recorded: Path
) -> None:
    bad = save(tmp_path / "bad", [signal("a", 0), signal("b", 1, affected_share=7)])
    result = run(DEFAULT, "--signals", bad)
    assert result.exit_code == 1
    assert "signals.json, item 2" in result.stderr and "affected_share" in result.stderr
    assert "from 0 to 1" in result.stderr
    customers = tmp_path / "c.csv"
    customers.write_text("account_id,contact_id,email\n1,1,nobody\n")
    result = run(DEFAULT, "--signals", recorded, "--customers", customers)
    assert result.exit_code == 1 and "line 2, column email" in result.stderr
