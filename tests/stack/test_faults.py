"""Alerts while servers are away, race or are hostile: each counts once, and none is lost."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx2
import psycopg
import pytest
from sqlalchemy import event, select, text
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.client import Client
from temporalio.service import RPCError

from adapters.db import engine as engine_module
from adapters.db.intake import Intake
from adapters.db.migrate import upgrade
from adapters.db.models import AlertRow, IncidentRow, SignalRow
from adapters.db.policies import PolicyStore
from domain.policy import Policy
from runtime.processes import free_port
from runtime.servers import PostgresServer, TemporalServer
from runtime.temporal import connect
from runtime.wiring import build_steps, build_workers, utc_now
from tests.adapters.db.ledger_world import run
from tests.stack.doors import HOST, counts, door
from tests.stack.sending_world import until
from workflows import names
from workflows.messages import StatusView


@pytest.fixture(scope="module")
def temporal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TemporalServer]:
    server = TemporalServer(tmp_path_factory.mktemp("temporal"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def nobody() -> str:
    """Where no Temporal answers."""
    return f"{HOST}:{free_port(HOST)}"


async def workflows_of(client: Client, incident_id: str) -> int:
    """How often the incident's workflow was started."""
    query = f'WorkflowId = "{names.incident_workflow_id(incident_id)}"'
    found: int = (await client.count_workflows(query)).count
    return found


async def test_temporal_away_when_the_alerts_come(
    tmp_path: Path, engine: AsyncEngine, database_url: str, policy: Policy
) -> None:
    server = TemporalServer(tmp_path)
    await PolicyStore(engine).save(policy, "test", utc_now())
    async with AsyncExitStack() as stack:
        gateway = await stack.enter_async_context(door(database_url, server.address, policy))
        async with asyncio.timeout(10):
            answers = [await gateway.alert(f"d{n}") for n in range(5)]
        assert [a.status_code for a in answers] == [202] * 5
        assert {a.json()["disposition"] for a in answers} == {"stored"}
        (incident_id,) = {a.json()["incident_id"] for a in answers}

        stack.callback(server.stop)
        await asyncio.to_thread(server.start)
        client = await connect(server.address)
        steps = build_steps(engine, policy, {}, "https://status.example", "test-secret")
        for worker in build_workers(client, steps, [names.QUEUE_INCIDENTS, names.QUEUE_DRAFTING]):
            await stack.enter_async_context(worker)
        handle = client.get_workflow_handle(names.incident_workflow_id(incident_id))

        async def lives() -> bool:
            try:
                status = await handle.query("status", result_type=StatusView)
            except RPCError:
                return False
            return bool(status.stage == "investigating")

        await until("the incident's workflow", lives, 60)

        async def all_told() -> bool:
            return await gateway.deps.intake.unrelayed() == []

        await until("every alert is told", all_told)
        after = (await gateway.alert("d5")).json()
        assert (after["disposition"], after["incident_id"]) == ("folded", incident_id)
    rows = await counts(engine)
    assert (rows["signals"], rows["incidents"]) == (6, 1)


async def test_two_gateways_and_their_relays_on_one_inbox(
    temporal: TemporalServer, engine: AsyncEngine, database_url: str, policy: Policy
) -> None:
    async with AsyncExitStack() as stack:
        gateways = [
            await stack.enter_async_context(door(database_url, temporal.address, policy))
            for _ in range(2)
        ]
        answers = await asyncio.gather(
            *(gateways[n % 2].alert(f"d{n}", dedup_key=f"k{n % 7}") for n in range(60))
        )
        assert {a.status_code for a in answers} == {202}
        (incident_id,) = {a.json()["incident_id"] for a in answers}

        async def all_told() -> bool:
            return await gateways[0].deps.intake.unrelayed() == []

        await until("every alert is told", all_told)
        client = await connect(temporal.address)
        handle = client.get_workflow_handle(names.incident_workflow_id(incident_id))
        told = [
            json.loads(event.workflow_execution_signaled_event_attributes.input.payloads[0].data)
            async for event in handle.fetch_history_events()
            if event.HasField("workflow_execution_signaled_event_attributes")
        ]
    assert (await counts(engine))["incidents"] == 1
    # Every alert in exactly one batch, and the workflow never sees an old watermark.
    assert sum(batch["received"] for batch in told) == 60
    marks = [batch["watermark"] for batch in told]
    assert marks == sorted(set(marks))


async def test_an_alert_committed_between_the_claim_and_the_count_is_told_once(
    engine: AsyncEngine, database_url: str, nobody: str, policy: Policy
) -> None:
    async with door(database_url, nobody, policy) as gateway:
        answers = [await gateway.alert(id) for id in ("early", "later")]
        incident_id = answers[0].json()["incident_id"]
        late = {"id": "sig_between", "external_id": "between", "seq": 1500, "relayed_at": None}

        def commit_another(conn: Any, cursor: Any, statement: str, *_: Any) -> None:
            if "MATERIALIZED" in statement and late:
                with psycopg.connect(database_url) as other:
                    other.execute(
                        "INSERT INTO signals SELECT (jsonb_populate_record(s, %s::jsonb)).*"
                        " FROM signals s WHERE external_id = 'early'",
                        (json.dumps(late),),
                    )
                late.clear()

        await run(engine, "UPDATE signals SET seq = seq + 1000 WHERE external_id = 'early'")
        await run(engine, "UPDATE signals SET seq = seq + 2000 WHERE external_id = 'later'")
        event.listen(engine.sync_engine, "before_cursor_execute", commit_another)
        told = []
        for _ in range(2):
            async with Intake(engine).telling(incident_id, utc_now()) as untold:
                assert untold is not None
                told.append(untold.batch.received)
    assert not late
    assert told == [2, 1]


async def test_connections_that_died_while_idle_fail_nobody(
    engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with engine.connect() as one, engine.connect() as two:
        for conn in (one, two):
            await conn.execute(text("SELECT 1"))
    async with engine.connect() as last:
        await last.execute(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        )
    monkeypatch.setattr(engine_module, "IDLE_SECONDS", 0.0)  # all of them have long been idle
    async with engine.connect() as one, engine.connect() as two:
        for conn in (one, two):
            assert (await conn.execute(text("SELECT 1"))).scalar_one() == 1


async def test_two_alerts_for_one_new_incident_at_the_same_instant(
    temporal: TemporalServer, engine: AsyncEngine, database_url: str, policy: Policy
) -> None:
    client = await connect(temporal.address)
    async with AsyncExitStack() as stack:
        gateways = [
            await stack.enter_async_context(door(database_url, temporal.address, policy))
            for _ in range(2)
        ]
        # Each time another incident: its region is of its own, its alerts have nothing in common.
        for turn, region in enumerate(("us", "eu", "apac")):
            one, two = await asyncio.gather(
                *(g.alert(f"{turn}.{n}", f"{turn}.{n}", regions=[region])
                  for n, g in enumerate(gateways))
            )  # fmt: skip
            assert sorted(a.json()["disposition"] for a in (one, two)) == ["folded", "started"]
            assert one.json()["incident_id"] == two.json()["incident_id"]
            incident_id = one.json()["incident_id"]

            async def started(incident_id: str = incident_id) -> bool:
                return await workflows_of(client, incident_id) == 1

            await until("one workflow", started)
            assert (await counts(engine))["incidents"] == turn + 1


@pytest.fixture
async def own_postgres(tmp_path: Path) -> AsyncIterator[PostgresServer]:
    """A PostgreSQL that the test may break."""
    server = PostgresServer(tmp_path / "pg")
    await asyncio.to_thread(server.start)
    await asyncio.to_thread(upgrade, server.database_url)
    yield server
    await asyncio.to_thread(server.stop)


@pytest.mark.parametrize("ending", ["stop", "kill"])
async def test_postgresql_going_away_under_a_burst_half_stores_nothing(
    own_postgres: PostgresServer, nobody: str, policy: Policy, ending: str
) -> None:
    burst = [f"d{n}" for n in range(300)]
    async with door(own_postgres.database_url, nobody, policy) as gateway:
        gate = asyncio.Semaphore(30)

        async def send(id: str) -> httpx2.Response:
            async with gate:
                return await gateway.alert(id, dedup_key=f"k{id}")

        sending = [asyncio.create_task(send(id)) for id in burst]

        async def in_the_middle() -> bool:
            return sum(task.done() for task in sending) >= 40

        await until("some answers", in_the_middle)
        await asyncio.to_thread(getattr(own_postgres, ending))
        answers = dict(zip(burst, await asyncio.gather(*sending), strict=True))
        assert {a.status_code for a in answers.values()} == {202, 503}
        refused = [id for id, answer in answers.items() if answer.status_code == 503]
        assert all(int(answers[id].headers["retry-after"]) > 0 for id in refused)

        await asyncio.to_thread(own_postgres.start)
        engine = gateway.deps.engine
        before = await counts(engine)
        accepted = len(burst) - len(refused)
        # What was answered 202 is there. An answer may have been lost after the commit.
        assert accepted <= before["signals"] <= accepted + 30
        again = [(await gateway.alert(id, dedup_key=f"k{id}")) for id in refused]
        assert {a.status_code for a in again} == {202}
        duplicates = [a for a in again if a.json()["disposition"] == "duplicate"]
        assert len(duplicates) == before["signals"] - accepted
        async with engine.connect() as conn:
            whole = (
                select(SignalRow.external_id, AlertRow.id, IncidentRow.id)
                .outerjoin(IncidentRow, IncidentRow.id == SignalRow.incident_id)
                .outerjoin(AlertRow, AlertRow.fingerprint == "generic:" + SignalRow.dedup_key)
            )
            rows = (await conn.execute(whole)).all()
        assert sorted(row[0] for row in rows) == sorted(burst)
        assert all(alert is not None and incident is not None for _, alert, incident in rows)
        assert len({incident for *_, incident in rows}) == 1
