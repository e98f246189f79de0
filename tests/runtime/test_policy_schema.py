"""The editors' schema follows the models, and tells a right file from a wrong one."""

from __future__ import annotations

import importlib
import json
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from runtime.commands.policy import app
from runtime.policy_schema import PATH, RENEW, policy_schema, policy_schema_text

POLICIES = PATH.parent


# Part of the development lock through other packages, without annotations of its own.
VALIDATOR: Any = importlib.import_module("jsonschema").Draft202012Validator


def faults(content: Any) -> list[str]:
    validator = VALIDATOR(policy_schema())
    return [".".join(str(p) for p in e.absolute_path) for e in validator.iter_errors(content)]


def shipped(name: str) -> Any:
    return yaml.safe_load((POLICIES / name).read_text("utf-8"))


def test_the_file_is_what_the_models_say() -> None:
    assert PATH.read_text("utf-8") == policy_schema_text(), f"out of date; renew it: {RENEW}"


@pytest.mark.parametrize("name", ["default.yaml", "demo.yaml"])
def test_the_shipped_policies_are_valid_and_name_it(name: str) -> None:
    first = (POLICIES / name).read_text("utf-8").splitlines()[0]
    assert first == "# yaml-language-server: $schema=schema.json"
    assert faults(shipped(name)) == []


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"approval": {"remind_after": "soon"}}, "approval.remind_after"),
        ({"approval": {"remind_after": 30}}, "approval.remind_after"),
        ({"severities": {"P1": {"update_every": "half an hour"}}}, "severities.P1.update_every"),
        ({"severities": {"P9": {}}}, "severities"),
        ({"gates": [{"gate": "maybe"}]}, "gates.0.gate"),
        ({"gates": [{"holding": True}]}, "gates.0"),
        ({"aproval": {}}, ""),
        ({"routes": [{"severities": ["P1"], "moments": ["start"], "channels": []}]}, "routes.0"),
    ],
)
def test_a_slip_is_underlined_while_one_types(change: dict[str, Any], where: str) -> None:
    found = faults({"extends": "default.yaml", **change})
    assert any(path.startswith(where) for path in found), found


def test_a_file_on_top_of_another_may_give_a_part() -> None:
    part = {"extends": "default.yaml", "severities": {"P1": {"update_every": "1h30m"}}}
    assert faults(part) == []


def test_the_command_prints_it() -> None:
    said = CliRunner().invoke(app, ["schema"])
    assert json.loads(said.stdout) == policy_schema()


def test_durations_are_explained_where_they_are_asked_for() -> None:
    duration = policy_schema()["$defs"]["Duration"]
    assert "30m" in duration["examples"]
