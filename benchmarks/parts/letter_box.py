"""A mail server in the benchmark's own process that tells when mails were accepted."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiosmtpd.smtp import SMTP, Envelope, Session

from runtime.processes import free_port
from runtime.servers import HOST


class LetterBox:
    """Takes every mail and keeps nothing of it but the moment."""

    def __init__(self) -> None:
        self.port = free_port(HOST)
        self.times: list[float] = []
        """`time.perf_counter()` of each mail since it was emptied."""

    @property
    def url(self) -> str:
        """The server's address."""
        return f"smtp://{HOST}:{self.port}"

    async def handle_DATA(self, _server: SMTP, _session: Session, _envelope: Envelope) -> str:
        """The hook of aiosmtpd: the mail is complete."""
        self.times.append(time.perf_counter())
        return "250 2.0.0 OK"

    @asynccontextmanager
    async def open(self) -> AsyncIterator[LetterBox]:
        """The server, for as long as the block lasts."""
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: SMTP(self, loop=loop), HOST, self.port)
        try:
            yield self
        finally:
            server.close()
