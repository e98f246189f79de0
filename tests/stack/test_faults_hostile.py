"""Deliveries and requests of strangers: a clear answer, and not a row more than before."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.policy import Policy
from runtime.processes import free_port
from tests.stack.doors import ALERT, HOST, Door, counts, door
from tests.stack.sending_world import until


@pytest.fixture
async def gateway(database_url: str, engine: AsyncEngine, policy: Policy) -> AsyncIterator[Door]:
    async with door(database_url, f"{HOST}:{free_port(HOST)}", policy) as opened:

        async def policy_stored() -> bool:
            return (await counts(engine))["policies"] == 1

        # The gateway's own row.
        await until("the policy", policy_stored)
        yield opened


HOSTILE: list[tuple[str, int, dict[str, Any]]] = [
    ("unsigned", 401, {"secret": SecretStr("guessed")}),
    ("not JSON", 422, {"raw": b"\xff\xfe{"}),
    ("deeply nested", 422, {"raw": b"[" * 100_000}),
    ("wrong type", 415, {"content_type": "text/xml"}),
    ("too large", 413, {"raw": b'{"title": "' + b"x" * 1024 * 1024 + b'"}'}),
    ("unknown severity", 422, {"raw": json.dumps({**ALERT, "id": "1", "severity": "P9"}).encode()}),
    ("no id", 422, {"raw": json.dumps(ALERT).encode()}),
    ("a number for a title", 422, {"raw": json.dumps({**ALERT, "id": "1", "title": 7}).encode()}),
    ("an infinite share", 422, {"raw": b'{"id":"1","status":"firing","title":"t",'
                                       b'"affected_share":1e999}'}),
    ("not a group", 422, {"source": "alertmanager", "raw": b'{"alerts": {"status": "firing"}}'}),
    ("half a group", 422, {"source": "alertmanager", "raw": json.dumps({"version": "4", "alerts": [
        {"status": "firing", "labels": {"service": "checkout"}, "fingerprint": "y"},
        {"status": "burning", "labels": {}, "fingerprint": "z"}]}).encode()}),
    ("not an event", 422, {"source": "pagerduty", "raw": b'{"event": []}'}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("status", "request_"), [h[1:] for h in HOSTILE], ids=[h[0] for h in HOSTILE]
)
async def test_a_hostile_delivery_leaves_no_row(
    gateway: Door, engine: AsyncEngine, status: int, request_: dict[str, Any]
) -> None:
    before = await counts(engine)
    raw = request_.pop("raw", json.dumps({**ALERT, "id": "1"}).encode())
    answer = await gateway.post(raw, **request_)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert await counts(engine) == before


async def test_strangers_at_the_staffs_doors_leave_no_row(
    gateway: Door, engine: AsyncEngine
) -> None:
    before = await counts(engine)
    forged = {"Authorization": "Bearer fw_forged"}
    for headers in ({}, forged):
        for path, body in (
            ("/api/incidents", {"title": "x"}),
            ("/api/incidents/inc_aaaaaaaaaaaa/decision", {"draft": 1, "decision": "approve"}),
            ("/api/incidents/inc_aaaaaaaaaaaa/resolve", {}),
        ):
            answer = await gateway.client.post(
                path, json=body, headers={**headers, "Idempotency-Key": "k1"}
            )
            assert answer.status_code == 401, (path, answer.text)
    for path in ("/unsubscribe/forged.token", "/callbacks/nobody", "/webhooks/nobody"):
        assert (await gateway.client.post(path, json={})).status_code == 404
    assert await counts(engine) == before
