"""A mail whose dialogue is cut off, garbled or refused at any step: was it accepted or not?"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
from pydantic import SecretStr

from adapters.email.smtp import SmtpSender, SmtpSettings
from domain.errors import OutcomeUnknown, Transient, Unreachable
from domain.message import Channel, Moment, OutboundMessage, Recipient

ANSWERS = {
    "HELLO": b"220 ready\r\n",
    "EHLO": b"250-sink\r\n250 SIZE 1000000\r\n",
    "MAIL": b"250 sender ok\r\n",
    "RCPT": b"250 recipient ok\r\n",
    "DATA": b"354 go on\r\n",
    "DOT": b"250 accepted\r\n",
    "RSET": b"250 forgotten\r\n",
    "QUIT": b"221 bye\r\n",
}
# Answers instead of the usual ones; None hangs up without one.
CUT = None
# More than both ends' buffers hold.
LARGE = ("word " * 20_000 + "\n") * 200
Trouble = dict[str, bytes | None]


class Post:
    """A server that says what it is told to; `accepted` are the mails it took."""

    def __init__(self) -> None:
        self.trouble: Trouble = {}
        self.accepted: list[bytes] = []
        self.connections = 0
        self.slices = False
        self.again = asyncio.Event()
        self.writers: list[asyncio.StreamWriter] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        if self.connections == 2:
            self.again.set()
        self.writers.append(writer)
        with suppress(OSError, asyncio.IncompleteReadError):
            alive = await self._answer("HELLO", writer)
            while alive and (line := await reader.readline()):
                command = line[:4].decode().upper()
                alive = await self._answer(command, writer)
                if command == "DATA" and alive and "DATA" not in self.trouble:
                    alive = await self._take(reader, writer)
        writer.close()

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        if "BODY" in self.trouble:
            await reader.read(1000)
            writer.transport.abort()
            return False
        mail = await reader.readuntil(b"\r\n.\r\n")
        if self.trouble.get("DOT", ANSWERS["DOT"]) == ANSWERS["DOT"]:
            self.accepted.append(mail[:-3])
        return await self._answer("DOT", writer)

    async def _answer(self, step: str, writer: asyncio.StreamWriter) -> bool:
        answer = self.trouble.get(step, ANSWERS.get(step, b"500 what?\r\n"))
        if answer is None:
            writer.transport.abort()
            return False
        for part in [answer[i : i + 1] for i in range(len(answer))] if self.slices else [answer]:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(0.001 if self.slices else 0)
        return not answer or (answer[-1:] == b"\n" and answer[:3] not in (b"421", b"221"))


@asynccontextmanager
async def posting(post: Post, patience: float = 5.0) -> AsyncIterator[SmtpSender]:
    server = await asyncio.start_server(post.serve, "127.0.0.1", 0, limit=2**24)
    port = server.sockets[0].getsockname()[1]
    url = SecretStr(f"smtp://127.0.0.1:{port}?starttls=never")
    sender = SmtpSender(SmtpSettings(url=url, timeout=patience))
    try:
        yield sender
    finally:
        await sender.aclose()
        server.close()
        for writer in post.writers:
            writer.close()
        await server.wait_closed()


def message(text: str = "All is well.") -> OutboundMessage:
    return OutboundMessage(
        key="key", thread="key", incident_id="inc_a", moment=Moment.INITIAL, channel=Channel.EMAIL,
        recipient=Recipient(delivery_id=1, contact_id="c1", address="zoe@customer.example"),
        subject="Payments", text=text, html=None, unsubscribe_url=None,
        metadata={"from_name": "Acme", "from_email": "status@acme.example"},
    )  # fmt: skip


@pytest.mark.parametrize("step", ["HELLO", "EHLO", "MAIL", "RCPT", "DATA", "BODY"])
@pytest.mark.parametrize("answer", [CUT, b"42", b"421 closing\r\n", b"nonsense\r\n"])
async def test_before_the_final_dot_nothing_was_accepted(step: str, answer: bytes | None) -> None:
    post = Post()
    async with posting(post, patience=0.5) as sender:
        post.trouble = {step: answer}
        with pytest.raises(Transient):
            await sender.send(message(LARGE if step == "BODY" else "word"))
        post.trouble = {}
        await sender.send(message())
    assert len(post.accepted) == 1


@pytest.mark.parametrize("answer", [CUT, b"25", b"250-more to\r\n", b"nonsense\r\n"])
async def test_after_the_final_dot_nobody_knows(answer: bytes | None) -> None:
    post = Post()
    async with posting(post, patience=0.3) as sender:
        post.trouble = {"DOT": answer}
        with pytest.raises(OutcomeUnknown):
            await sender.send(message())
        post.trouble = {}
        await sender.send(message())
    assert (len(post.accepted), post.connections) == (1, 2), "such a connection is not used again"


@pytest.mark.parametrize("step", ["MAIL", "RCPT", "DATA", "DOT"])
async def test_a_server_that_says_goodbye_is_away_and_not_the_recipient(step: str) -> None:
    post = Post()
    async with posting(post) as sender:
        post.trouble = {step: b"421 4.3.2 shutting down\r\n"}
        with pytest.raises(Unreachable, match="421"):
            await sender.send(message())
    assert post.accepted == []


@pytest.mark.parametrize("answer", [CUT, b"421 too many mails\r\n"])
async def test_a_server_that_left_an_idle_connection_costs_the_mail_nothing(
    answer: bytes | None,
) -> None:
    post = Post()
    async with posting(post) as sender:
        await sender.send(message())
        post.trouble = {"MAIL": answer}
        sending = asyncio.create_task(sender.send(message()))
        await post.again.wait()
        post.trouble = {}
        await sending
        assert len(post.accepted) == 2
        # Gone while nobody looked.
        for writer in post.writers:
            writer.transport.abort()
        await asyncio.sleep(0.05)
        await sender.send(message())
    assert (len(post.accepted), post.connections) == (3, 3)


@pytest.mark.parametrize("step", ["MAIL", "RCPT", "DATA", "DOT"])
async def test_after_a_refusal_the_next_mail_starts_afresh(step: str) -> None:
    post = Post()
    async with posting(post) as sender:
        post.trouble = {step: b"451 not now\r\n"}
        with pytest.raises(Transient, match="451"):
            await sender.send(message())
        post.trouble = {"RSET": b"503 never\r\n"}
        await sender.send(message())
        assert post.connections == 1
        post.trouble = {step: b"451 not now\r\n", "RSET": b"503 never\r\n"}
        with pytest.raises(Transient, match="451"):
            await sender.send(message())
        post.trouble = {}
        await sender.send(message())
    assert (len(post.accepted), post.connections) == (2, 2), "one that does not forget is left"


async def test_answers_in_single_letters_are_answers() -> None:
    post = Post()
    post.slices = True
    async with posting(post) as sender:
        await sender.send(message())
    assert len(post.accepted) == 1


async def test_a_mail_that_is_cut_short_by_us_is_not_accepted() -> None:
    post = Post()
    async with posting(post) as sender:
        post.trouble = {"DATA": b""}
        sending = asyncio.create_task(sender.send(message()))
        await asyncio.sleep(0.1)
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        post.trouble = {}
        await sender.send(message())
    assert (len(post.accepted), post.connections) == (1, 2), "half a mail is on that connection"


@pytest.mark.parametrize("words", [".\nend", "a\r.\rb", "a\n..\n.\nb", ".\r\n.", "a\x0b.b\x85.c"])
async def test_dots_and_line_ends_never_end_a_mail(words: str) -> None:
    post = Post()
    async with posting(post) as sender:
        await sender.send(message(words))
        await sender.send(message())
    assert len(post.accepted) == 2
    wire = post.accepted[0]
    assert b"\r" not in wire.replace(b"\r\n", b"") and b"\n" not in wire.replace(b"\r\n", b"")
    lines = wire.split(b"\r\n")
    assert not [line for line in lines if line.startswith(b".") and not line.startswith(b"..")]
