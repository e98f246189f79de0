"""The Messages API as it is really called, and every way in which it may fail."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import ValidationError

from adapters.drafters.claude import Claude, ClaudeSettings, Reply
from domain.errors import Permanent, Transient, Unreachable
from tests.adapters.drafters.claude_world import settings
from tests.adapters.drafters.fake_claude import KEY, SPEC, FakeClaude, Say, claude_server, failing

SCHEMA = {"type": "object", "properties": {}, "additionalProperties": False}
SYSTEM = ("the rules", "<house>\n{}\n</house>")


@pytest.fixture
def api() -> Iterator[FakeClaude]:
    with claude_server() as fake:
        fake.answer = lambda asked: Say({"x": 1})
        yield fake


async def ask(api: FakeClaude, **changes: object) -> Reply:
    claude = Claude(settings(api, **changes))
    try:
        return await claude.ask(SYSTEM, ("<facts>\n{}\n</facts>",), SCHEMA)
    finally:
        await claude.aclose()


async def test_a_question_is_by_the_book(api: FakeClaude) -> None:
    if not api.by_the_book:
        pytest.skip(f"the published description is not here: {SPEC}")
    reply = await ask(api)
    assert json.loads(reply.text) == {"x": 1}
    assert (reply.usage.read, reply.usage.written) == (2900, 1200)
    assert api.wrong == []


async def test_a_question_asks_for_structured_output_and_caches_what_is_fixed(
    api: FakeClaude,
) -> None:
    await ask(api, model="claude-opus-5-5")
    body = api.asked[0].body
    assert body["model"] == "claude-opus-5-5"
    assert body["output_config"]["format"] == {"type": "json_schema", "schema": SCHEMA}
    assert [part["text"] for part in body["system"]] == list(SYSTEM)
    assert all(part["cache_control"]["type"] == "ephemeral" for part in body["system"])
    assert "cache_control" not in str(body["messages"])


@pytest.mark.parametrize(
    ("status", "kind", "error", "calls"),
    [
        (401, "authentication_error", Permanent, 1),
        (400, "invalid_request_error", Permanent, 1),
        (404, "not_found_error", Permanent, 1),
        (429, "rate_limit_error", Transient, 2),
        (500, "api_error", Transient, 2),
        (529, "overloaded_error", Transient, 2),
    ],
)
async def test_a_failure_is_judged_by_its_status_and_never_repeated(
    api: FakeClaude, status: int, kind: str, error: type[Exception], calls: int
) -> None:
    api.answer = lambda asked: failing(status, kind)
    with pytest.raises(error) as caught:
        await ask(api)
    assert str(caught.value) == f"Claude answered {status}"
    assert KEY not in repr(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
    assert len(api.asked) == calls


@pytest.mark.parametrize(
    "raw",
    ["<html>busy</html>", "[]", '"yes"', "{}", '{"content": 7, "usage": {}}', "{nope"],
)
async def test_an_answer_in_another_form_may_pass_and_is_not_repeated(
    api: FakeClaude, raw: str
) -> None:
    api.answer = lambda asked: Say(raw=raw)
    with pytest.raises(Transient) as caught:
        await ask(api)
    assert "busy" not in str(caught.value)


async def test_a_slow_answer_is_given_up(api: FakeClaude) -> None:
    api.answer = lambda asked: Say({"x": 1}, after=1.0)
    with pytest.raises(Unreachable):
        await ask(api, timeout=0.2)


async def test_an_address_where_nobody_listens() -> None:
    with claude_server() as gone:
        url = gone.url
    claude = Claude(ClaudeSettings.model_validate({"api_key": KEY, "base_url": url}))
    with pytest.raises(Unreachable):
        await claude.ask(SYSTEM, ("x",), SCHEMA)
    await claude.aclose()


async def test_what_the_api_adds_one_day_does_no_harm(api: FakeClaude) -> None:
    api.answer = lambda asked: Say(
        {"x": 1},
        extra={
            "mood": "sunny",
            "content": [
                {"type": "thinking", "thinking": "hm", "signature": "s"},
                {"type": "hologram", "layers": [1]},
                {"type": "text", "text": '{"x": 2}', "citations": None, "tone": 3},
            ],
        },
    )
    assert json.loads((await ask(api)).text) == {"x": 2}


async def test_the_check_asks_for_the_model_and_writes_nothing(api: FakeClaude) -> None:
    assert await Claude(settings(api)).check() == "claude-sonnet-5-5 may be used"
    with pytest.raises(Permanent, match="404"):
        await Claude(settings(api, model="claude-1")).check()
    assert api.asked == []


async def test_without_a_key_nothing_is_asked(api: FakeClaude) -> None:
    with pytest.raises(Permanent, match="ANTHROPIC_API_KEY"):
        await ask(api, api_key="  ")
    assert api.asked == []


def test_settings_come_from_their_variables(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    monkeypatch.setenv("ANTHROPIC_BASE_URL", "http://127.0.0.1:9/")
    monkeypatch.setenv("ANTHROPIC_MODEL", "claude-haiku-5-5")
    monkeypatch.setenv("ANTHROPIC_TIMEOUT", "7.5")
    found = ClaudeSettings()
    assert (found.base_url, found.model, found.timeout) == (
        "http://127.0.0.1:9", "claude-haiku-5-5", 7.5,
    )  # fmt: skip
    assert KEY not in repr(found)


@pytest.mark.parametrize(
    ("field", "value"),
    [("timeout", 0), ("timeout", 91), ("budget_per_incident", -1), ("base_url", "api.example"),
     ("model", " ")],
)  # fmt: skip
def test_a_wrong_setting_is_refused(field: str, value: object) -> None:
    with pytest.raises(ValidationError, match=field):
        ClaudeSettings.model_validate({field: value})
