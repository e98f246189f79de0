"""A thousand open incidents whose worker is killed: how soon each is served again.

Each has been told to nobody yet: its first words wait for approval. While no worker runs, each
gets one more alert. The clock runs from the start of the new worker until PostgreSQL shows that
the incident has taken its alert in.
"""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass, field

import structlog
from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.db.engine import make_engine
from adapters.db.intake import Intake
from adapters.db.policies import PolicyStore
from benchmarks.harness import Bench, Figure, Servers, median, percentile
from benchmarks.parts.town import settle
from benchmarks.parts.waiting import until, worker_started
from domain.policy import Policy
from domain.signal import Severity, Signal, SignalStatus
from runtime.policy_file import load_policy
from runtime.relay import Relay, TemporalLink
from runtime.temporal import connect
from runtime.wiring import utc_now

INCIDENTS, CUSTOMERS, TOGETHER = 1_000, 20, 20
PATIENCE_SECONDS = 900.0
STILL_SECONDS = 5
LOOK_EVERY_SECONDS = 0.1
_WAITING = text("SELECT count(*) FROM incidents WHERE pending IS NOT NULL")
_SERVED = text("""
    SELECT count(*) FROM incidents i WHERE (i.state->>'watermark')::bigint >= (
        SELECT max(s.seq) FROM signals s WHERE s.incident_id = i.id)
""")


@dataclass
class Door:
    """Opens incidents and tells their workflows, as the gateway does."""

    engine: AsyncEngine
    policy: Policy
    address: str
    intake: Intake = field(init=False)

    def __post_init__(self) -> None:
        self.intake = Intake(self.engine)

    async def alert_all(self, name: str, number: int) -> None:
        """An alert to each incident; the first opens it."""
        # Of its own each time, because a relay spares an incident that it has told just now.
        relay = Relay(self.intake, TemporalLink(lambda: connect(self.address)), self.policy)
        free = asyncio.Semaphore(TOGETHER)

        async def alert(n: int) -> None:
            async with free:
                accepted = await self.intake.receive(
                    Signal(
                        source="generic",
                        external_id=f"{name}-{n}",
                        dedup_key=f"cause-{n}",
                        status=SignalStatus.FIRING,
                        title="payments fail",
                        components=("payments",),
                        severity=Severity.P2,
                        customer_impact=True,
                    ),
                    self.policy,
                    now=utc_now(),
                    correlation_id=name,
                    dry_run=False,
                    policy_hash=self.policy.hash,
                    separate=True,
                )
                await relay.relay_now(str(accepted.incident_id), PATIENCE_SECONDS)

        await asyncio.gather(*(alert(n) for n in range(number)))

    async def count(self, statement: TextClause) -> int:
        """The number that a statement finds."""
        async with self.engine.connect() as conn:
            return int(await conn.scalar(statement) or 0)


async def run(bench: Bench) -> list[Figure]:
    """Seconds until half of them, 95 in 100 and all have handled a message."""
    # A line for each incident told would bury what is measured.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    number = bench.size(INCIDENTS, 40)
    with bench.servers("open_incidents") as servers:
        engine = make_engine(servers.database_url)
        try:
            await settle(engine, CUSTOMERS, bench.say)
            return await _measure(bench, servers, engine, number)
        finally:
            await engine.dispose()


async def _measure(
    bench: Bench, servers: Servers, engine: AsyncEngine, number: int
) -> list[Figure]:
    assert servers.temporal is not None
    policy = load_policy(bench.unlimited_policy())
    await PolicyStore(engine).save(policy, "benchmark", utc_now())
    door = Door(engine, policy, servers.temporal.address)
    with bench.worker(servers.env, "worker_before") as worker:
        await worker_started(worker)
        began = time.perf_counter()
        await door.alert_all("opens", number)

        async def all_open() -> bool:
            return await door.count(_WAITING) == number

        await until("the open incidents", all_open, PATIENCE_SECONDS, LOOK_EVERY_SECONDS)
        opening = time.perf_counter() - began
        bench.say(f"{number:,} incidents open after {opening:.1f} s")
        # A step cut short would wait for its timeout: these incidents lie still, as most do.
        await asyncio.sleep(STILL_SECONDS)
        worker.kill()
    await door.alert_all("again", number)
    if served := await door.count(_SERVED):
        raise RuntimeError(f"{served} alerts were taken in while no worker ran")
    bench.say("the worker was killed, and each incident has a message waiting")
    began = time.perf_counter()
    with bench.worker(servers.env, "worker_after") as worker:
        await worker_started(worker)
        ready = time.perf_counter() - began
        took = await _served(door, number, began)
    note = f"{number:,} open incidents, worker killed with SIGKILL; another up after {ready:.1f} s"
    return _figures(took, opening, note)


async def _served(door: Door, number: int, began: float) -> list[float]:
    """Seconds after which each incident was seen to have taken its alert in."""
    took: list[float] = []

    async def all_served() -> bool:
        found = await door.count(_SERVED)
        took.extend([time.perf_counter() - began] * (found - len(took)))
        return found == number

    await until("the waiting alerts", all_served, PATIENCE_SECONDS, LOOK_EVERY_SECONDS)
    return took


def _figures(took: list[float], opening: float, note: str) -> list[Figure]:
    number = len(took)
    return [
        Figure("open incidents served again, all", max(took), "s", note=note),
        Figure("open incidents served again, p50", median(took), "s",
               note=f"from the worker's start; the first after {min(took):.1f} s"),
        Figure("open incidents served again, p95", percentile(took, 0.95), "s"),
        Figure("incidents opened and drafted", number / opening, "incidents/s",
               note="all at once, one worker, to the words that wait for approval"),
    ]  # fmt: skip
