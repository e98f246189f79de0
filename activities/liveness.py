"""Signs of life of a running activity, and waiting for what must not be cut short."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

from temporalio import activity

from domain.ports import Outcome

HEARTBEAT_EVERY = 5.0


class Heartbeat:
    """What the Temporal UI shows of a running round: counts, and never who."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self.paused = False

    def add(self, outcomes: Sequence[Outcome]) -> None:
        """Count settled outcomes."""
        for outcome in outcomes:
            self.counts[outcome.state] = self.counts.get(outcome.state, 0) + 1
        self.send()

    def send(self) -> None:
        activity.heartbeat({**self.counts, **({"paused": 1} if self.paused else {})})


@asynccontextmanager
async def heartbeats() -> AsyncIterator[Heartbeat]:
    """Signs of life, also while a single statement or send takes long."""
    beat = Heartbeat()

    async def run() -> None:
        while True:
            beat.send()
            await asyncio.sleep(HEARTBEAT_EVERY)

    task = asyncio.create_task(run())
    try:
        yield beat
    finally:
        task.cancel()


async def finish_all(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Wait for all of them, even while this one is being cancelled; their errors stay theirs."""
    waited = set(tasks)
    while unfinished := {task for task in waited if not task.done()}:
        # Whoever cancels us again is told by the exception that is on its way already.
        with suppress(asyncio.CancelledError):
            await asyncio.wait(unfinished)
    for task in waited:
        if not task.cancelled():
            # Seen, or the loop would complain that nobody looked.
            task.exception()
