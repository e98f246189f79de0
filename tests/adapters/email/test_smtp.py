"""Mail against a real SMTP server: what arrives, and what each kind of trouble means."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

import pytest
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from pydantic import SecretStr, ValidationError

from adapters.email.mime import build_mail
from adapters.email.smtp import ADAPTER, SmtpSender, SmtpSettings
from domain.errors import OutcomeUnknown, Permanent, Transient
from domain.message import Channel, Moment, OutboundMessage, Recipient

NOW = datetime(2026, 11, 21, 14, 30, tzinfo=UTC)


class Mailbox:
    """Takes mails, or answers as a test tells it to."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        self.raw: list[bytes] = []
        self.rcpt: dict[str, str] = {}
        self.mail_answer: str | None = None
        self.data_answer: str | None = None
        self.close_at: str | None = None
        self.delay = 0.0
        self.connections = 0
        self.resets = 0

    async def handle_EHLO(
        self,
        server: SMTP,
        session: Session,
        envelope: Envelope,
        hostname: str,
        responses: list[str],
    ) -> list[str]:
        self.connections += 1
        session.host_name = hostname
        return responses

    async def handle_MAIL(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self.close_at == "mail":
            assert isinstance(server.transport, asyncio.WriteTransport)
            server.transport.abort()
        if self.mail_answer:
            return self.mail_answer
        envelope.mail_from = address
        return "250 OK"

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self.close_at == "rcpt":
            assert server.transport is not None
            server.transport.close()
        if address in self.rcpt:
            return self.rcpt[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_RSET(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        self.resets += 1
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        await asyncio.sleep(self.delay)
        if self.close_at == "data":
            assert isinstance(server.transport, asyncio.WriteTransport)
            server.transport.abort()
            return "250 never heard"
        if self.data_answer:
            return self.data_answer
        assert isinstance(envelope.content, bytes)
        self.raw.append(envelope.content)
        mail = message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(mail, EmailMessage)
        self.mails.append(mail)
        return "250 2.0.0 OK"


@asynccontextmanager
async def serving(mailbox: Mailbox, **options: Any) -> AsyncIterator[str]:
    loop = asyncio.get_running_loop()
    dialogues: list[SMTP] = []

    def answer() -> SMTP:
        dialogues.append(SMTP(mailbox, loop=loop, **options))
        return dialogues[-1]

    server = await loop.create_server(answer, host="127.0.0.1", port=0)
    try:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for dialogue in dialogues:
            if dialogue.transport is not None:
                dialogue.transport.close()
        await asyncio.sleep(0.01)
        await server.wait_closed()


@asynccontextmanager
async def sending(url: str, patience: float = 5.0) -> AsyncIterator[SmtpSender]:
    sender = SmtpSender(SmtpSettings(url=SecretStr(url), timeout=patience), clock=lambda: NOW)
    try:
        yield sender
    finally:
        await sender.aclose()


def message(**changes: Any) -> OutboundMessage:
    recipient = Recipient(
        delivery_id=1, contact_id="c1", name=changes.pop("name", "Zoë Müller, Ops"),
        address=changes.pop("address", "zoe@customer.example"),
    )  # fmt: skip
    values: dict[str, Any] = {
        "key": "inc_a.2.email.1", "thread": "inc_a.1.email.1", "incident_id": "inc_a",
        "moment": Moment.UPDATE, "channel": Channel.EMAIL, "recipient": recipient,
        "subject": "Störungsmeldung: Zahlungen", "text": "Guten Tag,\n.\nalles gut.\n",
        "html": "<p>Grüße &amp; Küsse</p>",
        "unsubscribe_url": f"https://status.acme.example/unsubscribe/{'a' * 120}",
        "metadata": {"from_name": "Acme Cloud", "from_email": "status@acme.example",
                     "reply_to": "support@acme.example"},
    }  # fmt: skip
    return OutboundMessage.model_validate(values | changes)


async def test_a_mail_arrives_whole() -> None:
    mailbox = Mailbox()
    async with serving(mailbox) as where, sending(f"smtp://{where}") as sender:
        receipt = await sender.send(message())
    (mail,) = mailbox.mails
    assert mail["Subject"] == "Störungsmeldung: Zahlungen"
    assert mail["From"].addresses[0].display_name == "Acme Cloud"
    assert mail["From"].addresses[0].addr_spec == "status@acme.example"
    assert mail["To"].addresses[0].display_name == "Zoë Müller, Ops"
    assert len(mail["To"].addresses) == 1, "a comma in a name is no second address"
    assert mail["Reply-To"] == "support@acme.example"
    assert mail["Message-ID"] == "<inc_a.2.email.1@acme.example>" == receipt.provider_id
    assert mail["In-Reply-To"] == mail["References"] == "<inc_a.1.email.1@acme.example>"
    assert mail["List-Unsubscribe"] == f"<{message().unsubscribe_url}>"
    assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail["Date"].datetime == NOW
    assert mail.get_content_type() == "multipart/alternative"
    text, html = mail.iter_parts()
    assert isinstance(text, EmailMessage) and isinstance(html, EmailMessage)
    words = text.get_content().replace("\r\n", "\n")
    assert words == "Guten Tag,\n.\nalles gut.\n", "a lone dot doesn't end the mail"
    assert html.get_content().strip() == "<p>Grüße &amp; Küsse</p>"
    assert mailbox.raw[0].isascii() and max(map(len, mailbox.raw[0].splitlines())) < 998


async def test_the_first_mail_of_a_thread_answers_nothing() -> None:
    mail = build_mail(message(thread="inc_a.2.email.1"), NOW)
    assert mail["In-Reply-To"] is None and mail["References"] is None


@pytest.mark.parametrize("evil", ["A\r\nBcc: all@evil.example", "A\nBcc: x@evil.example", "A\x00B"])
def test_no_header_can_be_smuggled_in(evil: str) -> None:
    hostile = message(name=evil, subject=evil, key=evil, thread=f"{evil}!", unsubscribe_url=evil)
    sent = message_from_bytes(build_mail(hostile, NOW).as_bytes(), policy=policy.default)
    assert sent["Bcc"] is None
    assert sorted(sent.keys()) == sorted(build_mail(message(), NOW).keys())


@pytest.mark.parametrize(
    "address",
    [
        "",
        "nobody",
        "a b@x.example",
        "é@x.example",
        "a@",
        "@b",
        "a@x.example>\r\nRCPT TO:<b@y.example",
    ],
)
async def test_an_address_that_is_none_is_permanent(address: str) -> None:
    mailbox = Mailbox()
    async with serving(mailbox) as where, sending(f"smtp://{where}") as sender:
        with pytest.raises(Permanent) as caught:
            await sender.send(message(address=address))
    assert not address or address not in caught.value.reason
    assert mailbox.mails == []


async def test_a_domain_in_another_script_is_written_in_ascii() -> None:
    mailbox = Mailbox()
    async with serving(mailbox) as where, sending(f"smtp://{where}") as sender:
        await sender.send(message(address="zoe@müller.example"))
    assert mailbox.mails[0]["To"].addresses[0].domain == "xn--mller-kva.example"


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ("550 5.1.1 <zoe@customer.example>: no such user here", Permanent),
        ("554 blocked", Permanent),
        ("451 4.7.1 greylisted, try later", Transient),
        ("421 too busy", Transient),
        ("530 5.7.0 Authentication required", Transient),
    ],
)
@pytest.mark.parametrize("at", ["rcpt", "data"])
async def test_refusals_carry_the_servers_words(
    answer: str, kind: type[Exception], at: str
) -> None:
    mailbox = Mailbox()
    if at == "rcpt":
        mailbox.rcpt["zoe@customer.example"] = answer
    else:
        mailbox.data_answer = answer
    async with serving(mailbox) as where, sending(f"smtp://{where}") as sender:
        with pytest.raises(kind) as caught:
            await sender.send(message())
        assert answer.split("> ")[-1].split()[0] in str(caught.value)
        assert "zoe@" not in str(caught.value), "an address is personal data"
        mailbox.data_answer = None
        await sender.send(message(address="next@customer.example"))
    assert len(mailbox.mails) == 1
    if not answer.startswith("421"):
        assert mailbox.connections == 1, "a refusal costs no new connection"


async def test_a_connection_is_used_again() -> None:
    mailbox = Mailbox()
    async with serving(mailbox) as where, sending(f"smtp://{where}?connections=2") as sender:
        await asyncio.gather(*(sender.send(message(key=f"k{n}")) for n in range(20)))
    assert len(mailbox.mails) == 20
    assert mailbox.connections <= 2
    assert mailbox.resets == 0, "a round trip for each mail"


async def test_nobody_listening_is_transient(unused_port: Callable[[], int]) -> None:
    async with sending(f"smtp://127.0.0.1:{unused_port()}") as sender:
        with pytest.raises(Transient):
            await sender.send(message())


async def test_closing_before_the_data_is_transient() -> None:
    mailbox = Mailbox()
    mailbox.close_at = "rcpt"
    async with serving(mailbox) as where, sending(f"smtp://{where}") as sender:
        with pytest.raises(Transient):
            await sender.send(message())
        mailbox.close_at = None
        await sender.send(message())
    assert len(mailbox.mails) == 1


async def test_losing_the_answer_leaves_the_outcome_unknown() -> None:
    mailbox = Mailbox()
    mailbox.close_at = "data"
    async with serving(mailbox) as where, sending(f"smtp://{where}") as sender:
        with pytest.raises(OutcomeUnknown):
            await sender.send(message())
        mailbox.close_at = None
        await sender.send(message())
    assert len(mailbox.mails) == 1


async def test_an_answer_that_never_comes_leaves_the_outcome_unknown() -> None:
    mailbox = Mailbox()
    mailbox.delay = 2
    async with serving(mailbox) as where, sending(f"smtp://{where}", patience=0.2) as sender:
        with pytest.raises(OutcomeUnknown):
            await sender.send(message())


async def test_a_sender_that_is_refused_leaves_the_connection_fit() -> None:
    mailbox = Mailbox()
    async with serving(mailbox) as where, sending(f"smtp://{where}") as sender:
        mailbox.mail_answer = "451 4.3.0 not now"
        with pytest.raises(Transient, match="451"):
            await sender.send(message())
        mailbox.mail_answer = None
        await sender.send(message())
    assert (len(mailbox.mails), mailbox.connections) == (1, 1)


async def test_a_mail_larger_than_every_buffer_arrives() -> None:
    mailbox = Mailbox()
    words = "All is well again.\n" * 100_000
    async with serving(mailbox) as where, sending(f"smtp://{where}") as sender:
        await asyncio.gather(*(sender.send(message(text=words, html=None)) for _ in range(3)))
    texts = {mail.get_content().replace("\r\n", "\n") for mail in mailbox.mails}
    assert len(mailbox.mails) == 3 and texts == {words}


async def test_a_server_that_says_nothing_is_transient() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
        gone.set()

    gone = asyncio.Event()
    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with sending(f"smtp://127.0.0.1:{port}", patience=0.2) as sender:
        with pytest.raises(Transient):
            await sender.send(message())
    await gone.wait()
    server.close()
    await server.wait_closed()


# aiosmtpd warns that it takes a password without TLS and that its own code will change.
@pytest.mark.filterwarnings("ignore::UserWarning:aiosmtpd", "ignore::DeprecationWarning:aiosmtpd")
@pytest.mark.filterwarnings("ignore:.*auth_require", "ignore:.*login_data:DeprecationWarning")
async def test_check_signs_in_and_sends_nothing() -> None:
    def authenticate(
        server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any
    ) -> AuthResult:
        assert isinstance(data, LoginPassword)
        return AuthResult(success=data.password == b"right/word")

    mailbox = Mailbox()
    options = {"authenticator": authenticate, "auth_require_tls": False, "auth_required": True}
    async with serving(mailbox, **options) as where:
        async with sending(f"smtp://user:right%2Fword@{where}") as sender:
            await sender.check()
            await sender.send(message())
        async with sending(f"smtp://user:wrong@{where}") as sender:
            with pytest.raises(Transient) as caught:
                await sender.check()
            assert "wrong" not in str(caught.value)
    assert len(mailbox.mails) == 1


async def test_required_starttls_is_not_skipped() -> None:
    mailbox = Mailbox()
    async with (
        serving(mailbox) as where,
        sending(f"smtp://{where}?starttls=required") as sender,
    ):
        with pytest.raises(Transient):
            await sender.send(message())
    assert mailbox.mails == []


@pytest.mark.parametrize(
    "url",
    ["http://x", "smtp://", "smtp://h:99999", "smtp://h?tls=1", "smtp://u:secretword@h?starttls=x"],
)
def test_a_wrong_url_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(ValidationError) as caught:
        SmtpSettings(url=SecretStr(url))
    assert "secretword" not in str(caught.value)


def test_the_adapter_builds_a_sender() -> None:
    sender = ADAPTER.build(ADAPTER.settings(url=SecretStr("smtps://mail.acme.example")))
    assert sender.channel is Channel.EMAIL


@pytest.fixture
def unused_port() -> Callable[[], int]:
    def find() -> int:
        import socket

        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            return int(s.getsockname()[1])

    return find
