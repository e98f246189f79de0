"""Slack: posts cards for approval, changes them, answers people, and checks who is calling."""

from __future__ import annotations

import asyncio
import logging
import math
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from http.client import HTTPException
from typing import Any

from pydantic import Field, SecretStr, ValidationInfo, field_validator
from pydantic_settings import SettingsConfigDict
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError, SlackClientError
from slack_sdk.web import SlackResponse

from adapters.base import AdapterSettings, AdapterSpec, header, hmac_sha256, same
from adapters.chat.cards import Renderer
from adapters.chat.mrkdwn import escape
from adapters.chat.words import card_words
from domain.card import Card, Reply
from domain.errors import Permanent, Transient, Unauthorized

# Slack's own advice against replays: a request older than this is somebody else's.
SIGNATURE_WINDOW = timedelta(minutes=5)
# Codes that mean "not now"; https://docs.slack.dev/reference/methods lists them per method.
_PASSING = frozenset(
    {
        "ratelimited", "rate_limited", "internal_error", "fatal_error", "service_unavailable",
        "request_timeout", "team_added_to_org",
    }
)  # fmt: skip
_GONE = frozenset({"message_not_found", "cant_update_message", "edit_window_closed"})
_NOT_THERE = frozenset({"not_in_channel", "channel_not_found", "user_not_in_channel"})
_IS_THERE = frozenset({"already_in_channel", "cant_invite_self"})
_CHANNEL_LINK = "https://slack.com/app_redirect?channel="
# So many channels, and pages of them, are looked through for one by name.
_PAGE, _PAGES = 1000, 20
_CODE = re.compile(r"[a-z0-9_]{1,60}")
_DIGITS = re.compile(r"[0-9]{1,15}")
_DEFAULT_WAIT = 30.0
# The SDK logs whole messages and answers; what is worth a line is in our own errors. By its level,
# because whoever configures logging later (uvicorn does) enables what was disabled.
_MUTE = logging.getLogger("adapters.chat.slack.sdk")
_MUTE.setLevel(logging.CRITICAL + 1)
_LONGEST_ANSWER = 3000


class SlackSettings(AdapterSettings):
    """A Slack app with the scope `chat:write`, invited to the channel where approvals are asked."""

    model_config = SettingsConfigDict(env_prefix="SLACK_")

    bot_token: SecretStr | None = Field(default=None, description="The app's token, `xoxb-…`.")
    signing_secret: SecretStr | None = Field(
        default=None, description="Slack signs its calls with it; without it nobody is let in."
    )
    approval_channel: str | None = Field(
        default=None,
        description="Id of the channel where approvals are asked, such as C0123ABC. "
        "Unset: they are asked in the console alone.",
    )
    base_url: str = Field(
        default="https://slack.com/api/", description="Address of Slack's Web API."
    )
    timeout: int = Field(default=10, gt=0, description="Seconds that Slack may take.")

    @field_validator("bot_token", "signing_secret")
    @classmethod
    def _blank_is_unset(cls, value: SecretStr | None) -> SecretStr | None:
        # A blank secret would let in whoever signs with a blank one.
        return value if value is not None and value.get_secret_value().strip() else None

    @field_validator("approval_channel")
    @classmethod
    def _can_be_used(cls, value: str | None, info: ValidationInfo) -> str | None:
        # A card that nobody may post, or whose buttons nobody may press, would be missed at night.
        for needed in ("bot_token", "signing_secret"):
            if value and info.data.get(needed) is None:
                raise ValueError(f"a channel's id together with SLACK_{needed.upper()}")
        return value

    @field_validator("base_url")
    @classmethod
    def _is_web_address(cls, value: str) -> str:
        if not value.startswith(("https://", "http://")):
            raise ValueError("an http:// or https:// address")
        return value.rstrip("/") + "/"


class _Answered(Exception):
    """Slack understood the call and said no, with this code."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Slack:
    """Slack's Web API on threads; whoever calls it retries, so it never does by itself.

    Raises Permanent, and Transient with Slack's Retry-After. A call that got no answer in time may
    have been carried out all the same.
    """

    name = "slack"

    def __init__(self, settings: SlackSettings) -> None:
        self._settings = settings
        self._renderer = Renderer(card_words())

    @property
    def can_post(self) -> bool:
        """Whether approvals are asked here: the channel is never set without the rest."""
        return bool(self._settings.approval_channel)

    @property
    def can_open_rooms(self) -> bool:
        """Whether channels can be opened: a token suffices."""
        return self._settings.bot_token is not None

    @property
    def can_verify(self) -> bool:
        """Whether calls from Slack can be told from anybody's."""
        return self._settings.signing_secret is not None

    def verify(self, headers: Mapping[str, str], body: bytes, now: datetime) -> None:
        """Raise Unauthorized unless Slack signed this body within five minutes of `now`."""
        secret = self._settings.signing_secret
        if secret is None:
            raise Unauthorized("SLACK_SIGNING_SECRET is not set: nobody is let in")
        at = header(headers, "x-slack-request-timestamp") or ""
        signature = header(headers, "x-slack-signature") or ""
        if not _DIGITS.fullmatch(at):
            raise Unauthorized("the request carries no time of Slack's")
        if not same(signature, sign(secret, at, body)):
            raise Unauthorized("the signature is not Slack's")
        if abs(now.timestamp() - int(at)) > SIGNATURE_WINDOW.total_seconds():
            raise Unauthorized("the request is too old: its signature may be a copy")

    async def post(self, shown: Card | Reply, under: str | None) -> tuple[str, str]:
        """Post a card, or a reply under the message `under`; returns channel and message."""
        text, blocks = self._renderer.message(shown)
        answer = await self._say(
            lambda client: client.chat_postMessage(
                channel=self._channel,
                text=text,
                blocks=blocks or None,
                thread_ts=under,
                unfurl_links=False,
                unfurl_media=False,
            )
        )
        return _text(answer, "channel"), _text(answer, "ts")

    async def update(self, shown: Card | Reply, place: str, message: str) -> bool:
        """Change a message; False when it was deleted or may not be changed any more."""
        text, blocks = self._renderer.message(shown)
        try:
            await self._call(
                lambda client: client.chat_update(
                    channel=place, ts=message, text=text, blocks=blocks or None
                )
            )
        except _Answered as refusal:
            if refusal.code in _GONE:
                return False
            raise _refused(refusal) from refusal
        return True

    async def tell(self, user: str, place: str, text: str) -> None:
        """Say something to one person: in that channel if the app is in it, else directly.

        `text` is Slack's markup: whatever of it came from outside is escaped already.
        """
        text = text[:_LONGEST_ANSWER]
        try:
            await self._call(
                lambda client: client.chat_postEphemeral(channel=place, user=user, text=text)
            )
        except _Answered as refusal:
            if refusal.code not in _NOT_THERE:
                raise _refused(refusal) from refusal
            await self._say(lambda client: client.chat_postMessage(channel=user, text=text))

    async def open_room(self, name: str, about: str, users: Sequence[str]) -> str:
        """Open the channel of this name, or take the one there is, and invite users by id.

        `about` is the address of the incident's page, said where the channel is new. Needs the
        scopes `channels:manage` and `channels:read`; returns a link to the channel.
        """
        try:
            made = await self._call(lambda client: client.conversations_create(name=name))
            room = _id_of(made.get("channel"))
            text = card_words().say("war_room", url=escape(about))
            await self._say(lambda client: client.chat_postMessage(channel=room, text=text))
        except _Answered as refusal:
            if refusal.code != "name_taken":
                raise _refused(refusal) from refusal
            room = await self._room(name)
        for user in users:
            await self._invite(room, user)
        return f"{_CHANNEL_LINK}{room}"

    async def _invite(self, room: str, user: str) -> None:
        try:
            await self._call(lambda client: client.conversations_invite(channel=room, users=user))
        except _Answered as refusal:
            if refusal.code not in _IS_THERE:
                raise _refused(refusal) from refusal

    async def _room(self, name: str) -> str:
        """The id of a channel that an earlier attempt has opened."""
        cursor = ""
        for _ in range(_PAGES):
            listed = await self._listed(cursor)
            for channel in listed.get("channels") or ():
                if channel.get("name") == name:
                    return _id_of(channel)
            cursor = (listed.get("response_metadata") or {}).get("next_cursor") or ""
            if not cursor:
                break
        raise Permanent(f"Slack has a channel {name} that cannot be found")

    async def _listed(self, cursor: str) -> SlackResponse:
        return await self._say(
            lambda client: client.conversations_list(
                limit=_PAGE, cursor=cursor, exclude_archived=True
            )
        )

    async def check(self) -> str:
        """Verify the token without side effects; says which app and workspace it belongs to."""
        answer = await self._say(lambda client: client.auth_test())
        return f"{_text(answer, 'user')} in {_text(answer, 'team')}"

    @property
    def _channel(self) -> str:
        if not self._settings.approval_channel:
            raise Permanent("SLACK_APPROVAL_CHANNEL is not set")
        return self._settings.approval_channel

    async def _say(self, call: Callable[[WebClient], SlackResponse]) -> SlackResponse:
        try:
            return await self._call(call)
        except _Answered as refusal:
            raise _refused(refusal) from refusal

    async def _call(self, call: Callable[[WebClient], SlackResponse]) -> SlackResponse:
        token = self._settings.bot_token
        if token is None:
            raise Permanent("SLACK_BOT_TOKEN is not set")
        # A client of its own per call: it keeps state, and calls run on several threads.
        client = WebClient(
            token.get_secret_value(),
            base_url=self._settings.base_url,
            timeout=self._settings.timeout,
            retry_handlers=[],
            logger=_MUTE,
        )
        failure: Exception
        try:
            return await asyncio.to_thread(call, client)
        except SlackApiError as error:
            failure = _judged(error.response)
        except (OSError, HTTPException) as error:
            failure = Transient(f"Slack cannot be reached ({type(error).__name__})")
        except SlackClientError as error:
            failure = Permanent(f"this call to Slack is malformed ({type(error).__name__})")
        except UnicodeDecodeError:
            failure = Transient("Slack's answer cannot be read")
        # Raised out here so that it does not carry the SDK's own error, which holds the exchange.
        raise failure


def sign(secret: SecretStr, at: str, body: bytes) -> str:
    """Slack's signature v0 of a body sent at a Unix time."""
    return "v0=" + hmac_sha256(b"v0:" + at.encode() + b":" + body, secret)


def _judged(response: Any) -> Exception:
    """What an answer other than yes means, by status and code, never by its words."""
    status: int = response.status_code
    headers = {str(k).lower(): str(v) for k, v in response.headers.items()}
    data = response.data if isinstance(response.data, dict) else {}
    given = str(data.get("error", ""))
    code = given if _CODE.fullmatch(given) else "no code"
    if status == 429 or code in _PASSING:
        return Transient(f"Slack asks to wait ({code})", _retry_after(headers))
    if status >= 500:
        return Transient(f"Slack failed with {status}", _retry_after(headers, None))
    if status == 200 and code != "no code":
        return _Answered(code)
    if status == 200:
        return Transient("Slack's answer is not in its form")
    return Permanent(f"Slack answered {status} ({code})")


def _retry_after(
    headers: Mapping[str, str], otherwise: float | None = _DEFAULT_WAIT
) -> float | None:
    try:
        seconds = float(headers.get("retry-after", ""))
    except ValueError:
        return otherwise
    return seconds if math.isfinite(seconds) and seconds >= 0 else otherwise


def _refused(refusal: _Answered) -> Permanent:
    return Permanent(f"Slack refused: {refusal.code}")


def _id_of(channel: Any) -> str:
    known = channel.get("id") if isinstance(channel, dict) else None
    if not isinstance(known, str) or not known:
        raise Transient("Slack's answer lacks the channel")
    return known


def _text(answer: SlackResponse, key: str) -> str:
    value = answer.get(key)
    if not isinstance(value, str) or not value:
        raise Transient(f"Slack's answer lacks {key}")
    return value


ADAPTER = AdapterSpec(
    name="slack",
    kind="chat",
    settings=SlackSettings,
    build=Slack,
    roles=("post", "update", "verify", "check"),
    summary="Slack: approval cards with their blast radius, buttons, reminders, /forewarn",
)
