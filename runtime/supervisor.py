"""Keeps a set of child processes running: restarts a crashed one, ends all in reverse order."""

import asyncio
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from runtime.processes import ChildProcess, ChildSpec, StartError

Say = Callable[[str], None]

POLL_SECONDS = 0.1
BACKOFF_SECONDS = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
# A child that ran this long had recovered: its next crash is a new one.
STEADY_SECONDS = 30


class Supervisor:
    """Starts children one after another and watches those it has started.

    `on_change` is called after each (re)start, as soon as the new process id is known.
    """

    def __init__(self, log_dir: Path, say: Say, on_change: Callable[[], None]) -> None:
        self._log_dir = log_dir
        self._say = say
        self._on_change = on_change
        self._children: dict[str, ChildProcess] = {}
        self._watchers: list[asyncio.Task[None]] = []

    @property
    def pids(self) -> dict[str, int]:
        """Process id by name of the child."""
        return {name: child.pid for name, child in self._children.items()}

    async def start(self, spec: ChildSpec) -> None:
        """Start one child, wait until it answers, watch it from then on; raises StartError."""
        self._say(f"starting {spec.name}")
        child = ChildProcess(spec, self._log_dir / f"{spec.name}.log")
        if spec.prepare:
            await asyncio.to_thread(spec.prepare)
        # Launched on this thread: Linux ends a child when the *thread* that made it ends.
        child.launch()
        self._children[spec.name] = child
        self._on_change()
        await self._until_ready(child)
        self._watchers.append(asyncio.create_task(self._watch(child), name=f"watch {spec.name}"))

    async def stop(self) -> None:
        """End all children in reverse order of their start, each in its own way."""
        for watcher in self._watchers:
            watcher.cancel()
        await asyncio.gather(*self._watchers, return_exceptions=True)
        for group in _stop_groups([*self._children.values()]):
            await asyncio.gather(*(asyncio.to_thread(child.stop) for child in group))

    async def _until_ready(self, child: ChildProcess) -> None:
        spec = child.spec
        began = time.monotonic()
        while not await asyncio.to_thread(child.answers):
            elapsed = time.monotonic() - began
            if not child.running:
                if elapsed >= spec.retry_seconds:
                    raise child.failure(f"ended with code {child.exit_code}")
                await asyncio.sleep(POLL_SECONDS)
                child.launch()
                self._on_change()
            elif elapsed >= spec.ready_seconds:
                raise child.failure(f"did not answer within {spec.ready_seconds:g} s")
            await asyncio.sleep(POLL_SECONDS)
        if spec.settle:
            await asyncio.to_thread(spec.settle)

    async def _watch(self, child: ChildProcess) -> None:
        crashes = 0
        began = time.monotonic()
        while True:
            await asyncio.sleep(POLL_SECONDS)
            if child.running:
                continue
            crashes = 0 if time.monotonic() - began > STEADY_SECONDS else crashes
            delay = BACKOFF_SECONDS[min(crashes, len(BACKOFF_SECONDS) - 1)]
            crashes += 1
            name, code = child.spec.name, _ended(child.exit_code)
            self._say(f"{name} ended ({code}), starting it again; log: {child.log}")
            await asyncio.sleep(delay)
            began = time.monotonic()
            child.launch()
            self._on_change()
            try:
                await self._until_ready(child)
            except StartError as error:
                # Tried again by this very loop; a child that hangs is ended first.
                self._say(str(error))
                await asyncio.to_thread(child.kill)
            else:
                self._say(f"{name} is back")


def _stop_groups(children: Sequence[ChildProcess]) -> list[list[ChildProcess]]:
    """Those that share a `stop_rank` end together, the highest first."""
    ranks = sorted({child.spec.stop_rank for child in children}, reverse=True)
    return [[child for child in children if child.spec.stop_rank == rank] for rank in ranks]


def _ended(code: int | None) -> str:
    if code is not None and code < 0:
        return signal.Signals(-code).name
    return f"code {code}"
