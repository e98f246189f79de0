"""Everybody asks and tells at the same moment: what an incident did can be played again exactly.

Local activities failed here: their results were replayed in another workflow task than the one
they had arrived in (temporalio/sdk-python#1881), and the incident was stuck.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from itertools import cycle, islice
from random import Random

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.client import WorkflowHistory, WorkflowUpdateFailedError

from domain.policy import Policy
from tests.workflows.world import World, real_time, world_on
from workflows.messages import ChangeSeverityInput, DecideInput, HandOverInput, PendingView

COMPONENTS = ("payments", "login")
COMMANDS = 15


@pytest.fixture
async def world(engine: AsyncEngine, policy: Policy) -> AsyncIterator[World]:
    """Plays every history again at its end."""
    async with real_time() as environment, world_on(environment, engine, policy) as made:
        yield made


async def test_commands_and_questions_from_all_sides(world: World) -> None:
    incidents = [
        await world.signal(dedup_key=component, components=(component,)) for component in COMPONENTS
    ]
    busy, chance = asyncio.Event(), Random(1)

    async def ask(incident: str) -> None:
        while not busy.is_set():
            await world.status(incident)
            await asyncio.sleep(chance.random() * 0.03)

    async def command(incident: str) -> None:
        severities = cycle(("P1", "P3"))
        for number in range(COMMANDS):
            handle = world.handle(incident)
            if number % 3 == 0:
                change = ChangeSeverityInput(by="ada", severity=next(severities))
                await handle.execute_update("change_severity", change)
            elif number % 3 == 1:
                hand_over = HandOverInput(by="ada", role="approver", to=f"colleague {number}")
                await handle.execute_update("hand_over", hand_over)
            else:
                await approve_what_waits(world, incident)
            await asyncio.sleep(chance.random() * 0.1)

    named = [incident for incident in incidents if incident is not None]
    assert len(named) == len(COMPONENTS)
    asking = [asyncio.create_task(ask(incident)) for incident in islice(cycle(named), 6)]
    try:
        await asyncio.gather(*(command(incident) for incident in named))
    finally:
        busy.set()
        await asyncio.gather(*asking)
    for incident in named:
        history = await world.handle(incident).fetch_history()
        assert commands(history) >= 2 * COMMANDS // 3


async def approve_what_waits(world: World, incident: str) -> None:
    view = await world.handle(incident).query("pending_draft", result_type=PendingView)
    if view.pending is not None:
        decision = DecideInput(draft=view.pending.draft, decision="approve", by="ada")
        with suppress(WorkflowUpdateFailedError):  # another version took its place meanwhile
            await world.handle(incident).execute_update("decide", decision)


def commands(history: WorkflowHistory) -> int:
    """How many updates the run took."""
    return sum(
        event.HasField("workflow_execution_update_accepted_event_attributes")
        for event in history.events
    )
