"""From an alert to the first mail that a server has accepted, gates automatic.

The clock starts before the alert is posted at the gateway. The baseline takes the same alert
through the same plan and steps on the same database as plain calls in one process. One incident
at a time; each goes to all customers, and the next begins when the last mail has arrived.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx2
from pydantic import SecretStr
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.db.announcements import AnnouncementStore
from adapters.db.engine import make_engine
from adapters.db.intake import Intake
from adapters.db.policies import PolicyStore
from adapters.email.smtp import SmtpSender, SmtpSettings
from adapters.inapp.builtin import BuiltinBanner
from adapters.monitors.generic import Generic
from adapters.status_pages.builtin import BuiltinStatusPage
from benchmarks.harness import Bench, Figure, median, percentile
from benchmarks.parts.letter_box import LetterBox
from benchmarks.parts.plain_calls import PlainCalls
from benchmarks.parts.town import settle
from benchmarks.parts.waiting import until, worker_started
from domain.message import Channel
from domain.ports import Sender
from runtime.policy_file import load_policy
from runtime.wiring import build_steps, utc_now

INCIDENTS, CUSTOMERS, WARM_UP = 100, 100, 3
SECRET = "a-secret-for-the-benchmark"
MOST_SECONDS = 1.0
PATIENCE_SECONDS = 300.0
AUTOMATIC = """
gates:
  - {gate: auto}
"""
LOOK_EVERY_SECONDS = 0.05
_SENDING = text("SELECT count(*) FROM broadcasts WHERE finished_at IS NULL")
# Otherwise the next alert would be one more of the same incident.
_APART = text("UPDATE incidents SET separate = true")


async def run(bench: Bench) -> list[Figure]:
    """p50 and p95 of both, and their ratio."""
    number = bench.size(INCIDENTS, 6)
    policy_file = bench.work_dir / "automatic.yaml"
    policy_file.write_text(bench.unlimited_policy().read_text() + AUTOMATIC)
    with bench.servers("first_mail") as servers:
        engine = make_engine(servers.database_url)
        box = LetterBox()
        env = servers.env | {
            "FOREWARN_POLICY": str(policy_file),
            "GENERIC_WEBHOOK_SECRET": SECRET,
            "SMTP_URL": box.url,
        }
        try:
            await settle(engine, CUSTOMERS, bench.say)
            async with box.open():
                plain = await _plain(engine, policy_file, box, number)
                bench.say(f"plain calls: {_words(plain)}")
                with bench.worker(env) as worker, bench.gateway(env) as (address, _):
                    await worker_started(worker)
                    own = await _forewarn(engine, address, box, number)
                bench.say(f"forewarn: {_words(own)}")
        finally:
            await engine.dispose()
    note = f"{number} incidents one by one, {CUSTOMERS} recipients each, all on one machine"
    return _figures(own, plain, note)


async def _plain(
    engine: AsyncEngine, policy_file: Path, box: LetterBox, number: int
) -> list[float]:
    policy = load_policy(policy_file)
    await PolicyStore(engine).save(policy, "benchmark", utc_now())
    announcements = AnnouncementStore(engine)
    sender = SmtpSender(SmtpSettings(url=SecretStr(box.url)))
    senders: dict[Channel, Sender] = {
        Channel.EMAIL: sender,
        Channel.STATUS_PAGE: BuiltinStatusPage(announcements),
        Channel.IN_APP: BuiltinBanner(announcements),
    }
    steps = build_steps(engine, policy, senders, "https://status.acme.example", SECRET)
    calls = PlainCalls(Intake(engine), policy, steps)

    async def take(turn: int) -> None:
        (signal,) = Generic().parse(alert(f"plain-{turn}"))
        await calls.alert(signal)

    try:
        return await _measure(engine, box, number, take)
    finally:
        await sender.aclose()


async def _forewarn(engine: AsyncEngine, address: str, box: LetterBox, number: int) -> list[float]:
    async with httpx2.AsyncClient(base_url=address) as client:

        async def post(turn: int) -> None:
            raw = alert(f"own-{turn}")
            signature = hmac.new(SECRET.encode(), raw, hashlib.sha256).hexdigest()
            headers = {
                "Content-Type": "application/json",
                "X-Forewarn-Signature": f"sha256={signature}",
            }
            answer = await client.post("/webhooks/generic", content=raw, headers=headers)
            if answer.json().get("disposition") != "started":
                raise RuntimeError(f"the alert opened no incident: {answer.text[:200]}")

        return await _measure(engine, box, number, post)


async def _measure(
    engine: AsyncEngine, box: LetterBox, number: int, send: Callable[[int], Awaitable[None]]
) -> list[float]:
    """Seconds to the first mail of each incident, but for those that warm everything up."""

    async def all_sent() -> bool:
        async with engine.connect() as conn:
            return len(box.times) >= CUSTOMERS and await conn.scalar(_SENDING) == 0

    took = []
    for turn in range(WARM_UP + number):
        box.times.clear()
        began = time.perf_counter()
        await send(turn)
        await until("the mails", all_sent, PATIENCE_SECONDS, LOOK_EVERY_SECONDS)
        took.append(box.times[0] - began)
        async with engine.begin() as conn:
            await conn.execute(_APART)
    return took[WARM_UP:]


def alert(name: str) -> bytes:
    """The body of an alert that customers hear of at once."""
    return json.dumps(
        {
            "id": name,
            "dedup_key": name,
            "status": "firing",
            "title": "5xx over 5 % for five minutes",
            "components": ["payments"],
            "severity": "P2",
            "customer_impact": True,
        }
    ).encode()


def _words(took: list[float]) -> str:
    return f"p50 {median(took) * 1000:.0f} ms, p95 {percentile(took, 0.95) * 1000:.0f} ms"


def _figures(own: list[float], plain: list[float], note: str) -> list[Figure]:
    baseline = "the same steps as plain calls"
    middle, slow = median(own), percentile(own, 0.95)
    plain_middle, plain_slow = median(plain), percentile(plain, 0.95)
    return [
        Figure("alert to first mail accepted, p50", middle, "s", baseline, plain_middle,
               middle / plain_middle, note=note),
        Figure("alert to first mail accepted, p95", slow, "s", baseline, plain_slow,
               slow / plain_slow, f"under {MOST_SECONDS:.0f} s", slow < MOST_SECONDS),
    ]  # fmt: skip
