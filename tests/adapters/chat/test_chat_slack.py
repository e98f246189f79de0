"""Slack's Web API: errors told apart, signatures checked, the token never shown."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import SecretStr, ValidationError

from adapters.chat.slack import Slack, SlackSettings, sign
from domain.card import Reply
from domain.errors import Permanent, Transient, Unauthorized
from runtime.settings import explain
from tests.adapters.chat.fake_slack import CHANNEL, SPEC, TOKEN, FakeSlack, Say, fake_slack

NOW = datetime(2026, 3, 10, 14, 0, tzinfo=UTC)
SECRET = SecretStr("8f742231b10e8888abcd99yyyzzz85a5")
REPLY = Reply(
    key="note/1", under=None, kind="reminded", incident_id="inc_1", title="Payments fail",
    url="http://status.example/console/incidents/inc_1", version=1, asked="on-call manager",
)  # fmt: skip


@pytest.fixture
def api() -> Iterator[FakeSlack]:
    with fake_slack() as slack:
        yield slack


def client(api: FakeSlack, **settings: object) -> Slack:
    values: dict[str, object] = {
        "bot_token": TOKEN, "signing_secret": SECRET, "approval_channel": CHANNEL,
        "base_url": api.url, "timeout": 5,
    }  # fmt: skip
    return Slack(SlackSettings.model_validate(values | settings))


def test_the_published_description_stands_beside_us() -> None:
    if not SPEC.exists():
        pytest.skip(f"{SPEC} is not here: arguments are not held against Slack's description")


async def test_posts_replies_changes_and_answers(api: FakeSlack) -> None:
    slack = client(api)
    place, message = await slack.post(REPLY, None)
    assert place == CHANNEL
    assert api.messages[message]["text"].startswith("*Payments fail*")
    await slack.post(REPLY.model_copy(update={"under": "draft/1"}), message)
    assert api.calls[-1][1]["thread_ts"] == message
    assert await slack.update(REPLY, place, message)
    assert not await slack.update(REPLY, place, "1.1"), "a deleted message is no error"
    await slack.tell("U0ADA", CHANNEL, "no")
    assert api.ephemeral == [{"channel": CHANNEL, "user": "U0ADA", "text": "no"}]


async def test_answers_directly_where_the_app_is_not_in_the_channel(api: FakeSlack) -> None:
    api.absent_from.add("C0ELSE")
    await client(api).tell("U0ADA", "C0ELSE", "no")
    assert [m["channel"] for m in api.messages.values()] == ["U0ADA"]


@pytest.mark.parametrize(
    ("said", "wait"),
    [
        (Say(429, '{"ok": false, "error": "ratelimited"}', {"Retry-After": "17"}), 17.0),
        (Say(429, "slow down", {"Retry-After": "soon"}), 30.0),
        (Say(500, "<html>oops</html>"), None),
        (Say(503, "", {"Retry-After": "4"}), 4.0),
        (Say(200, '{"ok": false, "error": "internal_error"}'), 30.0),
        (Say(200, "<html>a proxy</html>"), None),
        (Say(200, "[]"), None),
    ],
)
async def test_what_may_pass_is_transient(api: FakeSlack, said: Say, wait: float | None) -> None:
    api.next = [said]
    with pytest.raises(Transient) as caught:
        await client(api).post(REPLY, None)
    assert caught.value.retry_after == wait
    assert len(api.calls) == 1, "whoever calls retries, not the client"


@pytest.mark.parametrize(
    "said",
    [
        Say(200, '{"ok": false, "error": "channel_not_found"}'),
        Say(200, '{"ok": false, "error": "invalid_auth"}'),
        Say(404, "nothing here"),
        Say(403, '{"ok": false, "error": "forbidden"}'),
    ],
)
async def test_what_will_not_pass_is_permanent(api: FakeSlack, said: Say) -> None:
    api.next = [said]
    with pytest.raises(Permanent):
        await client(api).post(REPLY, None)


async def test_silence_ends_after_the_timeout(api: FakeSlack) -> None:
    api.next = [Say(after=3)]
    began = time.monotonic()
    with pytest.raises(Transient):
        await client(api, timeout=1).post(REPLY, None)
    assert time.monotonic() - began < 2.5


async def test_nobody_there_is_transient() -> None:
    with fake_slack() as gone:
        pass
    with pytest.raises(Transient):
        await client(gone).check()


async def test_check_names_the_app_and_changes_nothing(api: FakeSlack) -> None:
    assert await client(api).check() == "forewarn in Acme"
    assert api.methods() == ["auth.test"]
    with pytest.raises(Permanent, match="invalid_auth"):
        await client(api, bot_token="xoxb-wrong").check()
    with pytest.raises(Permanent, match="SLACK_BOT_TOKEN"):
        await client(api, bot_token=None, approval_channel=None).check()


async def test_the_token_is_in_no_error_and_no_log(
    api: FakeSlack, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    said = [Say(500, TOKEN), Say(200, f'{{"ok": false, "error": "{TOKEN}"}}'), Say(429, TOKEN)]
    slack = client(api)
    for answer in said:
        api.next = [answer]
        with pytest.raises((Transient, Permanent)) as caught:
            await slack.post(REPLY, None)
        shown = repr(caught.value) + str(caught.value.__cause__) + str(caught.value.__context__)
        assert TOKEN not in shown
    assert TOKEN not in caplog.text
    assert SECRET.get_secret_value() not in caplog.text
    assert TOKEN not in repr(slack.__dict__)


def test_signature_is_slacks_own_example() -> None:
    # https://docs.slack.dev/authentication/verifying-requests-from-slack
    body = (
        b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow"
        b"&channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner"
        b"&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands"
        b"%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN"
        b"&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"
    )
    expected = "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"
    assert sign(SECRET, "1531420618", body) == expected


def signed(at: datetime, body: bytes, secret: SecretStr = SECRET) -> dict[str, str]:
    stamp = str(int(at.timestamp()))
    return {"X-Slack-Request-Timestamp": stamp, "X-Slack-Signature": sign(secret, stamp, body)}


def test_signatures_are_checked(api: FakeSlack) -> None:
    slack, body = client(api), b"payload=%7B%7D"
    for offset in (0, 299, -299):
        slack.verify(signed(NOW + timedelta(seconds=offset), body), body, NOW)
    good = signed(NOW, body)
    wrong = [
        {},
        signed(NOW, body, SecretStr("another")),
        signed(NOW - timedelta(seconds=301), body),
        signed(NOW + timedelta(seconds=301), body),
        good | {"X-Slack-Signature": ""},
        good | {"X-Slack-Signature": good["X-Slack-Signature"].removeprefix("v0=")},
        good | {"X-Slack-Request-Timestamp": "soon"},
        good | {"X-Slack-Request-Timestamp": "²"},
        good | {"X-Slack-Request-Timestamp": str(int(NOW.timestamp()) + 1)},
    ]
    for headers in wrong:
        with pytest.raises(Unauthorized) as caught:
            slack.verify(headers, body, NOW)
        assert SECRET.get_secret_value() not in str(caught.value)
    with pytest.raises(Unauthorized):
        slack.verify(good, body + b"x", NOW)
    with pytest.raises(Unauthorized):
        client(api, signing_secret=None, approval_channel=None).verify(good, body, NOW)
    with pytest.raises(Unauthorized):
        blank = client(api, signing_secret="  ", approval_channel=None)
        blank.verify(signed(NOW, body, SecretStr("  ")), body, NOW)


@pytest.mark.parametrize("missing", ["bot_token", "signing_secret"])
def test_a_channel_alone_is_refused(missing: str) -> None:
    given: dict[str, object] = {
        "bot_token": TOKEN, "signing_secret": SECRET, "approval_channel": CHANNEL, missing: " ",
    }  # fmt: skip
    with pytest.raises(ValidationError) as caught:
        SlackSettings.model_validate(given)
    (line,) = explain(SlackSettings, caught.value)
    assert line == (
        f"SLACK_APPROVAL_CHANNEL: value '{CHANNEL}' not allowed; "
        f"allowed: a channel's id together with SLACK_{missing.upper()}"
    )


async def test_a_war_room_is_opened_once_and_people_are_invited(api: FakeSlack) -> None:
    slack = client(api)
    for name in ("general", "random", "inc-0"):
        api.rooms[name] = f"C0{name}"
    link = await slack.open_room("inc-1", "https://status.example/console/incidents/inc_1", ["U0A"])
    again = await slack.open_room("inc-1", "https://status.example/c", ["U0A", "U0B"])
    assert link == again and link.endswith(api.rooms["inc-1"])
    assert api.members[api.rooms["inc-1"]] == ["U0A", "U0B"]
    assert api.wrong == []


async def test_a_room_that_cannot_be_opened_is_refused_for_good(api: FakeSlack) -> None:
    api.next = [Say(200, '{"ok": false, "error": "missing_scope"}')]
    with pytest.raises(Permanent, match="missing_scope"):
        await client(api).open_room("inc-1", "x", [])


async def test_a_token_alone_suffices_to_open_rooms(api: FakeSlack) -> None:
    assert client(api, approval_channel=None, signing_secret=None).can_open_rooms
    assert not client(api, bot_token=None, approval_channel=None).can_open_rooms
