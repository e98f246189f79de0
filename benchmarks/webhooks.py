"""Alerts per second through the door and its p99, with 50 senders, beside a bare handler.

The whole of Forewarn runs on the machine: PostgreSQL, Temporal, a worker, the gateway, and the
client, a program of its own. The bare handler has PostgreSQL and the client. Both get the very
same requests; the storm's alerts belong to one incident and name a hundred different causes.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import psycopg

from benchmarks.harness import ROOT, Bench, Figure, median
from benchmarks.parts.hammer import http_post, write_requests
from benchmarks.parts.waiting import worker_started
from runtime.processes import free_port
from runtime.servers import HOST
from runtime.stack import answers_ok

ALERTS, SENDERS, ROUNDS, WARM_UP = 10_000, 50, 3, 300
KEYS = 100
COMPONENTS = ("payments", "rest-api", "database", "reporting")
SECRET = "a-secret-for-the-benchmark"
LEAST_RATE, MOST_P99_MS = 300, 100


async def run(bench: Bench) -> list[Figure]:
    """Rate and p99 of both, and their ratio."""
    number, rounds = bench.size(ALERTS, 1_000), bench.size(ROUNDS, 1)
    with bench.servers("webhooks") as servers:
        env = servers.env | {"GENERIC_WEBHOOK_SECRET": SECRET}
        port = free_port(HOST)
        bare = [sys.executable, "-m", "benchmarks.parts.bare_webhook", str(port)]
        with bench.child("bare", bare, env, lambda: answers_ok(f"http://{HOST}:{port}/healthz")):
            plain = await _rounds(bench, "bare handler", port, number, rounds)
        with bench.worker(env) as worker, bench.gateway(env) as (address, _):
            await worker_started(worker)
            own = await _rounds(bench, "forewarn", int(address.rpartition(":")[2]), number, rounds)
        _none_lost(servers.database_url, number * rounds + WARM_UP)
    return _figures(own, plain, f"{number:,} alerts, median of {rounds}, all on one machine")


async def _rounds(
    bench: Bench, name: str, port: int, number: int, rounds: int
) -> list[dict[str, Any]]:
    """The reports of several storms after a small one that warms everything up."""
    await asyncio.to_thread(_storm, bench, port, f"{name} warm", WARM_UP)
    found = []
    for turn in range(rounds):
        report = await asyncio.to_thread(_storm, bench, port, f"{name} {turn}", number)
        found.append(report)
        bench.say(
            f"{name}, round {turn + 1}: {_rate(report):,.0f} alerts/s, p50 "
            f"{report['p50_ms']:.0f} ms, p99 {report['p99_ms']:.0f} ms"
        )
    return found


def _storm(bench: Bench, port: int, name: str, number: int) -> dict[str, Any]:
    """One storm; every alert must have been accepted."""
    file = bench.work_dir / "requests"
    write_requests(file, (request(f"{name}-{n}", n) for n in range(number)))
    report = hammer(port, SENDERS, file)
    if report["statuses"] != {"202": number}:
        raise RuntimeError(f"{name}: not every alert was accepted: {report}")
    return report


def hammer(port: int, senders: int, file: Path) -> dict[str, Any]:
    """The report of the client program."""
    command = [sys.executable, "-m", "benchmarks.parts.hammer", str(port), str(senders), str(file)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"the client failed: {done.stderr[-500:]}")
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def request(delivery: str, number: int) -> bytes:
    """One signed alert."""
    body = json.dumps(
        {
            "id": delivery,
            "dedup_key": f"cause-{number % KEYS}",
            "status": "firing",
            "title": "5xx over 5 % for five minutes",
            "description": "More than one in twenty requests fails.",
            "components": [COMPONENTS[number % len(COMPONENTS)]],
            "severity": "P2",
            "customer_impact": True,
            "labels": {"host": f"web-{number % 50}"},
        }
    ).encode()
    signature = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    return http_post("/webhooks/generic", body, {"X-Forewarn-Signature": f"sha256={signature}"})


def _none_lost(database_url: str, expected: int) -> None:
    with psycopg.connect(database_url) as connection:
        found = connection.execute(
            "SELECT count(*), count(DISTINCT incident_id) FROM signals"
        ).fetchone()
    if found != (expected, 1):
        raise RuntimeError(f"(alerts stored, incidents) are {found}, not {(expected, 1)}")


def _rate(report: dict[str, Any]) -> float:
    return float(report["answered"] / report["seconds"])


def _figures(own: list[dict[str, Any]], plain: list[dict[str, Any]], note: str) -> list[Figure]:
    rate, bare_rate = median([_rate(r) for r in own]), median([_rate(r) for r in plain])
    slow, bare_slow = median([r["p99_ms"] for r in own]), median([r["p99_ms"] for r in plain])
    middle, bare_middle = median([r["p50_ms"] for r in own]), median([r["p50_ms"] for r in plain])
    baseline = "bare FastAPI handler, one row each"
    return [
        Figure("alerts accepted, 50 senders", rate, "alerts/s", baseline, bare_rate,
               rate / bare_rate, f"at least {LEAST_RATE}/s", rate >= LEAST_RATE, note),
        Figure("webhook p99, 50 senders", slow, "ms", baseline, bare_slow, slow / bare_slow,
               f"under {MOST_P99_MS} ms", slow < MOST_P99_MS,
               f"each round: {', '.join(str(round(r['p99_ms'])) for r in own)}"),
        Figure("webhook p50, 50 senders", middle, "ms", baseline, bare_middle,
               middle / bare_middle),
    ]  # fmt: skip
