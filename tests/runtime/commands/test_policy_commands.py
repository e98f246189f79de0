"""`policy apply|reload|list|show|diff` as a person calls them, with a gateway that answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml
from typer.testing import CliRunner

from domain.policy import Policy
from runtime.commands import policy_rule
from runtime.commands.policy import app
from runtime.policy_file import load_policy

DEFAULT = Path(__file__).parents[3] / "content/policy/default.yaml"
DEMO = DEFAULT.parent / "demo.yaml"
HISTORY = [{"hash": "a" * 16, "since": "2026-03-10T14:00:00Z", "until": None, "by": "ada",
            "source": "mine.yaml"}]  # fmt: skip


class Gateway:
    """Answers as the contract says; `open_incidents` by id with the refusal of each, or None."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.open_incidents: dict[str, tuple[str, str] | None] = {}
        self.applied: list[dict[str, Any]] = []

    def client(self, _: Path) -> httpx2.Client:
        return httpx2.Client(
            transport=httpx2.MockTransport(self.answer), base_url="http://gateway.example"
        )

    def answer(self, request: httpx2.Request) -> httpx2.Response:
        path = request.url.path
        if path == "/api/maintenances":
            assert request.url.params["open"] == "true"
            ids = [i for i in self.open_incidents if i.startswith("mnt_")]
            return httpx2.Response(200, json={"items": [{"id": i} for i in ids], "next": None})
        if path == "/api/incidents":
            if "prefix" in request.url.params:
                prefix = request.url.params["prefix"]
                named = [{"id": i} for i in self.open_incidents if i.startswith(prefix)]
                return httpx2.Response(200, json={"items": named, "next": None})
            second = request.url.params.get("cursor") == "2"
            ids = [i for i in self.open_incidents if i.startswith("inc_")]
            page = ids[1:] if second else ids[:1]
            following = "2" if not second and len(ids) > 1 else None
            return httpx2.Response(200, json={"items": [{"id": i} for i in page],
                                              "next": following})  # fmt: skip
        if path.startswith("/api/incidents/"):
            refused = self.open_incidents[path.split("/")[3]]
            if refused is None:
                return httpx2.Response(200, json={"hash": "b" * 16})
            problem = {"type": f"urn:forewarn:problem:{refused[0]}", "detail": refused[1]}
            return httpx2.Response(
                409, json=problem, headers={"Content-Type": "application/problem+json"}
            )
        if request.method == "POST":
            self.applied.append(json.loads(request.content))
            change = {"path": "approval.remind_after", "old": "5m", "new": "15s"}
            return httpx2.Response(200, json={"hash": "b" * 16, "previous": "a" * 16,
                                              "changed": True, "changes": [change]})  # fmt: skip
        whole = {"hash": self.policy.hash, "policy": self.policy.model_dump(mode="json")}
        return httpx2.Response(200, json=whole | {"history": HISTORY})


@pytest.fixture
def gateway(policy: Policy, monkeypatch: pytest.MonkeyPatch) -> Gateway:
    made = Gateway(policy)
    monkeypatch.setattr(policy_rule, "open_gateway", made.client)
    return made


def run(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, list(arguments))
    return result.exit_code, result.stdout, result.stderr


def test_apply_sends_the_whole_file_and_says_what_changes(gateway: Gateway) -> None:
    code, out, _ = run("apply", str(DEMO))
    assert code == 0
    assert "is in force (before: aaaaaaaaaaaaaaaa)" in out and "approval.remind_after" in out
    (sent,) = gateway.applied
    assert Policy.model_validate(sent["policy"]) == load_policy(DEMO), "with what it extends"
    assert sent["source"] == "demo.yaml"


def test_a_wrong_file_never_leaves(gateway: Gateway, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("version: 2\n")
    code, _, err = run("apply", str(wrong))
    assert code == 1 and "version: got 2; allowed: 1" in err
    assert gateway.applied == []


def test_one_refusal_keeps_nobody_else_from_being_asked(gateway: Gateway) -> None:
    gateway.open_incidents = {
        "inc_a": ("unfit_policy", "this policy cannot rule it: it has no component 'x'"),
        "inc_b": None,
        "inc_c": ("same_policy", "the policy rules it already"),
        "mnt_d": None,
    }
    code, out, err = run("reload", "--all-open", "--json")
    results = [(row["incident"], row["result"]) for row in json.loads(out)]
    assert results == [
        ("inc_a", "refused"), ("inc_b", "adopted"), ("inc_c", "already"), ("mnt_d", "adopted"),
    ]  # fmt: skip
    assert code == 1 and "inc_a: this policy cannot rule it" in err
    assert run("reload", "inc_b")[0] == 0


def test_reload_wants_one_or_all(gateway: Gateway) -> None:
    assert run("reload")[0] == 2
    assert run("reload", "inc_a", "--all-open")[0] == 2
    assert run("reload", "--all-open")[1].strip() == "no incident or maintenance is open"


def test_what_ruled_is_listed(gateway: Gateway) -> None:
    assert json.loads(run("list", "--json")[1]) == HISTORY
    assert "ada" in run("list")[1]


def test_what_is_shown_can_be_applied_again(gateway: Gateway, tmp_path: Path) -> None:
    file = tmp_path / "shown.yaml"
    file.write_text(run("show")[1], "utf-8")
    assert load_policy(file) == gateway.policy
    assert yaml.safe_load(file.read_text("utf-8"))["company"]["name"] == "Acme Cloud"


def test_differences_between_files_and_what_rules(gateway: Gateway) -> None:
    found = json.loads(run("diff", str(DEFAULT), str(DEMO), "--json")[1])
    assert {"path": "grouping.window", "old": "30m", "new": "1m"} in found
    assert run("diff", "active", str(DEFAULT))[1].strip() == "no difference"
    assert "grouping.window" in run("diff", gateway.policy.hash, str(DEMO))[1]
