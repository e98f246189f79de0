"""Duties on a Temporal server, and replayed: response, suggested updates, extended outage."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.client import WorkflowUpdateFailedError

from domain.message import Channel
from domain.policy import Policy
from domain.signal import Severity
from tests.workflows.world import World, skipping, world_on
from workflows.messages import AcknowledgeInput, PendingView

MINUTE = timedelta(minutes=1)
pytestmark = pytest.mark.timeout(240)


@pytest.fixture
async def world(engine: AsyncEngine, policy: Policy) -> AsyncIterator[World]:
    async with skipping() as environment, world_on(environment, engine, policy) as made:
        yield made


async def noted(world: World, incident_id: str, key: str) -> None:
    async def look() -> bool:
        return key in await world.timeline(incident_id)

    await world.until(key, look)


async def test_a_critical_incident_asks_people_until_one_acts(world: World) -> None:
    incident = await world.signal(severity=Severity.P1)
    assert incident is not None
    await world.pending(incident, "initial")
    # No chat is configured here.
    await noted(world, incident, "war_room_by_hand")
    await world.sleep(16 * MINUTE)
    await noted(world, incident, "not_engaged")
    handle = world.handle(incident)
    await handle.execute_update("acknowledge", AcknowledgeInput(by="ada"))
    await noted(world, incident, "acknowledged")
    with pytest.raises(WorkflowUpdateFailedError) as caught:
        await handle.execute_update("acknowledge", AcknowledgeInput(by="bob"))
    assert getattr(caught.value.cause, "type", None) == "already_acknowledged"
    assert {"notified", "told", "target_missed", "assessment_missing"} <= set(
        await world.timeline(incident)
    )


async def test_a_suggested_update_lapses_and_the_holding_line_goes(world: World) -> None:
    incident = await world.signal()
    assert incident is not None
    await world.approve(incident, "initial")
    sent = len(await world.until_sent(Channel.EMAIL, 1))
    await world.sleep(56 * MINUTE)
    await noted(world, incident, "suggested")
    await world.pending(incident, "update")
    row = await world.row(incident)
    assert row.pending["moment"] == "update"
    await world.sleep(5 * MINUTE)
    await noted(world, incident, "promise_kept")
    await world.until_sent(Channel.EMAIL, sent + 1)

    async def nothing_waits() -> bool:
        view = await world.handle(incident).query("pending_draft", result_type=PendingView)
        return view.pending is None

    await world.until("nothing waits", nothing_waits)


async def test_after_four_hours_customers_hear_what_is_known(world: World) -> None:
    incident = await world.signal(severity=Severity.P1)
    assert incident is not None
    await world.approve(incident, "initial")
    await world.until_sent(Channel.EMAIL, 1)
    for _ in range(24):
        # One call of the server may not last for all that happens in four hours.
        await world.sleep(10 * MINUTE)
    await world.sleep(MINUTE)
    await noted(world, incident, "extended_entered")
    await world.approve(incident, "extended")

    async def told() -> bool:
        return any(m.moment == "extended" for m in world.senders[Channel.EMAIL].sent)

    await world.until("the extended message", told)
    assert "promise_missed" not in await world.timeline(incident)
