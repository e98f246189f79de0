"""The kill switch leaves its mark once per change."""

from __future__ import annotations

import asyncio
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.db.audit import Audit
from adapters.db.switches import Switches


async def test_pausing_and_resuming_is_remembered_and_audited(
    engine: AsyncEngine, now: datetime
) -> None:
    switches = Switches(engine)
    assert not await switches.paused()
    assert await switches.pause("alice", now)
    assert await Switches(engine).paused()
    assert await switches.resume("bob", now)
    assert not await switches.paused()
    entries = await Audit(engine).page()
    assert [(e.kind, e.actor, e.body["active"]) for e in entries] == [
        ("switch", "alice", True),
        ("switch", "bob", False),
    ]


async def test_pausing_twice_changes_nothing(engine: AsyncEngine, now: datetime) -> None:
    switches = Switches(engine)
    done = await asyncio.gather(*(switches.pause("alice", now) for _ in range(5)))
    assert sorted(done) == [False] * 4 + [True]
    assert len(await Audit(engine).page()) == 1


async def test_resuming_what_runs_changes_nothing(engine: AsyncEngine, now: datetime) -> None:
    assert not await Switches(engine).resume("alice", now)
    assert not await Audit(engine).page()
