"""Gateways as processes of their own would be: each with its engine, relay loop and HTTP port."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import httpx2
import uvicorn
from pydantic import SecretStr
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.db.models import Base
from domain.policy import Policy
from gateway.app import create_app
from gateway.deps import Deps
from runtime.doors import Intake, Source, load_sources, make_engine
from runtime.processes import free_port
from runtime.relay import Relay, TemporalLink
from runtime.temporal import connect

SECRET = SecretStr("the-webhook-secret")
HOST = "127.0.0.1"
ALERT: dict[str, Any] = {
    "status": "firing",
    "title": "Payments fail",
    "components": ["payments"],
    "severity": "P2",
    "customer_impact": True,
}


class Door:
    """One gateway and a client of it."""

    def __init__(self, deps: Deps, client: httpx2.AsyncClient) -> None:
        self.deps = deps
        self.client = client

    async def alert(self, id: str, dedup_key: str = "pay", **changes: Any) -> httpx2.Response:
        raw = json.dumps({"id": id, "dedup_key": dedup_key, **ALERT, **changes}).encode()
        return await self.post(raw)

    async def post(
        self,
        raw: bytes,
        source: str = "generic",
        secret: SecretStr = SECRET,
        content_type: str = "application/json",
    ) -> httpx2.Response:
        signed = self.deps.sources[source].monitor.sign(raw, secret)
        return await self.client.post(
            f"/webhooks/{source}", content=raw, headers={"content-type": content_type, **signed}
        )


@asynccontextmanager
async def door(database_url: str, temporal: str, policy: Policy) -> AsyncIterator[Door]:
    """A gateway that serves HTTP on a port of its own."""
    engine = make_engine(database_url)
    link = TemporalLink(lambda: connect(temporal), connect_seconds=0.5)
    intake = Intake(engine)
    deps = Deps(
        engine=engine,
        policy=policy,
        public_url="http://status.example",
        secret_key=SecretStr("k" * 32),
        sources={name: Source(s.monitor, SECRET) for name, s in load_sources().items()},
        intake=intake,
        temporal=link,
        relay=Relay(intake, link, policy),
    )
    port = free_port(HOST)
    server = uvicorn.Server(
        uvicorn.Config(create_app(deps), host=HOST, port=port, log_config=None, access_log=False)
    )
    # Not `serve`, which takes the signals of the process.
    serving = asyncio.create_task(server._serve())
    limits = httpx2.Limits(max_connections=100)
    try:
        async with httpx2.AsyncClient(
            base_url=f"http://{HOST}:{port}", timeout=20, limits=limits
        ) as client:
            await _answering(client)
            yield Door(deps, client)
    finally:
        server.should_exit = True
        await serving


async def _answering(client: httpx2.AsyncClient) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        with suppress(httpx2.HTTPError):
            if (await client.get("/healthz")).is_success:
                return
        await asyncio.sleep(0.02)
    raise AssertionError("the gateway does not answer")


async def counts(engine: AsyncEngine) -> dict[str, int]:
    """Rows of every table."""
    async with engine.connect() as conn:
        return {
            table.name: (await conn.execute(select(func.count()).select_from(table))).scalar_one()
            for table in Base.metadata.sorted_tables
        }
