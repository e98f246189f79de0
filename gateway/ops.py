"""What operators and their machines ask: alive, ready, figures."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from ipaddress import ip_address

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from temporalio.service import RPCError

from gateway.auth import Auth
from gateway.deps import Deps
from runtime.relay import TemporalDown

READY_SECONDS = 2.0
METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"
PROXY_HEADERS = ("forwarded", "x-forwarded-for", "x-real-ip")

_POLICY = text("SELECT 1 FROM policies WHERE hash = :hash")
_LAG = text("""
    SELECT count(*) AS waiting,
           coalesce(extract(epoch FROM :now - min(received_at)), 0) AS seconds
    FROM signals WHERE relayed_at IS NULL AND incident_id IS NOT NULL
""")
_OPEN = text("SELECT stage, severity, count(*) AS n FROM incidents WHERE open GROUP BY 1, 2")
_LEDGER = text("SELECT channel, state, count(*) AS n FROM deliveries GROUP BY 1, 2")


def router(deps: Deps) -> APIRouter:
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
        return Response(await _metrics(deps), media_type=METRICS_TYPE)

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


async def _metrics(deps: Deps) -> str:
    async with deps.engine.connect() as conn:
        lag = (await conn.execute(_LAG, {"now": deps.now()})).one()
        incidents = (await conn.execute(_OPEN)).all()
        ledger = (await conn.execute(_LEDGER)).all()
    lines = [
        *_metric("forewarn_inbox_waiting", "Signals not yet told to a workflow.",
                 [({}, lag.waiting)]),
        *_metric("forewarn_inbox_lag_seconds", "Age of the oldest of them.",
                 [({}, round(float(lag.seconds), 3))]),
        *_metric("forewarn_incidents_open", "Incidents that are not over.",
                 [({"stage": r.stage, "severity": r.severity}, r.n) for r in incidents]),
        *_metric("forewarn_deliveries", "Ledger rows by channel and state.",
                 [({"channel": r.channel, "state": r.state}, r.n) for r in ledger]),
        *_metric("forewarn_temporal_down", "1 while Temporal does not answer.",
                 [({}, int(deps.temporal.down))]),
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def _metric(
    name: str, words: str, samples: Iterable[tuple[dict[str, str], float]]
) -> Iterable[str]:
    yield f"# HELP {name} {words}"
    yield f"# TYPE {name} gauge"
    for labels, value in samples:
        pairs = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels.items())
        yield f"{name}{{{pairs}}} {value}" if pairs else f"{name} {value}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _is_local(request: Request) -> bool:
    """Whether the caller is on this machine, and not a proxy on it that speaks for another."""
    if request.client is None or any(name in request.headers for name in PROXY_HEADERS):
        return False
    try:
        return ip_address(request.client.host).is_loopback
    except ValueError:
        return False
