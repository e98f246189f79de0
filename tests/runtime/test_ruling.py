"""A program follows the policy in force without a restart."""

from __future__ import annotations

import asyncio
from datetime import datetime

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.db.policies_in_force import PoliciesInForce
from domain.policy import Policy
from runtime import ruling
from runtime.ruling import Ruling


def changed(policy: Policy) -> Policy:
    content = policy.model_dump(mode="json")
    content["company"]["name"] = "Acme Sky"
    return Policy.model_validate(content)


async def test_it_takes_up_what_another_process_applied(
    engine: AsyncEngine, policy: Policy, now: datetime
) -> None:
    taken: list[Policy] = []
    here = Ruling(engine, policy, taken.append, lambda: now)
    await here.begin("default.yaml")
    assert taken == []
    assert not await here.look()
    await PoliciesInForce(engine).apply(changed(policy), "ada", "mine.yaml", now)
    assert await here.look()
    assert not await here.look()
    assert [p.company.name for p in taken] == ["Acme Sky"]


async def test_a_start_takes_up_what_was_chosen_before(
    engine: AsyncEngine, policy: Policy, now: datetime
) -> None:
    await Ruling(engine, policy, lambda _: None, lambda: now).begin("default.yaml")
    await PoliciesInForce(engine).apply(changed(policy), "ada", "mine.yaml", now)
    taken: list[Policy] = []
    await Ruling(engine, policy, taken.append, lambda: now).begin("default.yaml")
    assert taken == [changed(policy)]


async def test_it_goes_on_after_a_fault(
    engine: AsyncEngine, policy: Policy, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ruling, "LOOK_SECONDS", 0.01)
    taken: asyncio.Queue[Policy] = asyncio.Queue()
    here = Ruling(engine, policy, taken.put_nowait, lambda: now)
    task = asyncio.create_task(here.run_forever("default.yaml"))
    try:
        for _ in range(500):
            if await PoliciesInForce(engine).now():
                break
            await asyncio.sleep(0.01)
        # Its connections are cut, as by a server that restarts.
        await engine.dispose()
        await PoliciesInForce(engine).apply(changed(policy), "ada", "mine.yaml", now)
        assert (await asyncio.wait_for(taken.get(), 10)).hash == changed(policy).hash
    finally:
        task.cancel()
