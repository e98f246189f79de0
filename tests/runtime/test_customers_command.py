from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from runtime.commands.customers import app


@pytest.fixture
def database(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", database_url)


def run(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, list(arguments))
    return result.exit_code, result.stdout, result.stderr


@pytest.mark.usefixtures("database")
def test_import_then_audience(tmp_path: Path) -> None:
    file = tmp_path / "customers.csv"
    file.write_text(
        "account_id,contact_id,email,features,region\n"
        "a1,c1,ada@example.com,payments,eu\na2,c2,ben@example.com,payments,us\n"
    )
    code, out, _ = run("import", str(file), "--json")
    assert code == 0
    assert json.loads(out)["contacts"] == 2
    code, out, _ = run("audience", "--component", "payments", "--region", "eu", "--json")
    summary = json.loads(out)
    assert (code, summary["recipients"], summary["exclusions"]) == (0, 1, {"region us": 1})
    code, out, _ = run("audience", "--component", "payments")
    assert code == 0
    assert "a***@example.com" in out
    assert "ada@" not in out


@pytest.mark.usefixtures("database")
def test_each_fault_is_a_line_on_stderr(tmp_path: Path) -> None:
    file = tmp_path / "customers.csv"
    file.write_text("account_id,contact_id,email,plan\na1,c1,nobody,gold\n")
    code, out, err = run("import", str(file))
    assert (code, out) == (1, "")
    assert err.splitlines() == [
        "line 2, column email: 'nobody'; allowed: one e-mail address such as ada@example.com",
        "line 2, column plan: 'gold'; allowed: free, pro, enterprise",
        "bad rows: 1; nothing was imported",
    ]
    code, out, err = run("import", str(tmp_path / "none.csv"))
    assert code == 1
    assert err.count("\n") == 1
    code, out, err = run("audience", "--component", "paymnts")
    assert code == 1
    assert "payments" in err
