"""A wrong setting is one clear line that never shows a secret."""

from pathlib import Path

import pytest

from runtime.settings import load_settings, mask_password, sqlalchemy_url

KEY = "k" * 32
URL = "postgresql://user:pa55word@127.0.0.1:5432/forewarn"


@pytest.fixture(autouse=True)
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with a policy file and without a .env, and right settings to break."""
    monkeypatch.chdir(tmp_path)
    for name in ("FOREWARN_DRY_RUN", "FOREWARN_PUBLIC_URL"):
        monkeypatch.delenv(name, raising=False)
    policy = tmp_path / "policy.yaml"
    policy.write_text("{}")
    monkeypatch.setenv("DATABASE_URL", URL)
    monkeypatch.setenv("FOREWARN_SECRET_KEY", KEY)
    monkeypatch.setenv("FOREWARN_POLICY", str(policy))
    return tmp_path


def test_libpq_address_becomes_the_psycopg_one() -> None:
    settings = load_settings()
    assert settings.sqlalchemy_url == URL.replace("postgresql:", "postgresql+psycopg:")
    assert "pa55word" not in repr(settings)
    assert settings.dry_run is False


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("FOREWARN_DRY_RUN", "maybe", "FOREWARN_DRY_RUN: value 'maybe' not allowed; allowed: true"),
        ("FOREWARN_PUBLIC_URL", "status.acme.example", "allowed: an http:// or https:// address"),
        ("FOREWARN_POLICY", "gone.yaml", "FOREWARN_POLICY: value 'gone.yaml' not allowed"),
        ("DATABASE_URL", "mysql://u:s3cret-pw@db/x", "'mysql://u:********@db/x' not allowed"),
        ("FOREWARN_SECRET_KEY", "s3cret-pw", "FOREWARN_SECRET_KEY: value (hidden) not allowed"),
    ],
)
def test_wrong_value_is_one_line_and_code_2(
    name: str,
    value: str,
    expected: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as ended:
        load_settings()
    shown = capsys.readouterr().err
    assert ended.value.code == 2
    assert expected in shown
    assert shown.startswith(f"{name}: ")
    assert shown.count("\n") == 1
    assert "s3cret-pw" not in shown


def test_missing_values_are_named_one_line_each(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("DATABASE_URL")
    monkeypatch.delenv("FOREWARN_SECRET_KEY")
    with pytest.raises(SystemExit):
        load_settings()
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition(":")[0] for line in lines] == ["DATABASE_URL", "FOREWARN_SECRET_KEY"]
    assert all("value missing" in line for line in lines)


def test_env_file_is_read_and_the_environment_wins(
    workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (workplace / ".env").write_text(
        "FOREWARN_DRY_RUN=true\nDATABASE_URL=postgresql://other@db/name\nUNKNOWN=1\n"
    )
    settings = load_settings()
    assert settings.dry_run is True
    assert settings.database_url.get_secret_value() == URL


def test_password_is_hidden_in_addresses() -> None:
    assert mask_password(URL) == "postgresql://user:********@127.0.0.1:5432/forewarn"
    with pytest.raises(ValueError, match="DATABASE_URL") as refused:
        sqlalchemy_url("mysql://u:s3cret-pw@db/x")
    assert "s3cret-pw" not in str(refused.value)
