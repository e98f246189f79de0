"""One round of sending on one channel: small batches, claimed, sent and settled."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from pydantic import BaseModel, ConfigDict, Field
from temporalio import activity

from activities.liveness import Heartbeat, finish_all
from activities.sending import Job, Row, rows_of
from domain.errors import Transient
from domain.message import Channel
from domain.policy import Policy
from domain.ports import BroadcastSpec, ChannelCounts, Claim, Outcome, Remaining
from domain.signal import Severity

# A crash may leave this many rows of a channel per worker in doubt. Two lanes share them: while
# one sends its batch, the other has its own written and leases the next.
IN_FLIGHT = 50
LANES = 2
BATCH = IN_FLIGHT // LANES
LEASE_SECONDS = 60.0
ROUND_SECONDS = 300.0
RECOVER_EVERY = 10.0
# The first mails are not kept waiting by a look for what a dead worker left behind.
FIRST_RECOVERY = 1.0


class DeliverInput(BaseModel):
    """One round of sending on one channel; `probe` asks carefully whether the provider is back."""

    model_config = ConfigDict(frozen=True)

    broadcast_id: int
    spec: BroadcastSpec
    channel: Channel
    shard: int = 0
    probe: bool = False


class DeliverResult(BaseModel):
    """What one round did. Not `done`: another round is needed, after `retry_after` seconds.

    `outage` says that the provider refused everybody; `paused` that the kill switch is on.
    """

    model_config = ConfigDict(frozen=True)

    done: bool
    counts: dict[str, int] = Field(default_factory=dict)
    retry_after: float | None = None
    paused: bool = False
    outage: bool = False


class LedgerPort(Protocol):
    """The delivery ledger; raises Transient while the database is away."""

    async def open(
        self,
        spec: BroadcastSpec,
        policy: Policy,
        now: datetime,
        configured: Collection[Channel],
        correlation_id: str | None = None,
        fallbacks: Mapping[Channel, Sequence[Channel]] | None = None,
    ) -> int: ...

    async def fall_back(
        self,
        broadcast_id: int,
        spec: BroadcastSpec,
        policy: Policy,
        failed: Channel,
        order: Sequence[Channel],
        now: datetime,
    ) -> dict[Channel, int]: ...

    async def claim(
        self, broadcast_id: int, channel: Channel, limit: int, lease_seconds: float, now: datetime
    ) -> Claim: ...

    async def settle(
        self, outcomes: Sequence[Outcome], broadcast_id: int, now: datetime
    ) -> int: ...

    async def recover_expired(
        self, broadcast_id: int, channel: Channel, on_unknown: str, now: datetime
    ) -> int: ...

    async def remaining(self, broadcast_id: int, channel: Channel) -> Remaining: ...

    async def counts(self, broadcast_id: int) -> dict[Channel, ChannelCounts]: ...

    async def finish(self, broadcast_id: int, now: datetime) -> bool: ...


class RateLimiter(Protocol):
    """Shared tokens of a provider: (granted, seconds to wait when none)."""

    async def draw(
        self, name: str, per_minute: int | None, want: int, broadcast_id: int, priority: int
    ) -> tuple[int, float]: ...

    async def put_back(self, name: str, per_minute: int | None, tokens: int) -> None: ...


class Budget:
    """How many rows of a channel this process may have in flight, over all broadcasts."""

    def __init__(self, size: int) -> None:
        self._free = size
        self._waiting: list[int] = []
        self._changed = asyncio.Condition()

    async def take(self, want: int, priority: int) -> int:
        """Wait for room, the best (smallest) priority first, and take as much of `want` as fits."""
        async with self._changed:
            self._waiting.append(priority)
            try:
                await self._changed.wait_for(
                    lambda: self._free > 0 and priority == min(self._waiting)
                )
            finally:
                self._waiting.remove(priority)
                self._changed.notify_all()
            taken = min(want, self._free)
            self._free -= taken
            return taken

    async def give(self, number: int) -> None:
        """Return room."""
        async with self._changed:
            self._free += number
            self._changed.notify_all()


class Round:
    """One round of one channel, in lanes: each leases a batch, sends it, has it written."""

    def __init__(
        self,
        ledger: LedgerPort,
        limiter: RateLimiter,
        job: Job,
        work: DeliverInput,
        budget: Budget,
        beat: Heartbeat,
        ending: float,
        lease_seconds: float,
    ) -> None:
        self.ledger = ledger
        self.limiter = limiter
        self.job = job
        self.work = work
        self.budget = budget
        self.beat = beat
        self.ending = ending
        self.lease_seconds = lease_seconds
        self.rate = job.delivery.rate_per_minute.get(job.channel)
        self.on_unknown = job.delivery.on_unknown.get(job.channel, "hold")
        self.priority = Severity(job.spec.severity).rank
        self.recovered_at = time.monotonic() - RECOVER_EVERY + FIRST_RECOVERY
        self.verdict: DeliverResult | None = None
        self.turns: set[asyncio.Task[int]] = set()
        self.stopping = False

    async def run(self) -> DeliverResult:
        try:
            return await self._loop()
        finally:
            # What is being sent is finished and written whatever ends the round: what was sent
            # must be known. `heartbeats` goes on meanwhile.
            self.stopping = True
            await finish_all(self.turns)

    async def _loop(self) -> DeliverResult:
        if self.work.probe:
            await self._lane(most=1)
        while self.verdict is None:
            await self._side_by_side()
            if self.verdict is None:
                self.verdict = await self._nothing_claimed()
        return self.verdict

    async def _side_by_side(self) -> None:
        """Run the lanes until there is a verdict or nothing to claim."""
        lanes = [asyncio.create_task(self._lane()) for _ in range(LANES)]
        try:
            await asyncio.gather(*lanes)
        finally:
            for lane in lanes:
                lane.cancel()
            await finish_all(lanes)

    async def _lane(self, most: int | None = None) -> None:
        """Batch after batch; a probe is a single one, of `most` rows."""
        while self.verdict is None:
            if activity.is_worker_shutdown() or time.monotonic() > self.ending:
                self.verdict = self._result(done=False, paused=self.beat.paused)
                return
            await self._recover()
            granted = await self._admission(most or BATCH)
            if granted:
                turn = asyncio.create_task(self._turn(granted))
                self.turns.add(turn)
                turn.add_done_callback(self.turns.discard)
                claimed = await asyncio.shield(turn)
                if self.beat.paused:
                    await self._rest(1.0)
                elif not claimed or most:
                    return

    async def _admission(self, want: int) -> int:
        """Room and tokens for a batch; 0 when there were no tokens, which has been waited for."""
        name = self.job.channel.value
        room = await self.budget.take(want, self.priority)
        granted = 0
        try:
            granted, wait = await self.limiter.draw(
                name, self.rate, room, self.work.broadcast_id, self.priority
            )
        finally:
            await self.budget.give(room - granted)
        if not granted:
            await self._rest(wait)
        return granted

    async def _turn(self, granted: int) -> int:
        """Lease a batch, send it, have it written; never cancelled, but `stopping` shortens it.

        Returns the number of rows leased.
        """
        used = 0
        try:
            until = time.monotonic() + self.lease_seconds
            claim = await self.ledger.claim(
                self.work.broadcast_id,
                self.job.channel,
                granted,
                self.lease_seconds,
                self.job.clock(),
            )
            used = len(claim.recipients)
            self.beat.paused = claim.paused
            await self.limiter.put_back(self.job.channel.value, self.rate, granted - used)
            if used:
                rows = rows_of(claim, until)
                outcomes = await asyncio.gather(*(self._one(row) for row in rows))
                await self._settle(outcomes, time.monotonic() + self.lease_seconds)
                outage = self._outage(outcomes)
                if outage is not None and self.verdict is None:
                    self.verdict = self._result(done=False, retry_after=outage, outage=True)
        finally:
            await self.budget.give(granted)
        return used

    async def _one(self, row: Row) -> Outcome:
        if self.stopping:
            return self.job.back(row)
        return await self.job.send(row)

    async def _settle(self, outcomes: Sequence[Outcome], until: float) -> None:
        while True:
            try:
                await self.ledger.settle(outcomes, self.work.broadcast_id, self.job.clock())
                break
            except Transient:
                # What was sent must be written before somebody else takes it for lost; after
                # the lease the fence refuses it anyway.
                if time.monotonic() > until:
                    raise
                await asyncio.sleep(0.2)
        self.beat.add(outcomes)

    def _outage(self, outcomes: Sequence[Outcome]) -> float | None:
        """Seconds until the provider is asked again when it put off every single row."""
        put_off = [o for o in outcomes if o.state == "pending" and o.attempted and not o.resent]
        if not put_off or len(put_off) < len(outcomes):
            return None
        now = self.job.clock()
        waits = [(o.retry_at - now).total_seconds() for o in put_off if o.retry_at is not None]
        return max(min(waits, default=1.0), 0.1)

    async def _nothing_claimed(self) -> DeliverResult | None:
        """The result when nothing is left or all must wait; None to look again."""
        left = await self.ledger.remaining(self.work.broadcast_id, self.job.channel)
        if left.nothing:
            return self._result(done=True)
        if left.sending or left.next_at is None:
            # Somebody else's lease: it is settled soon, or runs out.
            await self._rest(0.2)
            return None
        # The wait is the workflow's, where it costs no worker anything.
        wait = (left.next_at - self.job.clock()).total_seconds()
        return self._result(done=False, retry_after=max(wait, 0.1))

    async def _recover(self) -> None:
        if time.monotonic() - self.recovered_at >= RECOVER_EVERY:
            self.recovered_at = time.monotonic()
            await self.ledger.recover_expired(
                self.work.broadcast_id, self.job.channel, self.on_unknown, self.job.clock()
            )

    async def _rest(self, seconds: float) -> None:
        """Wait, but not past the worker's shutdown."""
        shutdown = asyncio.ensure_future(activity.wait_for_worker_shutdown())
        try:
            await asyncio.wait({shutdown}, timeout=seconds)
        finally:
            shutdown.cancel()

    def _result(
        self,
        done: bool,
        retry_after: float | None = None,
        paused: bool = False,
        outage: bool = False,
    ) -> DeliverResult:
        return DeliverResult(
            done=done,
            counts=dict(self.beat.counts),
            retry_after=retry_after,
            paused=paused,
            outage=outage,
        )
