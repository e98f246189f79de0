"""A broadcast by mail, against the bare loop and against Celery with Redis, into the same sink.

Everybody sends the same rendered mails; the baselines get them finished, Forewarn composes them.
Each is measured in turn, several times over, and its median counts.
"""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.client import Client

from adapters.db.engine import make_engine
from benchmarks.harness import ROOT, Bench, Figure, NotMeasured, Servers, median, not_measured
from benchmarks.parts.mails import render
from benchmarks.parts.town import approved, settle
from domain.message import Channel
from domain.policy import Policy
from domain.ports import BroadcastSpec
from runtime.policy_file import load_policy
from runtime.processes import ChildProcess, free_port, port_answers
from runtime.temporal import connect
from workflows import names
from workflows.broadcast import Broadcast

RECIPIENTS, ROUNDS = 10_000, 3
WARM_UP = 100
# As many as the sender's own default.
CONNECTIONS = 8
PATIENCE_SECONDS = 600
GOAL = "at least 0.9 of the bare loop, ahead of Celery"


@dataclass
class World:
    """One measurement's surroundings."""

    bench: Bench
    servers: Servers
    engine: AsyncEngine
    policy: Policy
    client: Client
    port: int
    log: Path

    def arrived(self) -> int | None:
        """How many mails the sink has counted; None when it does not count."""
        counts = re.findall(rb"mesg=(\d+)", self.log.read_bytes())
        return int(counts[-1]) if counts else None


async def run(bench: Bench) -> list[Figure]:
    """Mails per second of each, and the ratios."""
    number, rounds = bench.size(RECIPIENTS, 2_000), bench.size(ROUNDS, 1)
    with bench.servers("broadcast") as servers, bench.mail_sink() as sink:
        engine = make_engine(servers.database_url)
        assert servers.temporal is not None
        world = World(
            bench,
            servers,
            engine,
            load_policy(bench.unlimited_policy()),
            await connect(servers.temporal.address),
            sink.port,
            sink.log,
        )
        try:
            await settle(engine, number, bench.say)
            rates = await _rates(world, number, rounds)
        finally:
            await engine.dispose()
        return _figures(rates, f"{number:,} mails into {sink.kind}, median of {rounds}")


async def _rates(world: World, number: int, rounds: int) -> dict[str, list[float] | str]:
    mails = world.bench.work_dir / "mails"
    spec, draft = await approved(world.engine, world.policy, "mails", Channel.EMAIL, number)
    world.bench.say("rendering the mails for the baselines")
    await render(world.engine, world.policy, spec, draft, mails)
    rates: dict[str, list[float] | str] = {}
    ways: dict[str, Callable[[int], Awaitable[float]]] = {
        "bare": lambda _: _bare(world, mails),
        "bare on uvloop": lambda _: _bare(world, mails, "--uvloop"),
        "celery": lambda _: _celery(world, mails, number),
        "one worker": lambda turn: _forewarn(world, f"one{turn}", number, workers=1),
        "two workers": lambda turn: _forewarn(world, f"two{turn}", number, workers=2),
    }
    for turn in range(rounds):
        for name, measure in ways.items():
            if isinstance(rates.get(name), str):
                continue
            before = world.arrived()
            try:
                rate = number / await measure(turn)
            except NotMeasured as missing:
                rates[name] = str(missing)
                world.bench.say(f"{name}: {missing}")
                continue
            known = rates.setdefault(name, [])
            assert isinstance(known, list)
            known.append(rate)
            counted = await _counted(world, before, number)
            world.bench.say(f"round {turn + 1}, {name}: {rate:,.0f} mails/s, {counted}")
    return rates


async def _counted(world: World, before: int | None, number: int) -> str:
    """Every mail has arrived at the sink; raises RuntimeError when one is missing."""
    if before is None:
        before = 0
    for _ in range(50):
        arrived = world.arrived()
        if arrived is None:
            return "the sink does not count"
        if arrived - before >= number:
            return f"{arrived - before:,} arrived"
        await asyncio.sleep(0.1)
    raise RuntimeError(f"{number} mails were sent and {(world.arrived() or 0) - before} arrived")


# ------------------------------------------------------------------ who sends


async def _bare(world: World, mails: Path, *options: str) -> float:
    command = [sys.executable, "-m", "benchmarks.parts.bare_smtp", str(mails)]
    command += [str(world.port), str(CONNECTIONS), *options]
    return float((await _output(command, world.servers.env)).split()[-1])


async def _celery(world: World, mails: Path, number: int) -> float:
    """Seconds from the first mail handed to Celery until the sink has the last."""
    bench, port = world.bench, free_port()
    if world.arrived() is None:
        raise NotMeasured("the end of a Celery run is seen at smtp-sink (apt-get install postfix)")
    redis = [bench.program("redis-server", "redis-server"), "--port", str(port)]
    redis += ["--save", "", "--appendonly", "no"]
    env = world.servers.env | {
        "BENCH_REDIS": f"redis://127.0.0.1:{port}/0",
        "BENCH_SMTP_PORT": str(world.port),
    }
    worker = [sys.executable, "-m", "celery", "-A", "benchmarks.parts.celery_app", "worker"]
    worker += ["--pool", "prefork", "--concurrency", "2", "--loglevel", "info"]
    log = bench.work_dir / "celery.log"
    log.unlink(missing_ok=True)
    with (
        bench.child("redis", redis, probe=lambda: port_answers(port)),
        bench.child("celery", worker, env, lambda: b"ready." in log.read_bytes()),
    ):
        before = world.arrived() or 0
        enqueue = [sys.executable, "-m", "benchmarks.parts.celery_enqueue", str(mails)]
        began = float(await _output(enqueue, env))
        bench.say(f"celery: {number:,} tasks queued after {time.time() - began:.1f} s")
        while (world.arrived() or 0) - before < number:
            if time.time() - began > PATIENCE_SECONDS:
                raise RuntimeError(f"celery sent {world.arrived()} of {number}; log: {log}")
            await asyncio.sleep(0.02)
        return time.time() - began


async def _forewarn(world: World, name: str, number: int, workers: int) -> float:
    """Seconds of a whole Broadcast workflow: frozen, sent, settled, sealed for audit."""
    async with _workers(world, workers):
        warm, _ = await approved(world.engine, world.policy, f"{name}w", Channel.EMAIL, WARM_UP)
        await _broadcast(world, warm, WARM_UP)
        spec, _ = await approved(world.engine, world.policy, name, Channel.EMAIL, number)
        return await _broadcast(world, spec, number)


async def _broadcast(world: World, spec: BroadcastSpec, number: int) -> float:
    began = time.perf_counter()
    result = await world.client.execute_workflow(
        Broadcast.run,
        spec,
        id=names.broadcast_workflow_id(spec.incident_id, spec.n),
        task_queue=names.QUEUE_DELIVERY,
    )
    took = time.perf_counter() - began
    if result.totals.sent != number or result.totals.resent:
        raise RuntimeError(f"the ledger says {result.totals}, not {number} sent once")
    return took


@asynccontextmanager
async def _workers(world: World, number: int) -> AsyncIterator[list[ChildProcess]]:
    env = world.servers.env | {"SMTP_URL": f"smtp://127.0.0.1:{world.port}"}
    async with AsyncExitStack() as stack:
        found = []
        for each in range(number):
            name = f"worker{each}"
            (world.bench.work_dir / f"{name}.log").unlink(missing_ok=True)
            found.append(stack.enter_context(world.bench.worker(env, name)))
        for process in found:
            while b"worker_started" not in process.log.read_bytes():  # noqa: ASYNC110 - a process
                await asyncio.sleep(0.05)
        yield found


async def _output(command: list[str], env: dict[str, str]) -> str:
    """What a program prints; raises RuntimeError with its complaint when it fails."""
    done = await asyncio.to_thread(
        subprocess.run, command, cwd=ROOT, env=env, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(command[1:4])} failed: {done.stderr[-500:]}")
    return done.stdout


# ------------------------------------------------------------------ what came of it


def _figures(rates: dict[str, list[float] | str], note: str) -> list[Figure]:
    figures = []
    for name in rates:
        title, found = f"broadcast by mail, {name}", rates[name]
        if isinstance(found, str):
            figures.append(not_measured(title, "mails/s", found))
            continue
        spread = f"{min(found):,.0f} to {max(found):,.0f}"
        figures.append(Figure(title, median(found), "mails/s", note=f"{note}; {spread}"))
    for name in ("one worker", "two workers"):
        for against, least in (("bare", 0.9), ("bare on uvloop", None), ("celery", 1.0)):
            own, other = rates[name], rates[against]
            if isinstance(own, str) or isinstance(other, str):
                continue
            ratio = median(own) / median(other)
            judged = least is not None and name == "one worker"
            figures.append(
                Figure(
                    f"broadcast by mail, {name} against {against}",
                    median(own),
                    "mails/s",
                    baseline=against,
                    baseline_value=median(other),
                    ratio=ratio,
                    goal=("≥ 0.9 of it" if against == "bare" else "ahead of it")
                    if judged
                    else None,
                    met=ratio >= least if judged and least is not None else None,
                )
            )
    return figures
