"""The remote codec: readable for staff in the Temporal UI and its command line, and only there."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from uuid import uuid4

import httpx2
import pytest
import uvicorn
from fastapi import FastAPI
from google.protobuf import json_format
from sqlalchemy.ext.asyncio import AsyncEngine
from structlog.testing import capture_logs
from temporalio import workflow
from temporalio.api.common.v1 import Payload
from temporalio.converter import PayloadCodec
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from domain.policy import Policy
from gateway.app import create_app
from runtime.codec import EncryptionCodec
from runtime.payload_keys import PayloadKey
from runtime.servers import TemporalServer
from runtime.temporal import connect
from tests.gateway.staff_kit import ROLES, Kit, staff_kit

UI = "http://ui.example"
CODEC = EncryptionCodec([PayloadKey("k1", b"\x01" * 32)])
TOLD = "the-payments-database-is-on-fire"
IN_BASE64 = base64.b64encode(f'"{TOLD}"'.encode()).decode()
PLAIN = {
    "metadata": {"encoding": base64.b64encode(b"json/plain").decode()},
    "data": IN_BASE64,
}
TEMPORAL = Path(__file__).parents[2] / ".venv/bin/temporal"


@asynccontextmanager
async def doors(
    engine: AsyncEngine, policy: Policy, now: datetime, codec: PayloadCodec | None
) -> AsyncIterator[tuple[Kit, FastAPI]]:
    """The whole gateway, as it is put together for real."""
    async with staff_kit(engine, policy, now) as kit:
        deps = replace(kit.deps, payload_codec=codec)
        app = create_app(deps)
        transport = httpx2.ASGITransport(app=app)
        async with httpx2.AsyncClient(
            transport=transport, base_url="http://status.example"
        ) as http:
            yield replace(kit, deps=deps, http=http), app


@pytest.fixture
async def kit(engine: AsyncEngine, policy: Policy, now: datetime) -> AsyncIterator[Kit]:
    async with doors(engine, policy, now, CODEC) as (opened, _):
        yield opened


async def post(kit: Kit, path: str, payload: object, **headers: str) -> httpx2.Response:
    return await kit.http.post(f"/codec/{path}", json={"payloads": [payload]}, headers=headers)


async def test_there_and_back_as_the_protocol_says(kit: Kit) -> None:
    sealed = (await post(kit, "encode", PLAIN, **kit.auth("admin"))).json()["payloads"]
    assert sealed[0]["metadata"]["encoding"] == base64.b64encode(b"binary/encrypted").decode()
    opened = await post(kit, "decode", sealed[0], **kit.auth("responder"))
    assert opened.json() == {"payloads": [PLAIN]}
    assert opened.headers["cache-control"] == "no-store"
    # The UI sends everything it shows, encrypted or not.
    assert (await post(kit, "decode", PLAIN, **kit.auth("admin"))).json() == {"payloads": [PLAIN]}


async def test_who_may_read_and_who_may_write(kit: Kit) -> None:
    may = {
        "decode": {"responder", "approver", "compliance", "admin"},
        "encode": {"approver", "admin"},
    }
    for path, roles in may.items():
        assert (await post(kit, path, PLAIN)).status_code == 401
        wrong = {"Authorization": "Bearer fw_wrong"}
        assert (await post(kit, path, PLAIN, **wrong)).status_code == 401
        for role in ROLES:
            answer = await post(kit, path, PLAIN, **kit.auth(role))
            assert answer.status_code == (200 if role in roles else 403), (path, role)


async def test_a_session_serves_the_pages_of_the_ui_only(kit: Kit) -> None:
    await kit.http.post("/console/sign-in", data={"token": kit.secrets["responder"]})
    assert (await post(kit, "decode", PLAIN, Origin=UI)).status_code == 200
    assert (await post(kit, "decode", PLAIN, Origin="http://evil.example")).status_code == 403
    assert (await post(kit, "decode", PLAIN)).status_code == 403


async def test_only_the_ui_may_ask_from_a_browser(kit: Kit) -> None:
    ask = {
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type,x-namespace",
    }
    good = await kit.http.options("/codec/decode", headers=ask | {"Origin": UI})
    assert good.status_code == 200
    assert good.headers["access-control-allow-origin"] == UI
    assert good.headers["access-control-allow-credentials"] == "true"
    assert "x-namespace" in good.headers["access-control-allow-headers"].lower()
    assert "origin" in good.headers["vary"].lower()
    for origin in ("http://ui.example.evil.example", "https://ui.example", "null"):
        bad = await kit.http.options("/codec/decode", headers=ask | {"Origin": origin})
        assert "access-control-allow-origin" not in bad.headers, origin
        got = await post(kit, "decode", PLAIN, Origin=origin, **kit.auth("admin"))
        assert "access-control-allow-origin" not in got.headers, origin
    # A refusal is readable too: the UI shows what it says.
    refused = await post(kit, "decode", PLAIN, Origin=UI)
    assert (refused.status_code, refused.headers["access-control-allow-origin"]) == (401, UI)
    elsewhere = await kit.http.get("/api/incidents", headers={"Origin": UI})
    assert "access-control-allow-origin" not in elsewhere.headers


async def test_each_use_is_logged_without_what_was_read(kit: Kit) -> None:
    [sealed] = (await post(kit, "encode", PLAIN, **kit.auth("admin"))).json()["payloads"]
    with capture_logs() as logs:
        headers = kit.auth("compliance") | {"X-Namespace": "default"}
        await post(kit, "decode", sealed, **headers)
    [line] = [line for line in logs if line["event"] == "payloads_decoded"]
    assert line["namespace"] == "default" and line["payloads"] == 1
    assert line["actor"] and kit.secrets["compliance"] not in str(logs)
    assert TOLD not in str(logs) and IN_BASE64 not in str(logs)


async def test_what_cannot_be_opened_says_why(kit: Kit) -> None:
    other = EncryptionCodec([PayloadKey("gone", b"\x02" * 32)])
    [sealed] = await other.encode([json_format.ParseDict(PLAIN, Payload())])
    answer = await post(kit, "decode", json_format.MessageToDict(sealed), **kit.auth("admin"))
    assert answer.status_code == 409
    assert "'gone'" in answer.json()["detail"]
    for body in (b"", b"\xff", b'{"payloads": 1}', b'{"payloads": [{"data": 7}]}'):
        bad = await kit.http.post("/codec/decode", content=body, headers=kit.auth("admin"))
        assert bad.status_code == 422, body


async def test_without_keys_it_says_so(engine: AsyncEngine, policy: Policy, now: datetime) -> None:
    async with doors(engine, policy, now, None) as (kit, _):
        answer = await post(kit, "decode", PLAIN, **kit.auth("admin"))
        assert answer.status_code == 404
        assert "FOREWARN_PAYLOAD_KEYS is not set" in answer.json()["detail"]
        assert (await post(kit, "decode", PLAIN)).status_code == 401


# ------------------------------------------------------------------ the real command line


@workflow.defn(name="Told")
class Told:
    @workflow.run
    async def run(self, told: str) -> str:
        return told


async def test_the_command_line_reads_through_the_codec_server_what_the_server_cannot(
    engine: AsyncEngine,
    policy: Policy,
    now: datetime,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in [name for name in os.environ if name.startswith("TEMPORAL_")]:
        monkeypatch.delenv(name)
    server = TemporalServer(tmp_path / "temporal")
    await asyncio.to_thread(server.start)
    try:
        client = await connect(server.address, CODEC)
        run = uuid4().hex
        async with Worker(
            client, task_queue=run, workflows=[Told], workflow_runner=UnsandboxedWorkflowRunner()
        ):
            await client.execute_workflow("Told", TOLD, id=run, task_queue=run)
        async with doors(engine, policy, now, CODEC) as (kit, app), serving(app) as address:
            unread = await show(server.address, run)
            read = await show(
                server.address,
                run,
                *("--codec-endpoint", f"{address}/codec"),
                *("--codec-auth", kit.auth("responder")["Authorization"]),
            )
    finally:
        await asyncio.to_thread(server.stop)
    assert TOLD not in unread and IN_BASE64 not in unread
    started, ended = json.loads(read)["events"][0], json.loads(read)["events"][-1]
    assert TOLD in str(started) or IN_BASE64 in str(started)
    assert TOLD in str(ended) or IN_BASE64 in str(ended)


async def show(address: str, workflow_id: str, *options: str) -> str:
    """What `temporal workflow show` prints as JSON."""
    process = await asyncio.create_subprocess_exec(
        *(str(TEMPORAL), "workflow", "show", "--workflow-id", workflow_id),
        *("--address", address, "--output", "json", *options),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    return out.decode()


@asynccontextmanager
async def serving(app: FastAPI) -> AsyncIterator[str]:
    """The gateway on a real port; its background work stays off."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, lifespan="off", log_config=None))
    running = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        while not server.started:  # noqa: ASYNC110 - uvicorn offers no event to wait for
            await asyncio.sleep(0.01)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        await running
