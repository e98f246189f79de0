"""The command line: exit codes, one line on stderr, options after arguments."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from runtime.commands.lazy import COMMANDS, load
from starter import app

runner = CliRunner()
NEEDS_GATEWAY = (
    ["incident", "list"],
    ["incident", "start", "Payments fail"],
    *(["incident", name, "latest"] for name in (
        "show", "timeline", "acknowledge", "confirm", "dismiss", "resolve", "false-alarm",
        "preview")),
    ["incident", "update", "latest", "--message", "x"],
    ["incident", "severity", "latest", "P1"],
    ["approve", "latest"],
    ["reject", "latest"],
    ["edit", "latest"],
)  # fmt: skip


def _leaves() -> Iterator[list[str]]:
    def walk(command: Any, path: list[str]) -> Iterator[list[str]]:
        if hasattr(command, "commands"):
            for name, child in command.commands.items():
                yield from walk(child, [*path, name])
        else:
            yield path

    for name in COMMANDS:
        yield from walk(load(name), [name])


LEAVES = list(_leaves())


def test_every_command_of_the_main_job_is_there() -> None:
    expected = {
        "up", "demo", "signal", "approve", "reject", "edit", "policy check", "customers import",
        "customers audience", "audit verify", "audit export", "draft check", "sends pause",
        "sends resume", "adapters list", "adapters check", "db upgrade", "tokens create",
        "tokens revoke",
        *(f"incident {n}" for n in ("start", "list", "show", "timeline", "update", "severity",
          "confirm", "dismiss", "resolve", "false-alarm", "preview")),
    }  # fmt: skip
    assert expected <= {" ".join(path) for path in LEAVES}


@pytest.mark.parametrize("path", LEAVES, ids=" ".join)
def test_help_and_the_data_directory_everywhere(path: list[str]) -> None:
    done = runner.invoke(app, [*path, "--help"], env={"COLUMNS": "200", "NO_COLOR": "1"})
    assert done.exit_code == 0
    # A key is made without a stack.
    assert ("--data-dir" in done.output) is (path != ["keys", "generate"])


@pytest.mark.parametrize("arguments", NEEDS_GATEWAY, ids=" ".join)
def test_without_a_stack_one_line_says_what_to_do(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FOREWARN_TOKEN", raising=False)
    done = runner.invoke(app, [*arguments, "--data-dir", str(tmp_path)])
    assert done.exit_code == 1
    assert done.stdout == ""
    assert done.stderr.strip() == f"No stack found in {tmp_path}: start one with `starter.py up`"


@pytest.mark.parametrize(
    "arguments",
    [["nonsense"], ["incident", "update", "latest"], ["incident", "list", "--limit", "0"],
     ["up", "--port", "0"], ["draft", "check", "latest", "/nonexistent.json"]],
    ids=" ".join,
)  # fmt: skip
def test_wrong_usage_is_2(arguments: list[str]) -> None:
    assert runner.invoke(app, arguments).exit_code == 2


def test_a_broken_stack_file_is_no_traceback(tmp_path: Path) -> None:
    (tmp_path / "stack.json").write_text("{")
    done = runner.invoke(app, ["incident", "list", "--data-dir", str(tmp_path)])
    assert done.exit_code == 1 and len(done.stderr.splitlines()) == 1


def test_a_gateway_that_is_gone_is_no_traceback(tmp_path: Path) -> None:
    stack: dict[str, Any] = {
        "gateway": "http://127.0.0.1:9", "temporal": "127.0.0.1:9", "temporal_ui": None,
        "database_url": "postgresql://u:secret@127.0.0.1:9/x", "smtp": "smtp://127.0.0.1:9",
        "mail": None, "token": "fw_secret", "pids": {}, "secrets": {},
    }  # fmt: skip
    (tmp_path / "stack.json").write_text(json.dumps(stack))
    done = runner.invoke(app, ["incident", "list", "--data-dir", str(tmp_path)])
    assert done.exit_code == 1 and len(done.stderr.splitlines()) == 1
    assert "fw_secret" not in done.output


def test_a_database_that_is_gone_is_no_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://u:hidden@127.0.0.1:9/x")
    for arguments in (["tokens", "create", "x"], ["db", "upgrade"]):
        done = runner.invoke(app, [*arguments, "--data-dir", str(tmp_path)])
        assert done.exit_code == 1 and len(done.stderr.splitlines()) == 1
        assert "hidden" not in done.output


def test_tokens_on_the_database_of_the_environment(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", database_url)

    def run(*arguments: str, code: int = 0) -> Any:
        done = runner.invoke(app, [*arguments, "--data-dir", str(tmp_path), "--json"])
        assert done.exit_code == code, done.output
        return json.loads(done.stdout) if done.stdout else done.stderr

    made = run("tokens", "create", "Anna", "--role", "approver")
    assert made["token"].startswith("fw_") and made["roles"] == ["approver"]
    assert "role" in run("tokens", "create", "Bob", "--role", "king", code=1)
    assert run("tokens", "revoke", made["id"])[0]["name"] == "Anna"
    assert "no token in force" in run("tokens", "revoke", made["id"], code=1)


def test_adapters_as_json() -> None:
    rows = json.loads(runner.invoke(app, ["adapters", "list", "--json"]).stdout)
    assert {"pagerduty", "generic", "alertmanager"} <= {row["name"] for row in rows}
