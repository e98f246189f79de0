"""Alerts that come at the same time: stored in one go, and each as if it were alone."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from datetime import datetime
from random import Random

import psycopg
import pytest
from sqlalchemy import select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.db.engine import make_engine
from adapters.db.models import AlertRow, IncidentRow, SignalRow
from adapters.db.signal_rows import Accepted
from domain.policy import Policy
from tests.adapters.db.intake_desk import NEAR, Desk


@pytest.fixture
def desk(engine: AsyncEngine, policy: Policy, now: datetime) -> Desk:
    return Desk(engine, policy, now)


@pytest.fixture
async def wide(database_url: str) -> AsyncIterator[AsyncEngine]:
    opened = make_engine(database_url, pool_size=30)
    yield opened
    await opened.dispose()


async def test_at_the_same_instant_one_incident(
    wide: AsyncEngine, policy: Policy, now: datetime
) -> None:
    desk = Desk(wide, policy, now)
    answers = await asyncio.gather(
        *(desk.take(f"d{n % 10}", components=(NEAR[n % 2],)) for n in range(30))
    )
    assert len({answer.incident_id for answer in answers}) == 1
    assert [a.disposition for a in answers].count("suspected") == 1
    assert await desk.how_many(IncidentRow) == 1
    assert await desk.how_many(AlertRow) == 10
    assert await desk.how_many(SignalRow) == 30


async def test_same_delivery_at_the_same_instant_is_stored_once(
    wide: AsyncEngine, policy: Policy, now: datetime
) -> None:
    desk = Desk(wide, policy, now)
    answers = await asyncio.gather(*(desk.take(external_id="same") for _ in range(20)))
    assert sorted({a.disposition for a in answers}) == ["duplicate", "suspected"]
    assert len({a.signal_id for a in answers}) == 1
    assert await desk.how_many(SignalRow) == 1


async def test_a_spoilt_alert_does_not_spoil_its_neighbours(desk: Desk) -> None:
    """What arrives together is stored together; what the driver or the server refuses is alone."""
    # The first holds the door, so that the others make one group.
    opened, good, spoilt, other, resolved = await asyncio.gather(
        desk.take("a"),
        desk.take("b"),
        desk.take("nul\x00"),
        desk.take("c", title="nul\x00"),
        desk.take("b", status="resolved"),
        return_exceptions=True,
    )
    assert isinstance(spoilt, DBAPIError)
    assert isinstance(other, DBAPIError)
    stored = [a for a in (opened, good, resolved) if isinstance(a, Accepted)]
    assert [a.disposition for a in stored] == ["suspected", "folded", "resolved"]
    assert len({a.incident_id for a in stored}) == 1
    assert await desk.how_many(SignalRow) == 3
    assert (await desk.take("d")).disposition == "folded", "the door is open as before"


async def test_several_gateways_at_the_same_instant_open_one_incident(
    database_url: str, policy: Policy, now: datetime
) -> None:
    """The same deliveries come over two bridges, in other orders, to every gateway."""
    engines = [make_engine(database_url) for _ in range(4)]
    desks = [Desk(engine, policy, now) for engine in engines]
    orders = [Random(n).sample(range(40), 40) for n in range(len(desks))]
    try:
        answers = await asyncio.gather(
            *(
                desk.take(f"d{n % 10}", external_id=f"x{n}", components=(NEAR[n % 4],))
                for desk, order in zip(desks, orders, strict=True)
                for n in order
            )
        )
        assert len({a.incident_id for a in answers}) == 1
        assert len({a.signal_id for a in answers}) == 40
        dispositions = Counter(a.disposition for a in answers)
        assert dispositions == {"suspected": 1, "folded": 39, "duplicate": 120}
        assert await desks[0].how_many(IncidentRow) == 1
        assert await desks[0].how_many(AlertRow) == 10
        assert await desks[0].how_many(SignalRow) == 40
    finally:
        for engine in engines:
            await engine.dispose()


async def test_in_a_group_the_order_of_arrival_counts(desk: Desk) -> None:
    """Fires, ends, fires: within one group as one after the other."""
    await desk.take("first")
    answers = await asyncio.gather(
        desk.take("x"),
        desk.take("a"),
        desk.take("a", status="resolved"),
        desk.take("b", status="resolved"),
        desk.take("b"),
        desk.take("c"),
        desk.take("c", status="resolved"),
        desk.take("c"),
    )
    assert [a.disposition for a in answers] == [
        "folded", "folded", "resolved", "ignored", "folded", "folded", "resolved", "folded"
    ]  # fmt: skip
    async with desk.engine.connect() as conn:
        found = await conn.execute(select(AlertRow.fingerprint, AlertRow.firing))
        firing = {row.fingerprint: row.firing for row in found}
        ids = await conn.scalars(select(SignalRow.id).order_by(SignalRow.seq))
    assert {name: fires for name, fires in firing.items() if name[8:] in "abc"} == {
        "generic:a": False,
        "generic:b": True,
        "generic:c": True,
    }
    assert ids.all()[1:] == [a.signal_id for a in answers]


async def test_a_lost_connection_stores_all_or_none(
    desk: Desk, database_url: str, policy: Policy, now: datetime
) -> None:
    """The server ends the connection in the middle of a group: the group is done again."""
    waits = await psycopg.AsyncConnection.connect(database_url)
    try:
        await waits.execute("BEGIN; LOCK TABLE signals IN ACCESS EXCLUSIVE MODE")
        group = [asyncio.create_task(desk.take(f"d{n}", external_id=f"x{n}")) for n in range(8)]
        await until_waiting(waits)
        assert not any(task.done() for task in group), "answered before it was stored"
        await waits.execute(END_THE_WAITING)
        await until_waiting(waits)
        await waits.rollback()
        answers = await asyncio.gather(*group)
    finally:
        await waits.close()
    assert {a.disposition for a in answers} == {"suspected", "folded"}
    assert await desk.how_many(SignalRow) == 8
    assert await desk.how_many(AlertRow) == 8
    assert await desk.how_many(IncidentRow) == 1


WAITING = "SELECT pid FROM pg_locks WHERE NOT granted AND relation = 'signals'::regclass"
END_THE_WAITING = f"SELECT pg_terminate_backend(pid) FROM ({WAITING}) w"


async def until_waiting(conn: psycopg.AsyncConnection) -> None:
    """Until the intake waits for the table."""
    async with asyncio.timeout(10):
        while await (await conn.execute(WAITING)).fetchone() is None:  # noqa: ASYNC110 - a server
            await asyncio.sleep(0.02)
