"""The banner's live feed: one look at the database per second for all open connections."""

from __future__ import annotations

import asyncio
import hashlib
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime

import structlog
from sqlalchemy.exc import SQLAlchemyError

from gateway.status_read import StatusReader

log = structlog.get_logger()

POLL_SECONDS = 1.0
HEARTBEAT_SECONDS = 15.0
MAX_STREAMS = 2000


class Hub:
    """Wakes every connection when the announcements change.

    The one poller runs while there are connections. All of them end when the server stops, which
    would otherwise wait for them.
    """

    def __init__(self, reader: StatusReader, stopping: Callable[[], bool] | None = None) -> None:
        self._reader = reader
        self._stopping = stopping or server_stops
        self._streams = 0
        self._changed = asyncio.Event()
        self._poller: asyncio.Task[None] | None = None

    @property
    def full(self) -> bool:
        """Whether another connection would be one too many; the banner then polls."""
        return self._streams >= MAX_STREAMS

    async def events(self, current: Callable[[], Awaitable[str]]) -> AsyncIterator[str]:
        """Events of `current()`: the first at once, then each that differs from the last."""
        self._streams += 1
        if self._poller is None:
            self._poller = asyncio.create_task(self._poll())
        last: str | None = None
        try:
            while not self._stopping():
                changed = self._changed
                try:
                    data = await current()
                except SQLAlchemyError as error:
                    # The reader keeps what it has; the next change or heartbeat asks again.
                    log.warning("banner_stream_waits", error=type(error).__name__)
                else:
                    if data != last:
                        last = data
                        yield event(data)
                if not await self._wait(changed):
                    yield ": still here\n\n"
        finally:
            self._streams -= 1
            if self._streams == 0 and self._poller is not None:
                self._poller.cancel()
                self._poller = None

    async def _wait(self, changed: asyncio.Event) -> bool:
        try:
            async with asyncio.timeout(HEARTBEAT_SECONDS):
                await changed.wait()
        except TimeoutError:
            return False
        return True

    async def _poll(self) -> None:
        seen: tuple[int | None, datetime | None] | None = None
        while True:
            mark = seen
            try:
                mark = await self._reader.records.mark()
            except SQLAlchemyError as error:
                # The next turn asks again; the connections keep what they have.
                log.warning("banner_poll_failed", error=type(error).__name__)
            if mark != seen or self._stopping():
                seen = mark
                self._reader.forget()
                self._changed.set()
                self._changed = asyncio.Event()
            await asyncio.sleep(POLL_SECONDS)


def event(data: str) -> str:
    """One server-sent event; JSON has no bare newline that could end it early."""
    identity = hashlib.sha256(data.encode()).hexdigest()[:12]
    return f"id: {identity}\nevent: incidents\ndata: {data}\n\n"


def server_stops() -> bool:
    """Whether uvicorn was told to stop.

    It waits for open responses before it runs any shutdown handler, so that a stream can learn of
    the end only from the server object, which is the owner of the signal handler.
    """
    server = getattr(signal.getsignal(signal.SIGTERM), "__self__", None)
    return bool(getattr(server, "should_exit", False))
