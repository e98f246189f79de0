"""`adopt_policy`: a running incident goes on under another policy, or says why it cannot."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.client import WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError

from adapters.db.models import BroadcastRow
from adapters.db.policies import PolicyStore
from domain.message import Channel
from domain.policy import Policy
from tests.workflows.world import World, skipping, storm, world_on
from workflows.messages import AdoptPolicyInput, CommandResult


async def store(world: World, policy: Policy) -> str:
    await PolicyStore(world.engine).save(policy, "test", await world.now())
    return policy.hash


async def adopt(world: World, incident: str, policy_hash: str) -> str | None:
    """The kind of the refusal; None when it was taken."""
    try:
        await world.handle(incident).execute_update(
            "adopt_policy",
            AdoptPolicyInput(by="ada", hash=policy_hash),
            result_type=CommandResult,
        )
    except WorkflowUpdateFailedError as error:
        assert isinstance(error.cause, ApplicationError)
        return error.cause.type
    return None


@pytest.fixture
async def world(engine: AsyncEngine, policy: Policy) -> AsyncIterator[World]:
    async with skipping() as environment, world_on(environment, engine, policy) as made:
        yield made


async def announced(world: World) -> str:
    incident = await world.signal()
    assert incident is not None
    await world.approve(incident, "initial")
    await world.until_sent(Channel.STATUS_PAGE, 1)
    return incident


def rhythm(policy: Policy, every: str) -> Policy:
    content = policy.model_dump(mode="json")
    content["severities"]["P2"]["update_every"] = every
    return Policy.model_validate(content)


async def test_the_next_update_comes_by_the_new_rhythm_also_after_a_new_history(
    world: World,
) -> None:
    incident = await announced(world)
    first = (await world.status(incident)).next_update_due
    quick = await store(world, rhythm(world.policy, "20m"))
    assert await adopt(world, incident, quick) is None
    due = (await world.status(incident)).next_update_due
    assert first is not None and due is not None
    # Both are whole minutes, counted from a moment that may lie on either side of one.
    assert abs(first - due - timedelta(minutes=40)) <= timedelta(minutes=1)
    row = await world.row(incident)
    assert row.policy_hash == quick
    assert "policy_changed" in await world.timeline(incident)

    await storm(world, incident)
    await world.sleep(timedelta(minutes=21))
    await world.until_sent(Channel.STATUS_PAGE, 2)
    assert await adopt(world, incident, quick) == "same_policy"
    async with world.engine.connect() as conn:
        hashes = await conn.scalars(
            select(BroadcastRow.policy_hash).where(BroadcastRow.incident_id == incident)
        )
        assert set(hashes) == {world.policy.hash, quick}, "each message names what allowed it"


async def test_what_the_policy_lacks_is_named_and_nothing_changes(world: World) -> None:
    incident = await announced(world)
    content = world.policy.model_dump(mode="json")
    content["components"] = [c for c in content["components"] if c["key"] != "payments"]
    content["grouping"]["lead"] = []
    content["components"][0]["children"][2]["depends_on"] = []
    content["services"] = {}
    without = await store(world, Policy.model_validate(content))
    before = await world.row(incident)
    assert await adopt(world, incident, without) == "unfit_policy"
    assert await adopt(world, incident, "0" * 16) == "unknown_policy"
    assert await adopt(world, incident, world.policy.hash) == "same_policy"
    after = await world.row(incident)
    assert (after.policy_hash, after.next_update_due) == (
        before.policy_hash,
        before.next_update_due,
    )
    # It goes on as if nobody had asked.
    await world.sleep(timedelta(minutes=61))
    await world.until_sent(Channel.STATUS_PAGE, 2)


async def test_time_confirms_by_a_durable_timer(engine: AsyncEngine, policy: Policy) -> None:
    content = policy.model_dump(mode="json")
    content["confirm"].append({"when": {}, "firing_for": "15m", "reason": "it fires on"})
    patient = Policy.model_validate(content)
    async with skipping() as environment, world_on(environment, engine, patient) as world:
        incident = await world.signal(customer_impact=None, affected_share=None)
        assert incident is not None
        await world.until_stage(incident, "suspected")
        await world.sleep(timedelta(minutes=16))
        await world.pending(incident, "initial")
        assert "confirmation_rule" in await world.timeline(incident)
