"""What holds for every adapter that the registry finds."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import SecretStr

from adapters import registry
from adapters.base import AdapterSpec, MonitorSettings
from domain.errors import BadInput, Unauthorized

ADAPTERS = registry.all_adapters()
MONITORS = registry.monitors()
SECRET = SecretStr("correct horse battery staple")
TESTS = Path(__file__).parent


def name_of(spec: AdapterSpec) -> str:
    return f"{spec.kind}-{spec.name}"


def test_the_first_monitors_are_there() -> None:
    assert {"pagerduty", "alertmanager", "generic"} <= {spec.name for spec in MONITORS}
    assert registry.get("monitor", "generic").summary
    with pytest.raises(KeyError, match="pagerduty"):
        registry.get("monitor", "nagios")


def test_duplicates_are_refused() -> None:
    spec = ADAPTERS[0]
    with pytest.raises(registry.DuplicateAdapter, match=r"one\.py.*two\.py"):
        registry.collect([("one.py", spec), ("two.py", replace(spec))])
    with pytest.raises(ValueError, match="allowed"):
        registry.collect([("one.py", replace(spec, kind="pigeon"))])


@pytest.mark.parametrize("spec", ADAPTERS, ids=name_of)
def test_every_adapter_is_complete(spec: AdapterSpec) -> None:
    assert spec.roles
    assert spec.summary
    if spec.settings.model_fields:
        assert spec.settings.model_config.get("env_prefix"), "settings need their own prefix"
        assert spec.settings.model_config.get("frozen")
    module = registry.modules()[(spec.kind, spec.name)]
    _, folder, leaf = module.split(".")
    assert list((TESTS / folder).glob(f"test_*{leaf}.py")), "every adapter has a test file"


def test_prefixes_are_not_shared() -> None:
    classes = {spec.settings for spec in ADAPTERS if spec.settings.model_fields}
    prefixes = {settings.model_config.get("env_prefix") for settings in classes}
    assert len(prefixes) == len(classes)


@pytest.mark.parametrize("spec", ADAPTERS, ids=name_of)
def test_secrets_are_not_shown(spec: AdapterSpec) -> None:
    words = ("secret", "password", "token", "api_key")
    for name, field in spec.settings.model_fields.items():
        if any(word in name for word in words):
            assert "SecretStr" in str(field.annotation), f"{name} would show in logs and errors"


@pytest.mark.parametrize("spec", MONITORS, ids=name_of)
def test_monitor_secret_comes_from_its_variable(
    spec: AdapterSpec, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    variable = f"{spec.name.upper()}_WEBHOOK_SECRET"
    found: list[str | None] = []
    for value in ("s3cret", "", "   "):
        monkeypatch.setenv(variable, value)
        settings = spec.settings()
        assert isinstance(settings, MonitorSettings)
        secret = settings.webhook_secret
        found.append(secret.get_secret_value() if secret else None)
    assert found == ["s3cret", None, None]


@pytest.mark.parametrize("spec", MONITORS, ids=name_of)
def test_monitor_accepts_what_it_signs_and_nothing_else(spec: AdapterSpec) -> None:
    monitor = spec.build(spec.settings())
    assert monitor.name == spec.name
    body = b'{"some": "body"}'
    monitor.verify(monitor.sign(body, SECRET), body, SECRET)
    nothing: dict[str, str] = {}
    for headers in (nothing, monitor.sign(body, SecretStr("another"))):
        with pytest.raises(Unauthorized) as caught:
            monitor.verify(headers, body, SECRET)
        assert SECRET.get_secret_value() not in str(caught.value)


@pytest.mark.parametrize("spec", MONITORS, ids=name_of)
@pytest.mark.parametrize(
    "body",
    [b"", b"\x00", b"null", b"[" * 50_000, b"\xef\xbb\xbf", json.dumps("x" * 999).encode()],
    ids=range(6),
)
def test_monitor_refuses_nonsense_in_words(spec: AdapterSpec, body: bytes) -> None:
    with pytest.raises(BadInput) as caught:
        spec.build(spec.settings()).parse(body)
    assert all(error.allowed and len(str(error.value)) <= 200 for error in caught.value.errors)
