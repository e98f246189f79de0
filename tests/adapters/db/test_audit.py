"""The audit log: whatever is done to it or to the ledger behind its back shows."""

from __future__ import annotations

import asyncio
import csv
import io
import json
from datetime import datetime, timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.db.audit import Audit
from adapters.db.ledger import Ledger
from domain.errors import BadInput
from domain.message import Channel, Moment
from domain.policy import Policy
from domain.ports import Outcome
from tests.adapters.db.ledger_world import (
    EVERYTHING,
    INCIDENT,
    audience,
    customers,
    incident,
    run,
    spec,
)


@pytest.fixture
async def audit(engine: AsyncEngine, policy: Policy, now: datetime) -> Audit:
    """A log with a decision and a finished broadcast: two sent, one failed, one suppressed."""
    await incident(engine, now)
    await customers(engine, now, 3)
    await customers(engine, now, 1, channels=["in_app"], start=3)
    await audience(engine, now, range(4))
    log = Audit(engine)
    await log.append("decision", "alice", {"draft": 1, "share": 0.25, "name": "ü"}, now, INCIDENT)
    await send(engine, policy, now)
    await log.append("command", "=cmd()", {"command": "resolve"}, now, INCIDENT)
    return log


async def send(
    engine: AsyncEngine,
    policy: Policy,
    now: datetime,
    n: int = 1,
    moment: Moment = Moment.INITIAL,
) -> None:
    ledger = Ledger(engine)
    broadcast = await ledger.open(spec(now, n=n, moment=moment), policy, now, EVERYTHING)
    claim = await ledger.claim(broadcast, Channel.EMAIL, 50, 60, now)
    outcomes = [
        Outcome(
            delivery_id=i,
            fence=f,
            state="failed" if r.contact_id == "con_2" else "sent",
            reason="550 user2@example.com unknown" if r.contact_id == "con_2" else None,
            sent_at=None if r.contact_id == "con_2" else now,
            text_hash="t" * 64,
        )
        for (i, f), r in zip(claim.fences.items(), claim.recipients, strict=True)
    ]
    await ledger.settle(outcomes, broadcast, now)
    assert await ledger.finish(broadcast, now)


async def test_a_true_log_is_proven(audit: Audit) -> None:
    report = await audit.verify(await audit.head())
    assert report.ok and report.first_bad is None and report.gaps == ()
    assert (report.entries, report.sends_checked) == (4, 4)
    assert report.head == await audit.head()


@pytest.mark.parametrize(
    ("tampering", "entry"),
    [
        ("UPDATE audit_log SET actor = 'bob' WHERE seq = 1", 1),
        ("UPDATE audit_log SET body = jsonb_set(body, '{draft}', '2') WHERE seq = 1", 1),
        ("UPDATE audit_log SET at = at + interval '1 microsecond' WHERE seq = 1", 1),
        ("UPDATE audit_log SET kind = 'other' WHERE seq = 2", 2),
        ("DELETE FROM audit_log WHERE seq = 1", 1),
        ("DELETE FROM audit_log WHERE seq = 3", 3),
        ("UPDATE audit_log SET seq = CASE seq WHEN 1 THEN 90 ELSE seq END", 1),
        (
            "INSERT INTO audit_log SELECT 5, at, kind, actor, incident_id, body, prev_hash, hash"
            " FROM audit_log WHERE seq = 4",
            5,
        ),
        ("UPDATE deliveries SET state = 'sent', reason = NULL WHERE contact_id = 'con_2'", 3),
        ("UPDATE deliveries SET sent_at = sent_at + interval '1 minute'", 3),
        ("UPDATE deliveries SET recipient = 'con_9' WHERE contact_id = 'con_0'", 3),
        ("UPDATE deliveries SET contact_id = 'con_9' WHERE contact_id = 'con_0'", 3),
        ("UPDATE deliveries SET account_id = 'acc_9' WHERE contact_id = 'con_0'", 3),
        ("UPDATE deliveries SET text_hash = 'x' WHERE contact_id = 'con_0'", 3),
        ("UPDATE deliveries SET reason = 'unsubscribed' WHERE contact_id = 'con_3'", 2),
        ("DELETE FROM deliveries WHERE contact_id = 'con_0'", 3),
        ("DELETE FROM deliveries WHERE contact_id = 'con_3'", 2),
        ("UPDATE broadcasts SET version = 7", 2),
        ("UPDATE broadcasts SET allowed_by = 'mallory'", 2),
        (
            "INSERT INTO deliveries (broadcast_id, incident_id, channel, recipient, locale,"
            " timezone, why, priority, state, audit_seq) SELECT broadcast_id, incident_id,"
            " channel, 'con_7',"
            " locale, timezone, why, priority, state, audit_seq FROM deliveries LIMIT 1",
            2,
        ),
    ],
)
async def test_tampering_names_the_first_bad_entry(
    audit: Audit, engine: AsyncEngine, tampering: str, entry: int
) -> None:
    async with engine.begin() as conn:
        await conn.execute(text(tampering))
    report = await audit.verify()
    assert not report.ok
    assert report.first_bad is not None and report.first_bad.startswith(f"entry {entry}:")


async def test_a_dropped_tail_shows_against_the_anchor(audit: Audit, engine: AsyncEngine) -> None:
    anchor = await audit.head()
    await run(engine, "DELETE FROM audit_log WHERE seq = 4")
    assert (await audit.verify()).ok
    report = await audit.verify(anchor)
    assert not report.ok and report.first_bad == "entry 4: missing; the anchor knows 4"


async def test_a_tail_of_sends_cannot_be_dropped_at_all(audit: Audit, engine: AsyncEngine) -> None:
    await run(engine, "DELETE FROM audit_log WHERE seq >= 3")
    assert (await audit.verify()).first_bad == "entry 3: missing, and ledger rows refer to it"


async def test_a_chain_written_anew_shows_against_the_anchor(
    audit: Audit, engine: AsyncEngine, now: datetime
) -> None:
    anchor = await audit.head()
    await run(engine, "DELETE FROM audit_log WHERE seq = 4")
    await audit.append("command", "mallory", {"command": "resolve"}, now, INCIDENT)
    assert (await audit.verify()).ok
    assert (await audit.verify(anchor)).first_bad == "entry 4: not the one that the anchor knows"


@pytest.mark.parametrize("anchor", ["", "4", "4:abc", "x:" + "0" * 64])
async def test_a_bad_anchor_is_refused(audit: Audit, anchor: str) -> None:
    with pytest.raises(BadInput, match="anchor"):
        await audit.verify(anchor)


async def test_erasing_a_person_leaves_the_log_provable(audit: Audit, engine: AsyncEngine) -> None:
    await run(engine, "UPDATE deliveries SET name = NULL, address = NULL")
    await run(engine, "UPDATE deliveries SET reason = '' WHERE state = 'failed'")
    await run(engine, "DELETE FROM contacts")
    assert (await audit.verify()).ok


async def test_an_unsettled_row_of_a_finished_broadcast_is_a_gap(
    audit: Audit, engine: AsyncEngine
) -> None:
    await run(
        engine,
        "INSERT INTO deliveries (broadcast_id, incident_id, channel, recipient,"
        " locale, timezone, why, priority, state) SELECT broadcast_id, incident_id,"
        " channel, 'con_7', locale, timezone, why, priority, 'sent'"
        " FROM deliveries LIMIT 1",
    )
    report = await audit.verify()
    assert not report.ok and "broadcast 1" in report.gaps[0]


async def test_a_closed_incident_without_its_end_is_a_gap(
    audit: Audit, engine: AsyncEngine, policy: Policy, now: datetime
) -> None:
    await run(engine, "UPDATE incidents SET open = false, stage = 'closed'")
    report = await audit.verify()
    assert not report.ok
    assert report.gaps == (f"incident {INCIDENT} email: 2 told the start miss the end",)
    await send(engine, policy, now, n=2, moment=Moment.RESOLUTION)
    assert (await audit.verify()).ok


async def test_many_writers_leave_one_gapless_chain(engine: AsyncEngine, now: datetime) -> None:
    log = Audit(engine)
    seqs = await asyncio.gather(*(log.append("command", f"p{i}", {}, now) for i in range(30)))
    assert sorted(seqs) == list(range(1, 31))
    assert (await log.verify()).ok


async def test_whatever_json_cannot_keep_is_written_as_it_comes_back(
    engine: AsyncEngine, now: datetime
) -> None:
    log = Audit(engine)
    body: dict[str, object] = {
        "float": 1e22,
        "nan": float("nan"),
        "nul": "a\x00b",
        "half": "\ud800",
        "at": now,
        "set": {"b", "a"},
        "channel": Channel.EMAIL,
        "big": 2**70,
        "nested": {"x": (1, None)},
    }
    await log.append("command", "alice", body, now)
    assert (await log.verify()).ok


async def exported(audit: Audit, format: str, **filters: object) -> str:
    pieces = [piece async for piece in audit.export(format, **filters)]  # type: ignore[arg-type]
    return "".join(pieces)


async def test_exports_hold_a_row_per_send_and_nothing_personal(
    audit: Audit, now: datetime
) -> None:
    lines = [json.loads(line) for line in (await exported(audit, "jsonl")).splitlines()]
    sends = [line for line in lines if line["record"] == "send"]
    assert len(sends) == 4 and len(lines) == 8
    sent = next(s for s in sends if s["recipient"] == "con_0")
    assert sent["sent_at"] == sent["signal_at"] == "2026-03-10T14:00:00Z"
    assert (sent["draft_version"], sent["text_hash"]) == (1, "t" * 64)
    assert (sent["allowed_by"], sent["policy_hash"]) == ("alice", "p" * 16)
    for text_ in (await exported(audit, "jsonl"), await exported(audit, "csv")):
        assert "example.com" not in text_ and "User 0" not in text_ and "+1555" not in text_


async def test_csv_cells_never_run_as_formulas(audit: Audit) -> None:
    table = list(csv.DictReader(io.StringIO(await exported(audit, "csv"))))
    assert len(table) == 8
    assert [r["actor"] for r in table if r["kind"] == "command"] == ["'=cmd()"]


async def test_exports_are_cut_by_time_and_incident(audit: Audit, now: datetime) -> None:
    later = now + timedelta(seconds=1)
    assert await exported(audit, "jsonl", since=later) == ""
    assert len((await exported(audit, "jsonl", until=later)).splitlines()) == 8
    assert await exported(audit, "jsonl", incident="inc_other") == ""
