"""What operators and their machines ask: alive, ready, figures."""

from __future__ import annotations

import asyncio
from ipaddress import ip_address

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from temporalio.service import RPCError

from gateway.auth import Auth
from gateway.deps import Deps
from gateway.metrics import Watching
from runtime.relay import TemporalDown

READY_SECONDS = 2.0
PROXY_HEADERS = ("forwarded", "x-forwarded-for", "x-real-ip")

_POLICY = text("SELECT 1 FROM policies WHERE hash = :hash")


def router(deps: Deps, watching: Watching) -> APIRouter:
    """Health, readiness and metrics."""
    routes = APIRouter(tags=["operations"])
    auth = Auth(deps)

    @routes.get("/healthz")
    async def healthz() -> dict[str, str]:
        """The process runs."""
        return {"status": "ok"}

    @routes.get("/readyz")
    async def readyz() -> JSONResponse:
        """Alerts can be stored: PostgreSQL answers and knows the policy. Temporal may be away."""
        database, temporal = await asyncio.gather(_database(deps), _temporal(deps))
        ready = database == "ok"
        body = {"ready": ready, "postgresql": database, "temporal": temporal}
        return JSONResponse(body | {"policy": deps.policy_hash}, 200 if ready else 503)

    @routes.get("/metrics")
    async def metrics(request: Request) -> Response:
        """Figures in the text format of Prometheus; for loopback or the holder of a token."""
        if not _is_local(request):
            await auth.identify(request)
        return Response(await watching.text(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    return routes


async def _database(deps: Deps) -> str:
    try:
        async with asyncio.timeout(READY_SECONDS), deps.engine.connect() as conn:
            known = await conn.scalar(_POLICY, {"hash": deps.policy_hash})
    except (SQLAlchemyError, OSError, TimeoutError):
        return "no answer"
    return "ok" if known else "policy not stored yet"


async def _temporal(deps: Deps) -> str:
    try:
        async with asyncio.timeout(READY_SECONDS):
            client = await deps.temporal.client()
            healthy = await client.service_client.check_health()
    except (TemporalDown, RPCError, TimeoutError):
        return "no answer"
    return "ok" if healthy else "not serving"


def _is_local(request: Request) -> bool:
    """Whether the caller is on this machine, and not a proxy on it that speaks for another."""
    if request.client is None or any(name in request.headers for name in PROXY_HEADERS):
        return False
    try:
        return ip_address(request.client.host).is_loopback
    except ValueError:
        return False
