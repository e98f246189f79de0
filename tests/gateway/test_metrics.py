"""`/metrics` of a whole gateway: what is away is said at once, and no caller names a label."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx2
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.db.engine import make_engine
from domain.policy import Policy
from gateway.app import create_app
from runtime.processes import free_port
from tests.gateway.whole import deps_on


@asynccontextmanager
async def gateway(engine: AsyncEngine, policy: Policy) -> AsyncIterator[httpx2.AsyncClient]:
    app = create_app(deps_on(engine, policy, f"127.0.0.1:{free_port()}"))
    transport = httpx2.ASGITransport(app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://testserver") as client:
        yield client


async def samples(client: httpx2.AsyncClient) -> dict[tuple[str, str], float]:
    """(name, values of the labels) → value."""
    text = (await client.get("/metrics")).text
    return {
        (sample.name, " ".join(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def test_a_server_that_is_away_is_said_and_not_waited_for(
    engine: AsyncEngine, policy: Policy
) -> None:
    async with gateway(engine, policy) as client:
        found = await samples(client)
        assert found[("forewarn_temporal_down", "")] == 1
        assert found[("forewarn_postgresql_down", "")] == 0
        assert found[("forewarn_promises_total", "missed")] == 0
        assert ("forewarn_workflows_stuck", "") not in found
    nowhere = make_engine(f"postgresql://nobody@127.0.0.1:{free_port()}/none")
    async with gateway(nowhere, policy) as client:
        began = time.monotonic()
        found = await samples(client)
        assert time.monotonic() - began < 2
        assert found[("forewarn_postgresql_down", "")] == 1
        # Zero would say that all is well.
        assert ("forewarn_inbox_waiting", "") not in found
    await nowhere.dispose()


async def test_requests_are_counted_by_outcome_and_a_caller_names_no_label(
    engine: AsyncEngine, policy: Policy
) -> None:
    async with gateway(engine, policy) as client:
        for path in ("generic", "ada@example.com", "ada@example.com/more"):
            await client.post(f"/webhooks/{path}", content=b"{}")
        found = await samples(client)
        counted = {
            labels: int(n)
            for (name, labels), n in found.items()
            if name == "forewarn_webhook_request_seconds_count"
        }
        assert counted == {"http_401 generic": 1, "http_404 unknown": 2}
        assert "ada" not in (await client.get("/metrics")).text
