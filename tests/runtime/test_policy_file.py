from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from domain.errors import BadInput
from domain.message import Channel, Moment
from domain.policy_check import gate_table
from domain.policy_gaps import gaps
from domain.signal import Severity
from runtime.commands.policy import app
from runtime.policy_file import load_policy

DEFAULT = Path(__file__).parents[2] / "content/policy/default.yaml"


def changed(tmp_path: Path, old: str, new: str) -> Path:
    content = DEFAULT.read_text(encoding="utf-8")
    assert old in content
    path = tmp_path / "policy.yaml"
    path.write_text(content.replace(old, new, 1), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ("  window: 30m", "  window: 30", "grouping.window: got 30; allowed: a duration like"),
        (
            "  stable_for",
            "  stable_fr",
            "resolution.stable_fr: got an unknown key; allowed: correct",
        ),
        ("  stable_for: 10m\n", "", "resolution.stable_for: got nothing; allowed: a value"),
        ("share_over: 0.25", "share_over: 7", "classify.2.when.share_over: got 7; allowed: less"),
        ("share_over: 0.25", "share_ovr: 7", "allowed: categories, components,"),
        ("severity: P2, reason", "severity: P9, reason", "got 'P9'; allowed: 'P1', 'P2'"),
        ("depends_on: [payments]", "depends_on: [paymnts]", "paymnts"),
        ("{email: 1000,", "{email: 0,", "delivery.rate_per_minute.email: got 0; allowed:"),
        ("sms_segments: [enterprise]", "sms_segments: [big]", "got big; allowed: enterprise, mid"),
        ("has_regions: true", "title_matches: '('", "a regular expression"),
        ("when: {has_regions: true}", "when: {regions: [mars]}", "got mars; allowed: apac, eu, us"),
        ("on_silence: escalate}", "on_silence: send}", "allowed: hold, escalate"),
        ("version: 1", "version: 1\nversion: 1", "the key 'version' stands here twice"),
        ("version: 1", "version: [1", "column"),
    ],
)
def test_a_wrong_policy_says_where_what_and_what_is_allowed(
    tmp_path: Path, old: str, new: str, line: str
) -> None:
    path = changed(tmp_path, old, new)
    if "{}" in new:
        path.write_text(path.read_text().replace("resolution:\n  {}", "resolution: {}"))
    with pytest.raises(BadInput) as caught:
        load_policy(path)
    assert line in str(caught.value)


def test_an_unreadable_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="nowhere"):
        load_policy(tmp_path / "nowhere.yaml")
    (tmp_path / "latin.yaml").write_bytes(b"version: \xe4")
    with pytest.raises(BadInput, match="byte 10 is not UTF-8"):
        load_policy(tmp_path / "latin.yaml")


def test_yaml_words_like_no_stay_words(tmp_path: Path) -> None:
    policy = load_policy(changed(tmp_path, "locales: [en, de,", "locales: [en, no, de,"))
    assert policy.locales[:3] == ("en", "no", "de")


def test_the_gate_table_is_full_and_nobody_is_told_of_p4_by_mail() -> None:
    table = gate_table(load_policy(DEFAULT))
    cells = [g for moments in table.values() for gates in moments.values() for g in gates.values()]
    assert len(cells) == len(Severity) * len(Moment) * len(Channel)
    assert set(cells) == {"approve", "auto", "none"}
    assert table[Severity.P1][Moment.INITIAL][Channel.EMAIL] == "approve"
    assert table[Severity.P4][Moment.INITIAL][Channel.EMAIL] == "none"


def test_gaps_name_roles_without_people_and_gates_without_rule(tmp_path: Path) -> None:
    empty = load_policy(changed(tmp_path, "commander: [on-call commander]", "commander: []"))
    assert any(finding.startswith("people.roles.commander") for finding in gaps(empty))
    bare = load_policy(changed(tmp_path, "  - {gate: approve, on_silence: escalate}\n", ""))
    assert any(finding.startswith("gates: no rule for P1 initial") for finding in gaps(bare))


def test_check_exits_by_the_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DATABASE_URL", raising=False)
    good = CliRunner().invoke(app, ["check", str(DEFAULT), "--data-dir", str(tmp_path)])
    assert good.exit_code == 0, good.output
    assert "holds together" in good.stdout
    bad = CliRunner().invoke(app, ["check", str(changed(tmp_path, "window: 30m", "window: x"))])
    assert bad.exit_code == 1
    assert bad.stderr.startswith("grouping.window: got 'x'")
    assert bad.stderr.count("\n") == 1
