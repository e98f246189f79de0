"""A real SMTP server on a port of its own that fails in the ways servers fail."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiosmtpd.smtp import SMTP, Envelope, Session
from pydantic import SecretStr

from adapters.email.smtp import SmtpSender, SmtpSettings
from runtime.processes import free_port

HOST = "127.0.0.1"


class PostOffice:
    """Counts the mails it took by address; what goes wrong is set by the test."""

    def __init__(self, port: int | None = None) -> None:
        self.port = port or free_port(HOST)
        self.taken: Counter[str] = Counter()
        self.asked: Counter[str] = Counter()
        self.refused: dict[str, str] = {}
        """Address → what is answered to its RCPT."""
        self.hangs_up: set[str] = set()
        """Addresses at whose first RCPT the session is closed."""
        self.silent: set[str] = set()
        """Addresses whose first mail is taken, and the connection lost before the answer."""
        self.seconds = 0.0
        self.hold_after: int | None = None
        """Takes mails beyond this number without ever answering."""
        self._dialogues: list[SMTP] = []
        self._server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        return f"smtp://{HOST}:{self.port}"

    @property
    def arrived(self) -> int:
        return sum(self.taken.values())

    def sender(self, timeout: float = 5.0) -> SmtpSender:
        return SmtpSender(SmtpSettings(url=SecretStr(self.url), timeout=timeout))

    async def open(self) -> None:
        loop = asyncio.get_running_loop()

        def answer() -> SMTP:
            self._dialogues.append(SMTP(self, loop=loop))
            return self._dialogues[-1]

        self._server = await loop.create_server(answer, host=HOST, port=self.port)

    async def close(self) -> None:
        """Refuse connections from now on, and break those that are open."""
        if self._server is None:
            return
        self._server.close()
        for dialogue in self._dialogues:
            _abort(dialogue)
        self._dialogues.clear()
        await asyncio.sleep(0.01)
        await self._server.wait_closed()
        self._server = None

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        self.asked[address] += 1
        if address in self.hangs_up and self.asked[address] == 1:
            _abort(server)
        if address in self.refused:
            return self.refused[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        await asyncio.sleep(self.seconds)
        (address,) = envelope.rcpt_tos
        self.taken[address] += 1
        if self.hold_after is not None and self.arrived > self.hold_after:
            await asyncio.Event().wait()
        if address in self.silent and self.taken[address] == 1:
            _abort(server)
        return "250 2.0.0 OK"


@asynccontextmanager
async def post_office() -> AsyncIterator[PostOffice]:
    """An open one, closed afterwards."""
    office = PostOffice()
    await office.open()
    try:
        yield office
    finally:
        await office.close()


def _abort(dialogue: SMTP) -> None:
    if isinstance(dialogue.transport, asyncio.WriteTransport):
        dialogue.transport.abort()
