"""The table that `policy check` proves, and what it says of words and senders."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from adapters.base import AdapterSettings, AdapterSpec
from domain.message import Channel, Moment
from domain.policy import Policy
from domain.signal import Severity
from runtime.commands.policy import app
from runtime.policy_report import cells, complete, unknown_sources, unsendable, words_missing

CONTENT = Path(__file__).parents[2] / "content"
DEFAULT = CONTENT / "policy" / "default.yaml"


def adapter(kind: str, *roles: str) -> AdapterSpec:
    return AdapterSpec("x", kind, AdapterSettings, lambda _: None, roles, "A made-up one.")


def test_every_cell_of_the_shipped_policy_has_gate_and_template_or_none(policy: Policy) -> None:
    table = cells(policy, CONTENT)
    found = [
        (severity, moment, channel, cell["gate"], cell["template"])
        for severity, moments in table.items()
        for moment, channels in moments.items()
        for channel, cell in channels.items()
    ]
    assert len(found) == len(Severity) * len(Moment) * len(Channel)
    for severity, moment, channel, gate, template in found:
        sent = channel in policy.channels(severity, moment)
        assert (gate in ("auto", "approve")) is sent, (severity, moment, channel)
        assert (template == "none") is not sent
        assert template != "missing", f"{moment.value} is sent and a language has no words for it"
    assert complete(table)


def test_a_template_that_one_language_lacks_is_seen(policy: Policy, tmp_path: Path) -> None:
    shutil.copytree(CONTENT / "templates", tmp_path / "templates")
    for folder in ("locales", "pages"):
        shutil.copytree(CONTENT / folder, tmp_path / folder)
    (tmp_path / "templates" / "it" / "update.j2").unlink()
    table = cells(policy, tmp_path)
    assert table[Severity.P1][Moment.UPDATE][Channel.EMAIL]["template"] == "missing"
    assert table[Severity.P1][Moment.UPDATE][Channel.SMS] == {"gate": "none", "template": "none"}
    assert not complete(table)
    assert "words: templates/it: update.j2 is missing" in list(words_missing(policy, tmp_path))


def test_a_language_that_is_only_begun_is_told_in_a_few_lines(policy: Policy) -> None:
    begun = policy.model_copy(update={"locales": (*policy.locales, "sv")})
    lines = list(words_missing(begun, CONTENT))
    assert 0 < len(lines) < 40
    assert any("locales/sv.yaml" in line and line.endswith("more") for line in lines)


def test_channels_that_nothing_here_can_send_on(policy: Policy) -> None:
    able = [adapter(kind, "send") for kind in ("email", "in_app", "status_page", "chat")]
    (line,) = unsendable(policy, [*able, adapter("sms", "check")])
    assert "sms (P1)" in line and "social (P1, P2)" in line and "ticket (P1" in line
    assert "email" not in line and "slack" not in line and "internal" not in line
    kinds = ("sms", "social", "helpdesk")
    assert list(unsendable(policy, [*able, *(adapter(k, "send") for k in kinds)])) == []


def test_a_rule_about_a_monitor_that_is_not_there(policy: Policy) -> None:
    content = policy.model_dump(mode="json")
    rule = {"when": {"sources": ["pagerdutty", "human"]}, "severity": "P1", "reason": "slip"}
    content["classify"].insert(0, rule)
    slipped = Policy.model_validate(content)
    assert list(unknown_sources(slipped, [adapter("monitor", "parse")])) == [
        "classify.0.when.sources: nothing here listens to pagerdutty; there are human, x"
    ]
    assert list(unknown_sources(policy, [])) == []


def test_the_command_says_it_to_people_and_to_programs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DATABASE_URL", raising=False)
    plain = CliRunner().invoke(app, ["check", str(DEFAULT), "--data-dir", str(tmp_path)])
    assert plain.exit_code == 0
    for words in ("to look at", "who lets what out", "P1        initial", "not sent"):
        assert words in plain.stdout
    whole = CliRunner().invoke(app, ["check", str(DEFAULT), "--json", "--data-dir", str(tmp_path)])
    said = json.loads(whole.stdout)
    assert said["valid"] and said["complete"]
    assert said["table"]["P1"]["initial"]["email"] == {
        "gate": "approve",
        "template": "initial.j2",
    }
    assert said["gates"]["P4"]["initial"]["email"] == "none"
    assert all(": " in finding for finding in said["findings"])


def test_markup_of_a_terminal_in_a_name_is_shown_as_it_is(tmp_path: Path) -> None:
    """A role's name is free text: it must not style, or swallow, what the check says."""
    file = tmp_path / "mine.yaml"
    file.write_text(f"extends: {DEFAULT}\npeople: {{roles: {{'[bold]ops[/bold]': []}}}}\n")
    said = CliRunner().invoke(app, ["check", str(file), "--data-dir", str(tmp_path)])
    assert "[bold]ops[/bold]: nobody holds this role" in said.stdout
