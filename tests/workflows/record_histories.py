"""Plays the stories of `test_replay.py`; their histories go to tests/histories/<release>/."""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

from temporalio.client import WorkflowFailureError, WorkflowHandle
from temporalio.service import RPCError

from adapters.db.engine import make_engine
from adapters.db.migrate import upgrade
from domain.message import Channel
from domain.signal import SignalStatus
from runtime.policy_file import load_policy
from runtime.servers import PostgresServer
from tests.conftest import create_database
from tests.workflows.test_maintenance import announced as planned
from tests.workflows.test_replay import HISTORIES, RELEASE, STORIES
from tests.workflows.world import World, skipping, storm, world_on
from workflows import names
from workflows.maintenance_messages import EndInput, ExtendInput
from workflows.messages import ChangeSeverityInput

FOLDER = HISTORIES / RELEASE
POLICY = Path(__file__).parents[2] / "content" / "policy" / "default.yaml"
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
Story = Callable[[World], Awaitable[str]]


async def approved(world: World) -> str:
    """From alert to closing, with every approval given."""
    incident = await _announced(world)
    await world.signal(status=SignalStatus.RESOLVED)
    await world.until_stage(incident, "monitoring")
    await world.sleep(11 * MINUTE)
    await world.approve(incident, "resolution")
    await world.approve(incident, "post_mortem")
    await world.until_sent(Channel.STATUS_PAGE, 3)
    await world.sleep(31 * MINUTE)
    await world.handle(incident).result()
    return incident


async def timed_out(world: World) -> str:
    """Nobody decides, nobody writes: escalation, then holding lines."""
    incident = await world.signal()
    assert incident is not None
    await world.pending(incident, "initial")
    await world.sleep(25 * MINUTE)
    await world.approve(incident, "initial")
    await world.sleep(125 * MINUTE)
    await world.until_sent(Channel.STATUS_PAGE, 3)
    return incident


async def upgraded(world: World) -> str:
    """P2 becomes P1 in mid-flight."""
    incident = await _announced(world)
    await world.handle(incident).execute_update(
        "change_severity", ChangeSeverityInput(by="ada", severity="P1", reason="it spreads")
    )
    await world.approve(incident, "escalation")
    await world.until_sent(Channel.STATUS_PAGE, 2)
    return incident


async def continued_as_new(world: World) -> str:
    """A storm of alerts while the first message waits for approval."""
    incident = await world.signal()
    assert incident is not None
    await world.pending(incident, "initial")
    await storm(world, incident)
    await world.approve(incident, "initial")
    await world.until_sent(Channel.STATUS_PAGE, 1)
    return incident


async def cancelled(world: World) -> str:
    """Somebody cancels the run from outside."""
    incident = await _announced(world)
    await world.handle(incident).cancel()
    with suppress(WorkflowFailureError):
        await world.handle(incident).result()
    return incident


async def maintained(world: World) -> str:
    """Planned work from its notice to its end, one hour late."""
    work = await planned(world)
    await world.sleep(3 * DAY)
    later = await world.now() + 3 * HOUR
    await world.handle(work).execute_update("extend", ExtendInput(by="ada", ends_at=later))
    await world.approve(work, "maintenance_overrun")
    await world.sleep(2 * HOUR)
    await world.handle(work).execute_update("complete", EndInput(by="ada"))
    await world.handle(work).result()
    return work


async def _announced(world: World) -> str:
    incident = await world.signal()
    assert incident is not None
    await world.approve(incident, "initial")
    await world.until_sent(Channel.STATUS_PAGE, 1)
    return incident


async def record(story: Story, database_url: str) -> None:
    """Play one story and write the histories of all its runs."""
    engine = make_engine(database_url)
    async with skipping() as environment, world_on(environment, engine, load_policy(POLICY)) as w:
        incident = await story(w)
        for name, workflow_id in _workflows(incident):
            await _write(story.__name__, name, w.client.get_workflow_handle(workflow_id), w)
    await engine.dispose()


def _workflows(incident: str) -> list[tuple[str, str]]:
    broadcasts = [(f"broadcast-{n}", names.broadcast_workflow_id(incident, n)) for n in (1, 2)]
    return [
        ("incident", names.incident_workflow_id(incident)),
        ("post-mortem", names.post_mortem_workflow_id(incident)),
        *broadcasts,
    ]


async def _write(story: str, name: str, handle: WorkflowHandle[object, object], w: World) -> None:
    """Write the last run, and the ones before it when it continued as new."""
    number = 0
    while True:
        try:
            history = await handle.fetch_history()
        except RPCError:
            return  # this story has no such workflow
        number += 1
        path = FOLDER / f"{story}--{name}-{number}.json"
        compact = json.dumps(history.to_json_dict(), separators=(",", ":"))
        path.write_text(compact + "\n", "utf-8")
        started = history.events[0].workflow_execution_started_event_attributes
        before = started.continued_execution_run_id
        if not before:
            return
        handle = w.client.get_workflow_handle(handle.id, run_id=before)


async def main() -> None:
    """Record every story of the present release on servers of its own."""
    FOLDER.mkdir(exist_ok=True)
    for old in FOLDER.glob("*.json"):
        old.unlink()
    played = (approved, timed_out, upgraded, continued_as_new, cancelled, maintained)
    stories = {f.__name__: f for f in played}
    with tempfile.TemporaryDirectory() as folder:
        server = PostgresServer(Path(folder))
        server.start()
        try:
            for name in STORIES:
                database_url = create_database(server, name)
                upgrade(database_url)
                await record(stories[name], database_url)
        finally:
            server.stop()


if __name__ == "__main__":
    asyncio.run(main())
