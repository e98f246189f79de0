"""The dead-man's switch: heard while the whole chain works, silent as soon as a link does not."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio import workflow
from temporalio.worker import Worker

from runtime import figures
from runtime.figures import POLLED_WITHIN, Watch
from runtime.heartbeat import CALLS, Heartbeat
from runtime.processes import free_port
from runtime.relay import TemporalLink
from runtime.servers import TemporalServer
from runtime.temporal import connect
from tests.adapters.db import ledger_world
from workflows.names import QUEUE_INCIDENTS


@workflow.defn(name="Idle", sandboxed=False)
class Idle:
    @workflow.run
    async def run(self) -> None: ...


class Outside:
    """Who waits for the signs of life."""

    def __init__(self) -> None:
        self.heard = 0
        self.status = 200
        outside = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outside.heard += 1
                self.send_response(outside.status)
                self.end_headers()

            def log_message(self, *_: Any) -> None: ...

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/ping/a-secret"


@contextmanager
def listening() -> Iterator[Outside]:
    outside = Outside()
    thread = threading.Thread(target=outside.server.serve_forever, daemon=True)
    thread.start()
    try:
        yield outside
    finally:
        outside.server.shutdown()
        outside.server.server_close()
        thread.join()


@pytest.fixture
def outside() -> Iterator[Outside]:
    with listening() as found:
        yield found


class Clock:
    def __init__(self) -> None:
        self.moved = timedelta(0)

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.moved


@pytest.fixture(scope="module")
def temporal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TemporalServer]:
    server = TemporalServer(tmp_path_factory.mktemp("temporal"))
    server.start()
    yield server
    server.stop()


async def test_heard_when_well_and_silent_when_a_link_is_broken(
    engine: AsyncEngine, temporal: TemporalServer, outside: Outside
) -> None:
    clock = Clock()
    watch = Watch(engine, TemporalLink(lambda: connect(temporal.address)), clock)
    heart = Heartbeat(outside.url, watch, between_calls=0.0)
    client = await connect(temporal.address)
    async with Worker(client, task_queue=QUEUE_INCIDENTS, workflows=[Idle]):
        await client.execute_workflow(Idle.run, id="idle", task_queue=QUEUE_INCIDENTS)
        assert await heart.beat()
        assert (outside.heard, heart.silent) == (1, None)

        # A promise is kept within a minute of its time, or customers were told something untrue.
        now = clock()
        await ledger_world.incident(engine, now)
        await ledger_world.run(
            engine,
            "INSERT INTO promises (incident_id, number, made_at, due) VALUES (:i, 1, :now, :due)",
            i=ledger_world.INCIDENT, now=now, due=now - timedelta(seconds=30),
        )  # fmt: skip
        assert await heart.beat()
        clock.moved = timedelta(seconds=40)
        assert not await heart.beat()
        assert "promised update" in str(heart.silent)
        await ledger_world.run(engine, "UPDATE promises SET state = 'kept', kept_at = due")
        assert await heart.beat()
        assert outside.heard == 3

        # A signal that nobody told its workflow.
        clock.moved = timedelta(0)
        half_a_minute_ago = clock() - timedelta(seconds=30)
        await ledger_world.run(engine, UNTOLD, i=ledger_world.INCIDENT, at=half_a_minute_ago)
        assert await heart.beat()
        clock.moved = timedelta(seconds=40)
        assert not await heart.beat()
        assert "a signal has waited" in str(heart.silent)
        await ledger_world.run(engine, "UPDATE signals SET relayed_at = received_at")
    # The worker is gone; what it asked last grows old.
    clock.moved += POLLED_WITHIN
    assert not await heart.beat()
    assert "no worker" in str(heart.silent)
    assert outside.heard == 4
    await watch.close()


UNTOLD = """
    INSERT INTO signals (id, source, external_id, dedup_key, status, signal, category, severity,
        severity_stated, confirms, components, regions, reasons, correlation_id, incident_id,
        disposition, received_at)
    VALUES ('sig_1', 'generic', '1', '1', 'firing', '{}', 'local_degradation', 'P3', false, false,
        '{}', '{}', '{}', 'c', :i, 'stored', :at)
"""


async def test_silent_without_a_server(engine: AsyncEngine, outside: Outside) -> None:
    nobody = f"127.0.0.1:{free_port()}"
    watch = Watch(engine, TemporalLink(lambda: connect(nobody), connect_seconds=0.5), Clock())
    heart = Heartbeat(outside.url, watch)
    assert not await heart.beat()
    assert heart.silent == "Temporal does not answer"
    async with engine.connect() as conn:
        await conn.execute(text("SELECT 1"))
    assert outside.heard == 0


async def test_a_server_that_does_not_know_the_attribute_is_not_down(
    engine: AsyncEngine, temporal: TemporalServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch = Watch(engine, TemporalLink(lambda: connect(temporal.address)), Clock())
    seen = (await watch.snapshot()).temporal
    assert seen is not None and seen.stuck == 0
    monkeypatch.setattr(figures, "STUCK", "NobodyKnowsThis IS NOT NULL")
    seen = (await watch.snapshot(newest=True)).temporal
    assert seen is not None and seen.stuck is None
    await watch.close()


async def test_an_address_that_refuses_is_asked_again_and_then_counts_as_silence(
    engine: AsyncEngine, temporal: TemporalServer, outside: Outside
) -> None:
    watch = Watch(engine, TemporalLink(lambda: connect(temporal.address)), Clock())
    heart = Heartbeat(outside.url, watch, between_calls=0.0)
    client = await connect(temporal.address)
    outside.status = 503
    async with Worker(client, task_queue=QUEUE_INCIDENTS, workflows=[Idle]):
        await client.execute_workflow(Idle.run, id="idle-2", task_queue=QUEUE_INCIDENTS)
        assert not await heart.beat()
        assert outside.heard == CALLS
        assert heart.silent == "nobody answered the heartbeat"
        outside.status = 200
        assert await heart.beat()
    await watch.close()
