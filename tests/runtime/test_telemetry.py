"""One trace from the webhook to the delivery, on a real Temporal server, without a word of text."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime

import httpx2
import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.testing import WorkflowEnvironment

from adapters.db.ledger import Ledger
from adapters.db.models import AccountRow, ContactRow, IncidentRow
from domain.message import Channel
from domain.policy import Policy
from domain.ports import Outcome
from gateway.app import create_app
from gateway.deps import Deps
from runtime import telemetry
from runtime.processes import free_port
from runtime.servers import TemporalServer
from runtime.temporal import connect
from tests.adapters.db import ledger_world
from tests.gateway.whole import SECRET, deps_on
from tests.workflows.world import Remembering, World, world_on

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
CALLER = f"00-{TRACE}-00f067aa0ba902b7-01"
ALERT = {
    "id": "d-1",
    "status": "firing",
    "title": "Payments fail for secret.person@example.com",
    "components": ["payments"],
    "severity": "P2",
    "customer_impact": True,
}


@pytest.fixture(scope="module")
def temporal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TemporalServer]:
    server = TemporalServer(tmp_path_factory.mktemp("temporal"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
async def spans() -> AsyncIterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    assert telemetry.start("forewarn-test", exporter)
    yield exporter
    await telemetry.stop()


async def post(deps: Deps, **headers: str) -> httpx2.Response:
    body = json.dumps(ALERT).encode()
    signed = deps.sources["generic"].monitor.sign(body, SECRET)
    transport = httpx2.ASGITransport(create_app(deps))
    async with httpx2.AsyncClient(transport=transport, base_url="http://testserver") as client:
        return await client.post(
            "/webhooks/generic",
            content=body,
            headers={"content-type": "application/json", **signed, **headers},
        )


def by_name(spans: InMemorySpanExporter) -> dict[str, list[ReadableSpan]]:
    found: dict[str, list[ReadableSpan]] = {}
    for span in spans.get_finished_spans():
        found.setdefault(span.name, []).append(span)
    return found


def trace_of(span: ReadableSpan) -> str:
    assert span.context is not None
    return f"{span.context.trace_id:032x}"


async def approved_and_sent(world: World, incident_id: str) -> None:
    await world.approve(incident_id, "initial")
    await world.until_sent(Channel.EMAIL, 1)

    async def finished() -> bool:
        states = await world.states(incident_id)
        return bool(states) and not {"pending", "sending"} & {state for *_, state in states}

    await world.until("everything sent", finished)


async def test_one_trace_from_the_webhook_to_the_delivery_and_none_twice_on_replay(
    engine: AsyncEngine, policy: Policy, temporal: TemporalServer, spans: InMemorySpanExporter
) -> None:
    environment = WorkflowEnvironment.from_client(await connect(temporal.address))
    async with world_on(environment, engine, policy) as world:
        deps = deps_on(engine, world.policy, temporal.address)
        response = await post(deps, traceparent=CALLER, **{"X-Correlation-ID": "corr-12345"})
        incident_id = response.json()["incident_id"]
        await approved_and_sent(world, incident_id)
    found = by_name(spans)
    story = [
        "POST /webhooks/{source}", "SignalWithStartWorkflow:Incident", "RunWorkflow:Incident",
        "RunActivity:record_step", "StartChildWorkflow:Broadcast", "RunWorkflow:Broadcast",
        "RunActivity:deliver", "send email",
    ]  # fmt: skip
    for name in story:
        assert {trace_of(s) for s in found[name]} == {TRACE}, name
        for span in found[name]:
            assert span.attributes is not None
            assert span.attributes["forewarn.correlation_id"] == "corr-12345", name
    (request,) = found["POST /webhooks/{source}"]
    assert request.attributes is not None
    assert request.attributes["http.response.status_code"] == 202
    begun = Counter(s.name for s in spans.get_finished_spans() if s.name.startswith("RunWorkflow"))
    assert begun["RunWorkflow:Incident"] == 1
    # A worker that has seen nothing replays the whole run to answer.
    async with world_on(environment, engine, policy, customers=0) as again:
        assert (await again.status(incident_id)).stage != "suspected"
    after = Counter(s.name for s in spans.get_finished_spans() if s.name.startswith("RunWorkflow"))
    assert after == begun
    await nothing_private(engine, spans)


async def nothing_private(engine: AsyncEngine, spans: InMemorySpanExporter) -> None:
    async with engine.connect() as conn:
        people = [*await conn.scalars(select(ContactRow.name)), *await conn.scalars(
            select(ContactRow.email)), *await conn.scalars(select(AccountRow.name))]  # fmt: skip
    said = "\n".join(span.to_json() for span in spans.get_finished_spans())
    assert not [person for person in people if person and person in said]
    assert "@" not in said.replace("@vm", "")
    assert "Payments fail" not in said


async def test_an_alert_that_waited_for_temporal_goes_on_with_its_trace(
    engine: AsyncEngine, policy: Policy, temporal: TemporalServer, spans: InMemorySpanExporter
) -> None:
    away = deps_on(engine, policy, f"127.0.0.1:{free_port()}")
    response = await post(away)
    assert response.json()["disposition"] == "stored"
    async with engine.connect() as conn:
        known = await conn.scalar(select(IncidentRow.correlation_id))
    (request,) = by_name(spans)["POST /webhooks/{source}"]
    assert request.context is not None
    assert known == f"{request.context.trace_id:032x}-{request.context.span_id:016x}"
    # Another gateway, later: all that is left of the request is what PostgreSQL keeps.
    late = deps_on(engine, policy, temporal.address)
    assert await late.relay.run_once() == 1
    (told,) = by_name(spans)["SignalWithStartWorkflow:Incident"]
    assert told.parent is not None
    assert (trace_of(told), told.parent.span_id) == (trace_of(request), request.context.span_id)


async def test_a_failure_is_named_and_not_quoted(spans: InMemorySpanExporter) -> None:
    made = telemetry.tracer()
    assert made is not None
    with pytest.raises(ValueError), made.start_as_current_span("step"):
        raise ValueError("ada@example.com")
    (span,) = spans.get_finished_spans()
    assert [e.attributes and e.attributes["exception.type"] for e in span.events] == ["ValueError"]
    assert not span.status.is_ok
    assert "ada" not in span.to_json()


async def test_a_batch_is_a_span_with_counts(
    engine: AsyncEngine, policy: Policy, spans: InMemorySpanExporter
) -> None:
    now = datetime.now(UTC)
    await ledger_world.incident(engine, now)
    await ledger_world.customers(engine, now, 5)
    await ledger_world.audience(engine, now, range(5))
    ledger = telemetry.sending_ledger(engine, {Channel.EMAIL: Remembering(Channel.EMAIL)})
    given = await ledger.open(
        ledger_world.spec(now), policy, now, configured=ledger_world.EVERYTHING
    )
    claim = await ledger.claim(given, Channel.EMAIL, 5, 60.0, now)
    outcomes = [
        Outcome(
            delivery_id=row.delivery_id,
            fence=claim.fences[row.delivery_id],
            state="sent" if index else "failed",
            sent_at=now if index else None,
        )
        for index, row in enumerate(claim.recipients)
    ]
    assert len(outcomes) == 5
    await ledger.settle(outcomes[:2], given, now)
    assert not by_name(spans)
    await ledger.settle(outcomes[2:], given, now)
    (span,) = by_name(spans)["send email"]
    assert span.attributes is not None
    told = {k: v for k, v in span.attributes.items() if k != "forewarn.broadcast"}
    assert told == {
        "forewarn.channel": "email",
        "forewarn.provider": "remembering",
        "forewarn.rows": 5,
        "forewarn.sent": 4,
        "forewarn.failed": 1,
    }


async def test_without_a_collector_there_is_nothing(
    engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(telemetry.ENDPOINT, raising=False)
    assert telemetry.start("forewarn-test") is False
    assert telemetry.tracer() is None
    assert telemetry.temporal_interceptors() == []
    assert type(telemetry.sending_ledger(engine, {})) is Ledger
