"""What a P1 of 24 hours leaves in Temporal: 96 updates, each written and approved by a human.

The real workflows and steps on real servers; the shipped policy, all built-in channels, senders
that only remember. No time passes between the updates: a quarter of an hour apart, each comes
before any timer of the one before fires, so that the history is the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.client import WorkflowHistory
from temporalio.testing import WorkflowEnvironment

from adapters.db.engine import make_engine
from adapters.db.notes import Notes
from benchmarks.harness import Bench, Figure
from benchmarks.parts.waiting import until
from domain.signal import Severity
from runtime.policy_file import load_policy
from runtime.temporal import connect
from tests.workflows.world import World, world_on
from workflows import names
from workflows.messages import PostUpdateInput

UPDATES = 96
CUSTOMERS = 12
PATIENCE_SECONDS, LOOK_EVERY_SECONDS, LAST_REPORT_SECONDS = 300.0, 0.05, 2
_ALL_SENT = text("""
    SELECT count(*) FILTER (WHERE 'status_page' = ANY(channels)) >= :messages
           AND bool_and(finished_at IS NOT NULL)
    FROM broadcasts
""")
MOST_EVENTS = 1_000


@dataclass(frozen=True)
class Size:
    """What a run's history holds."""

    events: int
    bytes: int


async def run(bench: Bench) -> list[Figure]:
    """Events and bytes of the incident's runs, and of its broadcasts."""
    number = bench.size(UPDATES, 4)
    with bench.servers("day_history") as servers:
        assert servers.temporal is not None
        environment = WorkflowEnvironment.from_client(await connect(servers.temporal.address))
        engine = make_engine(servers.database_url)
        policy = load_policy(bench.unlimited_policy())
        try:
            async with world_on(environment, engine, policy, CUSTOMERS) as world:
                incident = await _day(bench, world, engine, number)
                runs = [size async for size in _runs(world, names.incident_workflow_id(incident))]
                broadcasts = [
                    size
                    for n in range(1, await _broadcasts(engine) + 1)
                    async for size in _runs(world, names.broadcast_workflow_id(incident, n))
                ]
        finally:
            await engine.dispose()
    note = f"{number} updates written and approved by humans, shipped policy"
    return _figures(runs, broadcasts, note)


async def _day(bench: Bench, world: World, engine: AsyncEngine, number: int) -> str:
    incident = await world.signal(severity=Severity.P1)
    if incident is None:
        raise RuntimeError("the alert opened no incident")
    await world.approve(incident, "initial")
    await _all_sent(engine, 1)
    for turn in range(number):
        words = f"We have checked {turn + 1} of our sites and go on with the next one."
        note = await Notes(engine).save(incident, words, "ada", await world.now())
        await world.handle(incident).execute_update(
            "post_update", PostUpdateInput(by="ada", note_id=note)
        )
        await world.approve(incident, "update")
        await _all_sent(engine, turn + 2)
        if (turn + 1) % 24 == 0:
            bench.say(f"{turn + 1} updates")
    # What the last broadcast reports belongs to it.
    await asyncio.sleep(LAST_REPORT_SECONDS)
    return incident


async def _broadcasts(engine: AsyncEngine) -> int:
    async with engine.connect() as conn:
        return int(await conn.scalar(text("SELECT count(*) FROM broadcasts")) or 0)


async def _all_sent(engine: AsyncEngine, messages: int) -> None:
    """Until so many messages are out on every channel."""

    async def look() -> bool:
        async with engine.connect() as conn:
            return bool(await conn.scalar(_ALL_SENT, {"messages": messages}))

    await until("the messages", look, PATIENCE_SECONDS, LOOK_EVERY_SECONDS)


async def _runs(world: World, workflow_id: str) -> AsyncIterator[Size]:
    """The sizes of a workflow's runs, the last first: each names the one before it."""
    run_id = ""
    while True:
        handle = world.client.get_workflow_handle(workflow_id, run_id=run_id or None)
        history: WorkflowHistory = await handle.fetch_history()
        events = history.events
        yield Size(len(events), sum(event.ByteSize() for event in events))
        begun = events[0].workflow_execution_started_event_attributes
        run_id = begun.continued_execution_run_id
        if not run_id:
            return


def _figures(runs: list[Size], broadcasts: list[Size], note: str) -> list[Figure]:
    longest, goal = max(runs, key=lambda r: r.events), f"at most {MOST_EVENTS:,}"
    total = sum(r.events for r in runs)
    sending = [r.events for r in broadcasts]
    return [
        Figure("24-hour P1, largest history", longest.events, "events", goal=goal,
               met=longest.events <= MOST_EVENTS, note=note),
        Figure("24-hour P1, largest history", longest.bytes / 1000, "kB",
               note="what a worker reads to take the incident over"),
        Figure("24-hour P1, all runs of the incident", total, "events", goal=goal,
               met=total <= MOST_EVENTS, note=f"{len(runs)} runs"),
        Figure("24-hour P1, all runs of the incident", sum(r.bytes for r in runs) / 1000, "kB"),
        Figure("24-hour P1, a broadcast's history", max(sending), "events",
               note=f"largest of {len(broadcasts)}; {sum(sending):,} in all"),
    ]  # fmt: skip
