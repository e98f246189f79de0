"""Slack's doors as Slack uses them: signed forms, on a real database and a Slack of the test's."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import httpx2
from fastapi import FastAPI
from pydantic import SecretStr
from sqlalchemy import text

from adapters.chat.slack import Slack, sign
from domain.policy import Policy
from gateway import problems, slack
from gateway.deps import Deps
from gateway.limits import BodyCap, Correlation
from gateway.slack_delivery import SlackDelivery
from tests.activities.staff_world import settings
from tests.adapters.chat.fake_slack import CHANNEL, FakeSlack

FORM = "application/x-www-form-urlencoded"


@dataclass
class SlackKit:
    """The doors, the delivery behind them, and the Slack they answer to."""

    deps: Deps
    http: httpx2.AsyncClient
    api: FakeSlack
    delivery: SlackDelivery
    app: FastAPI
    clicks: int = 0

    async def post(
        self,
        path: str,
        body: bytes,
        *,
        secret: str | None = None,
        at: int | None = None,
        headers: dict[str, str] | None = None,
    ) -> httpx2.Response:
        """A signed request; `secret` and `at` make it a wrong or an old one."""
        stamp = str(at if at is not None else int(self.deps.now().timestamp()))
        key = SecretStr(secret or "8f742231b10e8888abcd99")
        signed = {
            "Content-Type": FORM,
            "X-Slack-Request-Timestamp": stamp,
            "X-Slack-Signature": sign(key, stamp, body),
        }
        return await self.http.post(
            f"/slack/{path}", content=body, headers=signed | (headers or {})
        )

    async def click(
        self, user: str, action: str, value: dict[str, Any], reason: str = "", ts: str = ""
    ) -> httpx2.Response:
        """A person presses a button."""
        self.clicks += 1
        return await self.post(
            "interactions", click(user, action, value, reason, ts or f"{self.clicks}.5")
        )

    async def command(self, user: str, words: str, trigger: str = "") -> httpx2.Response:
        self.clicks += 1
        form = {
            "command": "/forewarn", "text": words, "user_id": user, "channel_id": "C0OPS",
            "trigger_id": trigger or f"{self.clicks}.9", "team_id": "T1", "token": "old",
            "response_url": "https://hooks.slack.com/commands/1",
        }  # fmt: skip
        return await self.post("commands", urlencode(form).encode())

    async def actions(self) -> list[Any]:
        async with self.deps.engine.connect() as conn:
            found = await conn.execute(text("SELECT * FROM slack_actions ORDER BY received_at, id"))
            return list(found.all())

    def told(self) -> list[str]:
        """What people were told, each to themselves."""
        return [f"{said['user']}: {said['text']}" for said in self.api.ephemeral]


def click(
    user: str, action: str, value: dict[str, Any], reason: str = "", ts: str = "1.5"
) -> bytes:
    """The body of a block action, with the fields that Slack sends."""
    typed = {"type": "plain_text_input", "value": reason or None}
    payload = {
        "type": "block_actions",
        "user": {"id": user, "username": "ada", "name": "ada", "team_id": "T1"},
        "api_app_id": "A1",
        "token": "old",
        "container": {"type": "message", "message_ts": "1.1", "channel_id": CHANNEL},
        "trigger_id": "12466734323.1395872398",
        "team": {"id": "T1", "domain": "acme"},
        "channel": {"id": CHANNEL, "name": "approvals"},
        "message": {"type": "message", "text": "a card", "ts": "1.1", "blocks": []},
        "state": {"values": {"reason-1": {"forewarn_reason": typed}}},
        "response_url": "https://hooks.slack.com/actions/1",
        "actions": [
            {
                "action_id": f"forewarn_{action}", "block_id": "b", "type": "button",
                "text": {"type": "plain_text", "text": action}, "value": json.dumps(value),
                "action_ts": ts,
            }
        ],
    }  # fmt: skip
    return urlencode({"payload": json.dumps(payload)}).encode()


@asynccontextmanager
async def slack_kit(
    deps: Deps, api: FakeSlack, policy: Policy, **changes: object
) -> AsyncIterator[SlackKit]:
    """The doors beside others that share `deps`."""
    chat = Slack(settings(api, **changes))
    own = replace(deps, slack=chat, policy=policy)
    app = FastAPI()
    problems.install(app)
    app.include_router(slack.router(own))
    app.add_middleware(BodyCap)
    app.add_middleware(Correlation)
    transport = httpx2.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx2.AsyncClient(transport=transport, base_url="http://gateway.example") as http:
        yield SlackKit(own, http, api, SlackDelivery(own, chat), app)


LATER = timedelta(seconds=61)
