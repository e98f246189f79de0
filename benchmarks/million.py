"""A broadcast of 10 thousand, 100 thousand and a million mails on a null channel.

An alert at the gateway opens an incident with automatic gates; the real worker freezes the
audience, composes every mail, hands it to a sender that forgets it, and settles and seals the
rows. What is watched is the rate, the memory of the worker and of the Temporal server, and the
events in the histories of the incident and its broadcast.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import sys
import time
from dataclasses import dataclass

import httpx2
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.client import Client, WorkflowHistory

from adapters.db.engine import make_engine
from benchmarks.harness import Bench, Figure, Servers, memory_mb
from benchmarks.parts.town import settle
from benchmarks.parts.waiting import worker_started
from runtime.temporal import connect
from workflows import names
from workflows.broadcast import BroadcastResult

SIZES, QUICK_SIZES = (10_000, 100_000, 1_000_000), (500, 2_000, 8_000)
# Memory counts as flat when the largest run needs at most this many times what the smallest does.
FLAT = 1.25
LEAST_ROWS_PER_SECOND, START_SECONDS, LOOK_EVERY_SECONDS = 50, 120, 1.0
SECRET = "a-secret-for-the-benchmark"
# Only mails, and one message: the first of an incident.
ONE_MAIL_EACH = """
gates:
  - {gate: auto}
routes:
  - {severities: [P2], moments: [initial], channels: [email]}
"""
_BROADCAST = text("SELECT incident_id, n, finished_at IS NOT NULL AS finished FROM broadcasts")


@dataclass(frozen=True)
class Run:
    """What one size took: seconds, megabytes at the peak, events."""

    size: int
    audience_seconds: float
    freeze_seconds: float
    send_seconds: float
    worker_mb: float
    temporal_mb: float
    incident_events: int
    broadcast_events: int


async def run(bench: Bench) -> list[Figure]:
    """Rates, memory and events of each size."""
    policy_file = bench.work_dir / "one_mail_each.yaml"
    policy_file.write_text(bench.unlimited_policy().read_text() + ONE_MAIL_EACH)
    runs = []
    for size in QUICK_SIZES if bench.quick else SIZES:
        # Servers and worker of its own: what one size leaves behind is not the next one's.
        with bench.servers(f"million_{size}") as servers:
            servers.env["FOREWARN_POLICY"] = str(policy_file)
            servers.env["GENERIC_WEBHOOK_SECRET"] = SECRET
            runs.append(await _measure(bench, servers, size))
    return _figures(runs)


async def _measure(bench: Bench, servers: Servers, size: int) -> Run:
    assert servers.temporal is not None
    engine = make_engine(servers.database_url)
    command = [sys.executable, "-m", "benchmarks.parts.null_worker"]
    try:
        await settle(engine, size, bench.say)
        client = await connect(servers.temporal.address)
        with (
            bench.child("null_worker", command, servers.env) as worker,
            bench.gateway(servers.env) as (address, _),
        ):
            await worker_started(worker)
            await _post_alert(address)
            pids = worker.pid, servers.temporal.process.pid
            incident, n, peaks = await _watch(engine, size, pids)
            found = await _read(client, incident, n, size, peaks)
        bench.say(f"{size:,}: {size / found.send_seconds:,.0f} rows/s, {found.worker_mb:.0f} MB")
        return found
    finally:
        await engine.dispose()


async def _post_alert(address: str) -> None:
    body = json.dumps(
        {
            "id": "million",
            "dedup_key": "million",
            "status": "firing",
            "title": "5xx over 5 % for five minutes",
            "components": ["payments"],
            "severity": "P2",
            "customer_impact": True,
        }
    ).encode()
    signature = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    headers = {"Content-Type": "application/json", "X-Forewarn-Signature": f"sha256={signature}"}
    async with httpx2.AsyncClient(base_url=address) as client:
        answer = await client.post("/webhooks/generic", content=body, headers=headers)
    if answer.json().get("disposition") != "started":
        raise RuntimeError(f"the alert opened no incident: {answer.text[:200]}")


async def _watch(
    engine: AsyncEngine, size: int, pids: tuple[int, int]
) -> tuple[str, int, tuple[float, float]]:
    """The broadcast, once it is finished, and the peaks of both processes in MB."""
    peaks = [0.0, 0.0]
    until = time.monotonic() + START_SECONDS + size / LEAST_ROWS_PER_SECOND
    while time.monotonic() < until:
        for place, pid in enumerate(pids):
            peaks[place] = max(peaks[place], await asyncio.to_thread(memory_mb, pid))
        async with engine.connect() as conn:
            row = (await conn.execute(_BROADCAST)).first()
        if row is not None and row.finished:
            return row.incident_id, row.n, (peaks[0], peaks[1])
        await asyncio.sleep(LOOK_EVERY_SECONDS)
    raise RuntimeError(f"{size:,} mails: not sent in time")


async def _read(
    client: Client, incident: str, n: int, size: int, peaks: tuple[float, float]
) -> Run:
    """What the histories say of it; raises RuntimeError when anybody was left out."""
    id_ = names.broadcast_workflow_id(incident, n)
    sending = client.get_workflow_handle(id_, result_type=BroadcastResult)
    result: BroadcastResult = await sending.result()
    totals = result.totals
    if totals.sent != size or totals.resent:
        raise RuntimeError(f"the ledger says {totals}, not {size} sent once")
    # The incident writes down that its broadcast is done.
    await asyncio.sleep(2)
    broadcast = await sending.fetch_history()
    whole = await client.get_workflow_handle(names.incident_workflow_id(incident)).fetch_history()
    return Run(
        size,
        _seconds(whole, "take_audience"),
        _seconds(broadcast, "open_broadcast"),
        _seconds(broadcast, "deliver"),
        *peaks,
        len(whole.events),
        len(broadcast.events),
    )


def _seconds(history: WorkflowHistory, activity: str) -> float:
    """From the first of such activities being scheduled until the last is completed."""
    asked = {
        event.event_id: event.event_time.ToNanoseconds()
        for event in history.events
        if event.activity_task_scheduled_event_attributes.activity_type.name == activity
    }
    done = [
        event.event_time.ToNanoseconds()
        for event in history.events
        if event.activity_task_completed_event_attributes.scheduled_event_id in asked
    ]
    return (max(done) - min(asked.values())) / 1e9


def _figures(runs: list[Run]) -> list[Figure]:
    figures = []
    least, most = runs[0], runs[-1]
    for run in runs:
        name = f"{run.size:,} mails"
        found = f"audience found in {run.audience_seconds:.1f} s"
        events = f"incident {run.incident_events}, broadcast {run.broadcast_events}"
        figures += [
            Figure(f"{name}: sent", run.size / run.send_seconds, "mails/s", note="null channel"),
            Figure(f"{name}: freezing the audience", run.freeze_seconds, "s", note=found),
            Figure(f"{name}: worker", run.worker_mb, "MB", note="at its peak"),
            Figure(f"{name}: Temporal", run.temporal_mb, "MB", note="at its peak"),
            Figure(f"{name}: history", run.incident_events + run.broadcast_events, "events",
                   note=events),
        ]  # fmt: skip
    for who, small, large in (
        ("worker", least.worker_mb, most.worker_mb),
        ("Temporal", least.temporal_mb, most.temporal_mb),
    ):
        figures.append(
            Figure(
                f"memory of {who}, {most.size:,} against {least.size:,} mails",
                large,
                "MB",
                baseline=f"{least.size:,}",
                baseline_value=small,
                ratio=large / small,
                goal=f"flat: at most {FLAT}",
                met=large / small <= FLAT,
            )
        )
    return figures
