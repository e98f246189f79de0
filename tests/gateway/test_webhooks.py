"""The monitors' door over HTTP, on a real PostgreSQL and without Temporal."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime
from typing import Any

import httpx2
import pytest
from pydantic import SecretStr
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncEngine
from structlog.testing import capture_logs

from adapters.db.engine import make_engine
from adapters.db.models import IncidentRow, SignalRow
from adapters.db.policies import PolicyStore
from domain.policy import Policy
from gateway.app import create_app
from gateway.deps import Deps
from runtime.doors import Intake, Source, load_sources
from runtime.processes import free_port
from runtime.relay import Relay, TemporalLink
from runtime.temporal import connect

SECRET = SecretStr("the-webhook-secret")
LEAST = {"id": "d-1", "status": "firing", "title": "Payments fail", "components": ["payments"]}


def app_deps(engine: AsyncEngine, policy: Policy, now: datetime) -> Deps:
    nobody = f"127.0.0.1:{free_port()}"
    link = TemporalLink(lambda: connect(nobody), connect_seconds=0.5)
    intake = Intake(engine)
    sources = {name: Source(s.monitor, SECRET) for name, s in load_sources().items()}
    return Deps(
        engine=engine,
        policy=policy,
        public_url="http://testserver",
        secret_key=SecretStr("k" * 32),
        sources=sources,
        intake=intake,
        temporal=link,
        relay=Relay(intake, link, policy, now=lambda: now),
        now=lambda: now,
    )


def client_of(deps: Deps) -> httpx2.AsyncClient:
    transport = httpx2.ASGITransport(create_app(deps), raise_app_exceptions=False)
    return httpx2.AsyncClient(transport=transport, base_url="http://testserver")


@pytest.fixture
def deps(engine: AsyncEngine, policy: Policy, now: datetime) -> Deps:
    return app_deps(engine, policy, now)


@pytest.fixture
async def client(deps: Deps) -> AsyncIterator[httpx2.AsyncClient]:
    async with client_of(deps) as opened:
        yield opened


async def send(
    client: httpx2.AsyncClient,
    deps: Deps,
    body: Any,
    source: str = "generic",
    content_type: str = "application/json",
    **headers: str,
) -> httpx2.Response:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    signed = deps.sources[source].monitor.sign(raw, SECRET)
    return await client.post(
        f"/webhooks/{source}",
        content=raw,
        headers={"content-type": content_type, **signed, **headers},
    )


async def stored(engine: AsyncEngine, model: Any = SignalRow) -> int:
    async with engine.connect() as conn:
        return (await conn.execute(select(func.count()).select_from(model))).scalar_one()


def is_problem(response: httpx2.Response, status: int, kind: str) -> dict[str, Any]:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = response.json()
    assert problem["type"] == f"urn:forewarn:problem:{kind}"
    assert problem["status"] == status
    assert problem["correlation_id"] == response.headers["x-correlation-id"]
    return problem


async def test_without_temporal_it_is_stored(client: httpx2.AsyncClient, deps: Deps) -> None:
    response = await send(client, deps, LEAST)
    assert response.status_code == 202
    answer = response.json()
    assert answer["disposition"] == "stored"
    assert answer["signal_id"].startswith("sig_")
    assert answer["incident_id"].startswith("inc_")
    assert await deps.intake.unrelayed() == [answer["incident_id"]]
    again = (await send(client, deps, LEAST)).json()
    assert again == answer | {"disposition": "duplicate"}


async def test_many_alerts_while_temporal_is_away_are_quick(
    client: httpx2.AsyncClient, deps: Deps
) -> None:
    bodies = [LEAST | {"id": f"d{n}"} for n in range(40)]
    async with asyncio.timeout(10):
        answers = await asyncio.gather(*(send(client, deps, body) for body in bodies))
    assert {a.status_code for a in answers} == {202}
    assert len({a.json()["incident_id"] for a in answers}) == 1
    assert await stored(deps.engine, IncidentRow) == 1


async def test_one_correlation_id_from_the_request_to_the_rows(
    client: httpx2.AsyncClient, deps: Deps
) -> None:
    response = await send(client, deps, LEAST, **{"X-Correlation-ID": "abc-12345678"})
    assert response.headers["x-correlation-id"] == "abc-12345678"
    async with deps.engine.connect() as conn:
        assert await conn.scalar(select(SignalRow.correlation_id)) == "abc-12345678"
        assert await conn.scalar(select(IncidentRow.correlation_id)) == "abc-12345678"
    response = await send(client, deps, LEAST, **{"X-Correlation-ID": "evil\tline"})
    assert response.headers["x-correlation-id"] != "evil\tline"


async def test_a_group_answers_for_its_most_significant(
    client: httpx2.AsyncClient, deps: Deps
) -> None:
    alerts = [
        {"status": "resolved", "labels": {}, "fingerprint": "x", "startsAt": "2026-03-10"},
        {"status": "firing", "labels": {"service": "checkout"}, "fingerprint": "y"},
    ]  # fmt: skip
    response = await send(client, deps, {"version": "4", "alerts": alerts}, "alertmanager")
    answer = response.json()
    assert [s["disposition"] for s in answer["signals"]] == ["ignored", "stored"]
    assert answer["disposition"] == "stored"
    assert answer["signal_id"] == answer["signals"][1]["signal_id"]
    assert await stored(deps.engine) == 2


async def test_what_people_do_is_ignored(client: httpx2.AsyncClient, deps: Deps) -> None:
    ping = {"event": {"id": "1", "event_type": "pagey.ping", "data": {"type": "ping"}}}
    response = await send(client, deps, ping, "pagerduty")
    assert response.status_code == 202
    assert response.json() == {"signal_id": None, "incident_id": None, "disposition": "ignored"}
    assert await stored(deps.engine) == 0


async def test_strangers_are_logged_and_leave_nothing(
    client: httpx2.AsyncClient, deps: Deps
) -> None:
    with capture_logs() as logs:
        response = await send(
            client, deps, {"private": "body"}, **{"X-Forewarn-Signature": "sha256=00"}
        )
    problem = is_problem(response, 401, "unauthorized")
    assert SECRET.get_secret_value() not in json.dumps(problem)
    (line,) = [entry for entry in logs if entry["event"] == "webhook_refused"]
    assert line["security"] is True
    assert line["source"] == "generic"
    assert "private" not in str(logs)
    assert await stored(deps.engine) == 0


async def test_a_source_without_a_secret_lets_nobody_in(
    engine: AsyncEngine, policy: Policy, now: datetime
) -> None:
    open_deps = app_deps(engine, policy, now)
    shut = {n: Source(s.monitor, None) for n, s in open_deps.sources.items()}
    deps = replace(open_deps, sources=shut)
    async with client_of(deps) as client:
        for source in deps.sources:
            is_problem(await send(client, deps, LEAST, source), 401, "unauthorized")
        empty = await client.post("/webhooks/generic", headers={"Authorization": "Bearer "})
        is_problem(empty, 401, "unauthorized")


async def test_errors_are_problems(client: httpx2.AsyncClient, deps: Deps) -> None:
    is_problem(await client.post("/webhooks/nagios", content=b"{}"), 404, "not_found")
    is_problem(await client.get("/webhooks/generic"), 405, "method_not_allowed")
    is_problem(await client.get("/no/such/page/anywhere"), 404, "not_found")
    wrong = await send(client, deps, LEAST, content_type="text/plain")
    is_problem(wrong, 415, "unsupported_media_type")
    event = {"specversion": "1.0", "id": "1", "source": "s", "type": "t", "data": LEAST}
    right = await send(client, deps, event, content_type="application/cloudevents+json")
    assert right.status_code == 202


async def test_bad_fields_are_named(client: httpx2.AsyncClient, deps: Deps) -> None:
    response = await send(client, deps, LEAST | {"severity": "P7", "affected_share": 40})
    problem = is_problem(response, 422, "bad_input")
    errors = {e["field"]: e for e in problem["errors"]}
    assert errors["severity"]["value"] == "P7"
    assert errors["affected_share"]["value"] == 40
    assert "0 to 1" in errors["affected_share"]["allowed"]
    for body in (b"", b"\xff", b"[" * 90_000, b'{"id":"1","x":NaN}', b"9" * 9000):
        is_problem(await send(client, deps, body), 422, "bad_input")
    assert await stored(deps.engine) == 0


async def test_too_large_by_its_own_word_and_by_count(
    client: httpx2.AsyncClient, deps: Deps
) -> None:
    large = b'{"title": "' + b"x" * 1024 * 1024 + b'"}'
    is_problem(await send(client, deps, large), 413, "too_large")

    taken = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal taken
        for _ in range(1000):
            taken += 1
            yield b" " * 65_536

    response = await client.post("/webhooks/generic", content=endless())
    is_problem(response, 413, "too_large")


async def test_odd_characters_are_stored(client: httpx2.AsyncClient, deps: Deps) -> None:
    raw = (
        rb'{"id":"\u0000","status":"firing","title":"\ud83d\ude00 \udead","labels":{"a":"\u0000"}}'
    )
    response = await send(client, deps, raw)
    assert response.status_code == 202
    async with deps.engine.connect() as conn:
        assert await conn.scalar(select(IncidentRow.title)) == "\U0001f600 \ufffd"


async def test_postgresql_away_is_503(policy: Policy, now: datetime) -> None:
    engine = make_engine(f"postgresql://u:hunter2@127.0.0.1:{free_port()}/x")
    deps = app_deps(engine, policy, now)
    async with client_of(deps) as client:
        response = await send(client, deps, LEAST)
        problem = is_problem(response, 503, "unavailable")
        assert int(response.headers["retry-after"]) > 0
        assert "hunter2" not in json.dumps(problem)
        ready = await client.get("/readyz")
        assert ready.status_code == 503
        assert ready.json()["postgresql"] == "no answer"
        assert (await client.get("/healthz")).status_code == 200
    await engine.dispose()


async def test_ready_with_policy_even_without_temporal(
    client: httpx2.AsyncClient, deps: Deps
) -> None:
    assert (await client.get("/readyz")).status_code == 503
    await PolicyStore(deps.engine).save(deps.policy, "test", deps.now())
    response = await client.get("/readyz")
    assert response.status_code == 200
    assert response.json()["temporal"] == "no answer"


async def test_metrics_are_for_this_machine(client: httpx2.AsyncClient, deps: Deps) -> None:
    await send(client, deps, LEAST)
    text = (await client.get("/metrics")).text
    assert "forewarn_inbox_waiting 1" in text
    assert 'forewarn_incidents_open{severity="P3",stage="suspected"} 1' in text
    proxied = await client.get("/metrics", headers={"X-Forwarded-For": "192.0.2.1"})
    is_problem(proxied, 401, "unauthorized")


async def test_openapi_without_pages(client: httpx2.AsyncClient) -> None:
    assert "/webhooks/{source}" in (await client.get("/openapi.json")).json()["paths"]
    assert (await client.get("/docs")).status_code == 404
