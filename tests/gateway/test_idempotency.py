"""A command that is sent twice is carried out once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.db.idempotency import Answer, Claim, Idempotency
from domain.errors import Refused
from domain.policy import Policy
from tests.gateway.staff_kit import Kit, staff_kit

START = {"title": "Payments fail", "components": ["payments"], "separate": True}


@pytest.fixture
async def kit(engine: AsyncEngine, policy: Policy, now: datetime) -> AsyncIterator[Kit]:
    async with staff_kit(engine, policy, now) as opened:
        yield opened


async def _incidents(kit: Kit) -> int:
    async with kit.deps.engine.connect() as conn:
        return int((await conn.execute(text("SELECT count(*) FROM incidents"))).scalar_one())


async def test_same_key_same_answer(kit: Kit) -> None:
    headers = kit.auth("responder", key="one")
    first = await kit.http.post("/api/incidents", json=START, headers=headers)
    again = await kit.http.post("/api/incidents", json=START, headers=headers)
    assert first.status_code == again.status_code == 201
    assert first.json() == again.json()
    assert again.headers["idempotent-replayed"] == "true"
    assert await _incidents(kit) == 1


async def test_another_body_is_a_conflict_and_another_actor_is_not(kit: Kit) -> None:
    headers = kit.auth("responder", key="one")
    await kit.http.post("/api/incidents", json=START, headers=headers)
    other = await kit.http.post("/api/incidents", json={"title": "Other"}, headers=headers)
    assert other.status_code == 409
    assert other.json()["type"] == "urn:forewarn:problem:idempotency_conflict"
    colleague = kit.auth("approver", key="one")
    mine = await kit.http.post("/api/incidents", json=START, headers=colleague)
    assert mine.status_code == 201
    assert await _incidents(kit) == 2


async def test_duplicates_at_the_same_instant_are_one(kit: Kit) -> None:
    headers = kit.auth("responder", key="one")
    answers = await asyncio.gather(
        *(kit.http.post("/api/incidents", json=START, headers=headers) for _ in range(5))
    )
    assert {a.status_code for a in answers} == {201}
    assert len({a.json()["id"] for a in answers}) == 1
    assert await _incidents(kit) == 1


async def test_a_refused_command_may_be_corrected_under_the_same_key(kit: Kit) -> None:
    headers = kit.auth("responder", key="one")
    bad = await kit.http.post("/api/incidents", json={"title": ""}, headers=headers)
    assert bad.status_code == 422
    good = await kit.http.post("/api/incidents", json=START, headers=headers)
    assert good.status_code == 201


@pytest.mark.parametrize("key", ["", "x" * 201])
async def test_a_key_that_cannot_be_kept_is_refused(kit: Kit, key: str) -> None:
    headers = kit.auth("responder") | {"Idempotency-Key": key}
    answer = await kit.http.post("/api/incidents", json=START, headers=headers)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "Idempotency-Key"


async def test_a_claim_whose_process_died_is_taken_over(engine: AsyncEngine, now: datetime) -> None:
    store = Idempotency(engine)
    assert await store.claim("k", "a", "h", now) is Claim.MINE
    assert await store.claim("k", "a", "h", now) is Claim.BUSY
    later = now + timedelta(minutes=2)
    assert await store.claim("k", "a", "h", later) is Claim.MINE
    assert await store.claim("k", "a", "h", later) is Claim.BUSY
    await store.answer("k", "a", Answer(200, "{}"))
    assert await store.claim("k", "a", "h", later) == Answer(200, "{}")
    with pytest.raises(Refused):
        await store.claim("k", "a", "other", later)
    assert await store.claim("k", "a", "other", later + timedelta(days=8)) is Claim.MINE
