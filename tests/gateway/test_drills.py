"""Exercises through the real doors: kept apart, marked, faster, and nothing guessed."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

import httpx2
import pytest
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.db.models import IncidentRow
from adapters.db.policies import PolicyStore
from domain.policy import Policy
from gateway.app import create_app
from gateway.deps import Deps
from runtime.processes import free_port
from tests.gateway.staff_kit import staff_kit
from tests.gateway.whole import SECRET, deps_on

LEAST = {"id": "d-1", "status": "firing", "title": "Payments fail", "components": ["payments"]}


@pytest.fixture
def deps(engine: AsyncEngine, policy: Policy) -> Deps:
    return deps_on(engine, policy, f"127.0.0.1:{free_port()}")


@pytest.fixture
async def client(deps: Deps) -> AsyncIterator[httpx2.AsyncClient]:
    transport = httpx2.ASGITransport(create_app(deps), raise_app_exceptions=False)
    async with httpx2.AsyncClient(transport=transport, base_url="http://testserver") as opened:
        yield opened


async def send(
    client: httpx2.AsyncClient, deps: Deps, query: str = "", **changes: Any
) -> httpx2.Response:
    raw = json.dumps(LEAST | changes).encode()
    signed = deps.sources["generic"].monitor.sign(raw, SECRET)
    headers = {"content-type": "application/json", **signed}
    return await client.post(f"/webhooks/generic{query}", content=raw, headers=headers)


async def rows(engine: AsyncEngine) -> dict[str, tuple[bool, str]]:
    async with engine.connect() as conn:
        found = await conn.execute(
            select(IncidentRow.id, IncidentRow.dry_run, IncidentRow.policy_hash)
        )
        return {row.id: (row.dry_run, row.policy_hash) for row in found}


async def test_the_same_alert_in_earnest_and_as_an_exercise_are_two_incidents(
    client: httpx2.AsyncClient, deps: Deps
) -> None:
    real = (await send(client, deps)).json()["incident_id"]
    practice = (await send(client, deps, "?dry_run=true")).json()["incident_id"]
    assert real != practice
    assert await rows(deps.engine) == {
        real: (False, deps.policy_hash), practice: (True, deps.policy_hash),
    }  # fmt: skip
    again = (await send(client, deps, "?dry_run=true")).json()
    assert (again["disposition"], again["incident_id"]) == ("duplicate", practice)


async def test_a_faster_exercise_brings_its_policy(client: httpx2.AsyncClient, deps: Deps) -> None:
    practice = (await send(client, deps, "?dry_run=true&speed=60")).json()["incident_id"]
    _, ruled_by = (await rows(deps.engine))[practice]
    assert ruled_by != deps.policy_hash
    fast = await PolicyStore(deps.engine).by_hash(ruled_by)
    assert fast.resolution.stable_for.total_seconds() == 10
    assert fast.hash == ruled_by


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("?dry_run=yes", "dry_run"),
        ("?dry-run=true", "dry-run"),
        ("?dryrun=1", "dryrun"),
        ("?dry_run=true&speed=0", "speed"),
        ("?dry_run=true&speed=1e3", "speed"),
        ("?dry_run=true&speed=99999999999999999999", "speed"),
        ("?speed=60", "speed"),
    ],
)
async def test_a_misspelt_exercise_is_refused_rather_than_real(
    client: httpx2.AsyncClient, deps: Deps, query: str, field: str
) -> None:
    answer = await send(client, deps, query)
    assert answer.status_code == 422, answer.text
    assert [fault["field"] for fault in answer.json()["errors"]] == [field]
    assert await rows(deps.engine) == {}


async def test_an_unsigned_exercise_is_let_in_no_more_than_a_real_alert(
    client: httpx2.AsyncClient, deps: Deps
) -> None:
    raw = json.dumps(LEAST)
    answer = await client.post(
        "/webhooks/generic?dry_run=perhaps", content=raw,
        headers={"content-type": "application/json"},
    )  # fmt: skip
    assert answer.status_code == 401


async def test_what_a_monitor_adds_to_its_address_is_its_own_affair(
    client: httpx2.AsyncClient, deps: Deps
) -> None:
    assert (await send(client, deps, "?team=ops")).status_code == 202


async def test_the_description_says_that_exercises_are_known(client: httpx2.AsyncClient) -> None:
    described = (await client.get("/openapi.json")).json()
    given = described["paths"]["/webhooks/{source}"]["post"]["parameters"]
    assert {"dry_run", "speed"} <= {parameter["name"] for parameter in given}


async def test_a_human_starts_one_in_dry_run(
    engine: AsyncEngine, policy: Policy, now: datetime
) -> None:
    async with staff_kit(engine, policy, now) as kit:
        start = {"title": "Payments fail", "components": ["payments"], "dry_run": True}
        for body in (start, start | {"dry_run": False}):
            headers = kit.auth("responder")
            assert (await kit.http.post("/api/incidents", json=body, headers=headers)).is_success
    async with engine.connect() as conn:
        found = await conn.execute(
            text("SELECT dry_run FROM incidents ORDER BY opened_at, dry_run")
        )
        assert sorted(found.scalars()) == [False, True]
