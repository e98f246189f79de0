"""Waiting for what other processes do."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from runtime.processes import ChildProcess

Seen = TypeVar("Seen")
LOOK_EVERY_SECONDS = 0.02


async def until(
    what: str, look: Callable[[], Awaitable[Seen]], seconds: float, every: float
) -> Seen:
    """What `look` finds, once it finds something; raises RuntimeError after so many seconds."""
    began = time.monotonic()
    while not (found := await look()):
        if time.monotonic() - began > seconds:
            raise RuntimeError(f"{what}: not after {seconds:.0f} s")
        await asyncio.sleep(every)
    return found


async def worker_started(process: ChildProcess, seconds: float = 60) -> None:
    """Until a worker says that it works."""

    async def look() -> bool:
        return process.log.exists() and b"worker_started" in process.log.read_bytes()

    await until("the worker", look, seconds, LOOK_EVERY_SECONDS)
