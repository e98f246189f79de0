"""Figures for monitoring: right, and never by reading the whole ledger."""

from __future__ import annotations

import json
from datetime import datetime, timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.db import figures
from adapters.db.figures import FiguresStore
from adapters.db.freeze import STAFF
from adapters.db.ledger import Ledger
from adapters.db.switches import Switches
from domain.message import Channel
from domain.policy import Policy
from domain.ports import Outcome
from tests.adapters.db import ledger_world
from tests.adapters.db.ledger_world import run


async def test_an_empty_database_has_figures(engine: AsyncEngine, now: datetime) -> None:
    found = await FiguresStore(engine).read(now)
    assert (found.inbox_waiting, found.promises_open, found.promises_overdue) == (0, 0, 0)
    assert found.promises == {"kept": 0, "missed": 0}
    assert found.customer_data_age_seconds is None
    assert found.next_promise_due is None
    assert not found.sends_paused


async def test_promises_approvals_switch_and_age(engine: AsyncEngine, now: datetime) -> None:
    await ledger_world.incident(engine, now)
    for number, state, minutes in ((1, "kept", -60), (2, "missed", -30), (3, "open", -2)):
        await run(
            engine,
            "INSERT INTO promises (incident_id, number, made_at, due, state)"
            " VALUES (:i, :n, :now, :due, :state)",
            i=ledger_world.INCIDENT,
            n=number,
            now=now,
            due=now + timedelta(minutes=minutes),
            state=state,
        )
    await run(
        engine,
        "INSERT INTO drafts (incident_id, version, request, moment, number, facts, audience_rule,"
        " hash, findings, state, author, created_at)"
        " VALUES (:i, 4, 'r', 'initial', 1, '{}', 'x', 'h', '[]', 'pending', 'template', :at)",
        i=ledger_world.INCIDENT,
        at=now - timedelta(minutes=7),
    )
    await run(engine, "UPDATE incidents SET pending = :p", p=json.dumps({"draft": 4}))
    await run(
        engine,
        "INSERT INTO imports (at, accounts, contacts, skipped) VALUES (:at, 1, 1, 0)",
        at=now - timedelta(hours=50),
    )
    await Switches(engine).pause("ada", now)
    found = await FiguresStore(engine).read(now)
    assert (found.promises_open, found.promises_overdue) == (1, 1)
    assert found.most_overdue_seconds == 120
    assert found.promises == {"kept": 1, "missed": 1}
    assert found.approvals["P1"].waiting == 1
    assert found.approvals["P1"].oldest_seconds == 420
    assert found.customer_data_age_seconds == 50 * 3600
    assert found.sends_paused


async def test_the_promises_of_an_incident_that_is_over_are_not_due(
    engine: AsyncEngine, now: datetime
) -> None:
    await ledger_world.incident(engine, now)
    await run(
        engine,
        "INSERT INTO promises (incident_id, number, made_at, due) VALUES (:i, 1, :at, :at)",
        i=ledger_world.INCIDENT,
        at=now - timedelta(hours=1),
    )
    await run(engine, "UPDATE incidents SET open = false")
    assert (await FiguresStore(engine).read(now)).promises_overdue == 0


async def test_settled_rows_are_counted_once_as_they_are_sealed(
    engine: AsyncEngine, policy: Policy, now: datetime
) -> None:
    await ledger_world.incident(engine, now)
    await run(engine, "UPDATE incidents SET confirmed_at = :at", at=now)
    await ledger_world.customers(engine, now, 6)
    await ledger_world.audience(engine, now, range(6))
    ledger, store = Ledger(engine), FiguresStore(engine)
    await store.read(now)
    later = now + timedelta(seconds=20)
    broadcast = await ledger.open(
        ledger_world.spec(now, allowed_by="policy"), policy, later, ledger_world.EVERYTHING
    )
    assert (await store.read(later)).open_rows == {("email", "pending"): 6}
    for expected in (2, 4, 6):
        claim = await ledger.claim(broadcast, Channel.EMAIL, 2, 60.0, later)
        outcomes = [
            Outcome(
                delivery_id=row.delivery_id,
                fence=claim.fences[row.delivery_id],
                state="sent",
                sent_at=later,
            )
            for row in claim.recipients
        ]
        await ledger.settle(outcomes, broadcast, later)
        assert (await store.read(later)).settled == {("email", "sent"): expected}
    found = await store.read(later)
    assert found.open_rows == {}
    # Its first message, once, however many batches there were.
    assert found.first_messages["policy"].count == 1
    assert found.first_messages["policy"].seconds == 20
    assert found.first_messages["person"].count == 0
    # A process that begins to look now has seen none of them.
    assert (await FiguresStore(engine).read(later)).settled == {}


async def test_no_statement_reads_the_whole_ledger(engine: AsyncEngine, now: datetime) -> None:
    """With many settled rows, the plans use the partial indexes."""
    await ledger_world.incident(engine, now)
    await run(
        engine,
        "INSERT INTO broadcasts (incident_id, n, version, hash, moment, number, severity, stage,"
        " channels, dry_run, allowed_by, policy_hash, correlation_id, created_at)"
        " VALUES (:i, 1, 1, 'h', 'initial', 1, 'P1', 'identified', '{email}', false, 'policy',"
        " 'h', 'c', :at)",
        i=ledger_world.INCIDENT,
        at=now,
    )
    await run(
        engine,
        "INSERT INTO deliveries (broadcast_id, incident_id, channel, recipient, locale, timezone,"
        " why, priority, state, audit_seq)"
        " SELECT (SELECT min(id) FROM broadcasts), :i, 'email', 'c' || g, 'en', 'UTC', 'x', 1,"
        " 'sent', g / 25 FROM generate_series(1, 20000) g",
        i=ledger_world.INCIDENT,
    )
    await run(engine, "ANALYZE deliveries")
    stretch = {"seen": 790, "upto": 800}
    initial = {**stretch, "since": now, "staff": list(STAFF), "known": ["inc_other"]}
    for statement, parameters in (
        (figures._OPEN_ROWS, {"most": 10}),
        (figures._SETTLED_ROWS, stretch),
        (figures._FIRST_SENT, initial),
    ):
        async with engine.connect() as conn:
            plan = await conn.scalars(text(f"EXPLAIN {statement.text}"), parameters)
            assert "Seq Scan on deliveries" not in "\n".join(plan)
