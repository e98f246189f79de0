"""The commands about keys, retention and erasure, as a person or a script calls them."""

from __future__ import annotations

import json
from pathlib import Path

import psycopg
import pytest
from typer.testing import CliRunner

from runtime.commands import customers, keys, retention
from runtime.payload_keys import KEY_BYTES, read_keys

APPS = {"customers": customers.app, "keys": keys.app, "retention": retention.app}
HEADER = "account_id,contact_id,email,contact_name\n"


@pytest.fixture(autouse=True)
def workplace(database_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("FOREWARN_SECRET_KEY", "k" * 32)
    monkeypatch.delenv("FOREWARN_ERASURE_KEY", raising=False)
    return database_url


def run(command: str, *arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(APPS[command], list(arguments))
    return result.exit_code, result.stdout, result.stderr


def imported(tmp_path: Path, *lines: str, options: tuple[str, ...] = ()) -> dict[str, object]:
    file = tmp_path / "customers.csv"
    file.write_text(HEADER + "".join(f"{line}\n" for line in lines))
    code, out, err = run("customers", "import", str(file), "--json", *options)
    assert code == 0, err
    found: dict[str, object] = json.loads(out)
    return found


def test_a_generated_entry_is_a_key_and_never_the_same() -> None:
    code, out, _ = run("keys", "generate", "--json")
    made = json.loads(out)
    [key] = read_keys(made["entry"])
    assert (code, key.id, len(key.secret)) == (0, made["id"], KEY_BYTES)
    _, line, _ = run("keys", "generate", "--id", "other")
    assert read_keys(line.strip())[0].id == "other"
    assert line != run("keys", "generate", "--id", "other")[1]


def test_a_bad_id_is_a_wrong_call() -> None:
    code, out, err = run("keys", "generate", "--id", "a,b")
    assert (code, out) == (2, "") and "letters, digits" in err


def test_the_help_teaches_rotation() -> None:
    _, out, _ = run("keys", "generate", "--help")
    assert "Rotation" in out and "FOREWARN_PAYLOAD_KEYS" in out


def test_retention_counts_first_and_then_does_it(workplace: str) -> None:
    with psycopg.connect(workplace) as connection:
        connection.execute(
            "INSERT INTO idempotency (key, actor, request_hash, created_at)"
            " VALUES ('k', 'a', 'h', now() - interval '8 days')"
        )
    counted = json.loads(run("retention", "run", "--dry-run", "--json")[1])
    done = json.loads(run("retention", "run", "--json")[1])
    assert counted["dry_run"] and not done["dry_run"]
    for report in (counted, done):
        lines = {line["table"]: line for line in report["lines"]}
        assert lines["idempotency"]["rows"] == 1 and lines["idempotency"]["older_than"] == "1w"
    code, out, _ = run("retention", "run", "--dry-run")
    assert code == 0 and "0 rows would go" in out


def test_erase_asks_unless_told_and_says_nothing_of_the_person(tmp_path: Path) -> None:
    imported(tmp_path, "a1,c1,ada@example.com,Ada Lovelace", "a1,c2,ben@example.com,Ben Bitdiddle")
    code, _, err = run("customers", "erase", "c1")
    assert code == 2 and "--yes" in err
    code, out, err = run("customers", "erase", "ada@example.com", "--yes", "--json")
    assert code == 0, err
    assert json.loads(out)["contacts"] == 1
    assert "ada" not in (out + err).lower()
    again = imported(tmp_path, "a1,c1,ada@example.com,Ada Lovelace")
    assert (again["contacts"], again["erased"]) == (0, 1)
    back = imported(tmp_path, "a1,c1,ada@example.com,Ada Lovelace", options=("--readmit-erased",))
    assert (back["contacts"], back["readmitted"]) == (1, 1)


def test_an_unknown_person_is_one_line_and_code_1() -> None:
    code, out, err = run("customers", "erase", "nobody@example.com", "--yes")
    assert (code, out) == (1, "")
    assert err == "no contact with this id or e-mail address; nothing was changed\n"


def test_without_its_key_nobody_is_erased_and_erased_people_are_not_taken_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    imported(tmp_path, "a1,c1,ada@example.com,Ada Lovelace", "a1,c2,ben@example.com,Ben Bitdiddle")
    assert run("customers", "erase", "c1", "--yes")[0] == 0
    monkeypatch.setenv("FOREWARN_SECRET_KEY", "another secret key that is long enough")
    file = tmp_path / "customers.csv"
    code, _, err = run("customers", "import", str(file))
    assert code == 1 and "FOREWARN_ERASURE_KEY" in err
    monkeypatch.setenv("FOREWARN_ERASURE_KEY", "k" * 32)
    assert imported(tmp_path, "a1,c1,ada@example.com,Ada Lovelace")["erased"] == 1
    monkeypatch.delenv("FOREWARN_ERASURE_KEY")
    monkeypatch.delenv("FOREWARN_SECRET_KEY")
    code, _, err = run("customers", "erase", "c2", "--yes")
    assert code == 1 and err.startswith("FOREWARN_SECRET_KEY: value missing")
