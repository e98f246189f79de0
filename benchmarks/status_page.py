"""Requests per second of the status page while Temporal is stopped, measured with `wrk`.

An incident with some updates is on the page. The baseline is a bare uvicorn application that
answers the very same bytes from memory. Every request gets the whole page: none carries an ETag.
"""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta

import httpx2
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.db.announcements import AnnouncementStore
from adapters.db.engine import make_engine
from adapters.db.intake import Intake
from benchmarks.harness import Bench, Figure, median
from domain.incident import Stage
from domain.message import Channel, Moment
from domain.public import Announcement, AnnouncementText
from domain.signal import Severity, Signal, SignalStatus
from runtime.policy_file import load_policy
from runtime.processes import free_port
from runtime.servers import HOST
from runtime.stack import answers_ok

CONNECTIONS, SECONDS, ROUNDS, UPDATES = 50, 10, 3, 8
LEAST_RATE = 500
FRESH_WITHIN_SECONDS = 10
WORDS = "Some payments fail. We have found the cause and are rolling back the change. "
_UNITS = {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60_000.0}


async def run(bench: Bench) -> list[Figure]:
    """Rate and p99 of the page and of the bare application, and how soon news shows."""
    wrk = bench.program("wrk", "wrk")
    seconds, rounds = bench.size(SECONDS, 2), bench.size(ROUNDS, 1)
    with bench.servers("status_page") as servers:
        assert servers.temporal is not None
        engine = make_engine(servers.database_url)
        try:
            incident = await _incident(engine, bench)
            with bench.gateway(servers.env) as (address, _):
                servers.temporal.stop()
                page = httpx2.get(f"{address}/").content
                own = [await _wrk(bench, wrk, f"{address}/", seconds) for _ in range(rounds)]
                fresh = await _news_shows(engine, incident, address)
        finally:
            await engine.dispose()
    file, port = bench.work_dir / "page.html", free_port(HOST)
    file.write_bytes(page)
    bare = f"http://{HOST}:{port}/"
    command = [sys.executable, "-m", "benchmarks.parts.bare_page", str(port), str(file)]
    with bench.child("bare_page", command, probe=lambda: answers_ok(bare)):
        plain = [await _wrk(bench, wrk, bare, seconds) for _ in range(rounds)]
    note = (
        f"wrk, 1 thread, {CONNECTIONS} connections, {seconds} s, median of {rounds}; a page of "
        f"{len(page):,} bytes, Temporal stopped"
    )
    return _figures(own, plain, fresh, note)


async def _incident(engine: AsyncEngine, bench: Bench) -> str:
    now = datetime.now(UTC)
    policy = load_policy(bench.unlimited_policy())
    alert = Signal(
        source="generic",
        external_id="page",
        dedup_key="page",
        status=SignalStatus.FIRING,
        title="payments fail",
        components=("payments",),
        severity=Severity.P2,
        customer_impact=True,
    )
    accepted = await Intake(engine).receive(
        alert, policy, now=now, correlation_id="page", dry_run=False, policy_hash=policy.hash
    )
    incident = str(accepted.incident_id)
    async with engine.begin() as conn:
        await conn.execute(text("UPDATE incidents SET stage = 'investigating', announced = true"))
    for number in range(UPDATES):
        await _announce(engine, incident, number, now - timedelta(minutes=60 - number), WORDS)
    return incident


async def _announce(
    engine: AsyncEngine, incident: str, number: int, at: datetime, words: str
) -> None:
    texts = {locale: AnnouncementText(title="Payments", body=words) for locale in ("en", "de")}
    await AnnouncementStore(engine).write(
        incident,
        Announcement(
            broadcast_id=number + 1,
            channel=Channel.STATUS_PAGE,
            moment=Moment.UPDATE if number else Moment.INITIAL,
            stage=Stage.INVESTIGATING,
            severity=Severity.P2,
            components=("payments",),
            posted_at=at,
            next_update_at=at + timedelta(minutes=60),
            texts=texts,
        ),
    )


async def _news_shows(engine: AsyncEngine, incident: str, address: str) -> float:
    """Seconds from a committed update until the page has it."""
    httpx2.get(f"{address}/")
    await _announce(engine, incident, UPDATES, datetime.now(UTC), "It is fixed now, nearly.")
    began = time.perf_counter()
    while b"It is fixed now, nearly." not in httpx2.get(f"{address}/").content:
        if time.perf_counter() - began > FRESH_WITHIN_SECONDS:
            raise RuntimeError("the page never shows what was announced")
        await asyncio.sleep(0.02)
    return time.perf_counter() - began


async def _wrk(bench: Bench, program: str, url: str, seconds: int) -> tuple[float, float, float]:
    """Requests per second, p50 and p99 in ms."""
    command = [program, "--latency", "-t", "1", "-c", str(CONNECTIONS), "-d", f"{seconds}s", url]
    done = await asyncio.to_thread(
        subprocess.run, command, capture_output=True, text=True, check=True
    )
    if "Non-2xx" in done.stdout or re.search(r"(connect|read|write) [1-9]", done.stdout):
        raise RuntimeError(f"not every request was answered: {done.stdout[-400:]}")
    rate = re.search(r"Requests/sec:\s+([\d.]+)", done.stdout)
    times = [
        float(found[2]) * _UNITS[found[3]]
        for found in re.finditer(r"(50|99)%\s+([\d.]+)(us|ms|s|m)\b", done.stdout)
    ]
    if rate is None or len(times) != 2:
        raise RuntimeError(f"wrk says what is not understood: {done.stdout[-400:]}")
    bench.say(f"{url}: {float(rate[1]):,.0f}/s, p50 {times[0]:.1f} ms, p99 {times[1]:.1f} ms")
    return float(rate[1]), times[0], times[1]


def _figures(
    own: list[tuple[float, float, float]],
    plain: list[tuple[float, float, float]],
    fresh: float,
    note: str,
) -> list[Figure]:
    rate, middle, slow = (median(list(column)) for column in zip(*own, strict=True))
    bare_rate, bare_middle, bare_slow = (median(list(c)) for c in zip(*plain, strict=True))
    baseline = "bare uvicorn, same bytes"
    return [
        Figure("status page", rate, "requests/s", baseline, bare_rate, rate / bare_rate,
               f"at least {LEAST_RATE}/s", rate >= LEAST_RATE, note),
        Figure("status page p50", middle, "ms", baseline, bare_middle, middle / bare_middle),
        Figure("status page p99", slow, "ms", baseline, bare_slow, slow / bare_slow),
        Figure("an update shows on the page after", fresh, "s", note="one look after the commit"),
    ]  # fmt: skip
