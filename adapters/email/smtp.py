"""E-mail by SMTP: a pool of connections, one mail per recipient, errors split by what they mean."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Literal, cast
from urllib.parse import parse_qs, unquote, urlsplit

import aiosmtplib
from aiosmtplib import SMTP, SMTPResponse
from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator
from pydantic_settings import SettingsConfigDict

from adapters.base import AdapterSettings, AdapterSpec
from adapters.email.mime import ascii_address, build_mail, line
from domain.errors import OutcomeUnknown, Permanent, Transient, Unreachable
from domain.message import Channel, OutboundMessage, Receipt

_ADDRESS = re.compile(r"<?[\w.!#$%&'*+/=?^`{|}~-]+@[\w-]+(?:\.[\w-]+)*>?")
_REASON_LIMIT = 300
_POLL = 0.005
_LAST_BYTES = 32_768
# What the server answers when all is well, and when it hangs up.
DONE, FORWARDED, START_INPUT, CLOSING = 250, 251, 354, 421
# "Closing down" and "authentication required" say something about the server or about us, and
# nothing about the recipient.
_OURS = frozenset({CLOSING, 530, 534, 535, 538})


class SmtpSettings(AdapterSettings):
    """`SMTP_URL`: `smtp://user:password@host:port`, or `smtps://` for TLS from the start.

    `?starttls=required|auto|never` (default auto: used where it is offered) and `?connections=8`.
    """

    model_config = SettingsConfigDict(env_prefix="SMTP_")

    url: SecretStr | None = Field(default=None, description="smtp://user:password@host:port")
    timeout: float = Field(default=20.0, gt=0, description="Seconds that a server may take.")

    @field_validator("url")
    @classmethod
    def _is_smtp(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            parse_url(value.get_secret_value())
        return value


class Server(BaseModel):
    """Where and how mail is handed in."""

    model_config = ConfigDict(frozen=True)

    host: str
    port: int
    tls: bool
    starttls: Literal["required", "auto", "never"] = "auto"
    username: str | None = None
    password: SecretStr | None = None
    connections: int = Field(default=8, ge=1, le=100)


def parse_url(url: str) -> Server:
    """Read an SMTP URL; raises ValueError without repeating the URL, which holds a password."""
    shape = "allowed: smtp://user:password@host:port or smtps://…"
    try:
        parts = urlsplit(url)
        port, host = parts.port, parts.hostname
    except ValueError as e:
        raise ValueError(f"not an SMTP URL; {shape}") from e
    if parts.scheme not in ("smtp", "smtps") or not host:
        raise ValueError(f"not an SMTP URL; {shape}")
    tls = parts.scheme == "smtps"
    options = {k: v[-1] for k, v in parse_qs(parts.query).items()}
    unknown = set(options) - {"starttls", "connections"}
    if unknown or options.get("starttls", "auto") not in ("required", "auto", "never"):
        raise ValueError("options of an SMTP URL: starttls=required|auto|never, connections=1…100")
    return Server(
        host=host,
        port=port or (465 if tls else 587 if parts.username else 25),
        tls=tls,
        username=unquote(parts.username) if parts.username else None,
        password=SecretStr(unquote(parts.password)) if parts.password else None,
        **options,
    )


class _Left(Unreachable):
    """The server had hung up, or did so, before it took a word of this mail."""


class SmtpSender:
    """Hands mails to an SMTP server over a few connections that are kept open.

    A mail's outcome is unknown only when the connection died between the end of its data and the
    server's answer; before that it was surely not accepted.
    """

    channel = Channel.EMAIL
    name = "smtp"

    def __init__(
        self, settings: SmtpSettings, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        if settings.url is None:
            raise ValueError("SMTP_URL is not set")
        self._server = parse_url(settings.url.get_secret_value())
        self._timeout = settings.timeout
        self._clock = clock
        self._idle: list[SMTP] = []
        self._slots = asyncio.Semaphore(self._server.connections)
        self._closed = False

    async def send(self, message: OutboundMessage) -> Receipt:
        """Send one mail; raises Permanent, Transient or OutcomeUnknown."""
        mail = build_mail(message, self._clock())
        data = mail.as_bytes()
        sender = ascii_address(str(message.metadata["from_email"]))
        address = ascii_address(line(message.recipient.address or ""))
        async with self._slots:
            await self._hand_in(sender, address, data)
        return Receipt(provider_id=str(mail["Message-ID"]))

    async def check(self) -> str:
        """Connect, sign in, send nothing; raises Permanent or Transient."""
        async with self._slots:
            await self._quit(await self._connect())
        return f"{self._server.host}:{self._server.port} answers"

    async def aclose(self) -> None:
        """Say goodbye on every idle connection."""
        self._closed = True
        while self._idle:
            await self._quit(self._idle.pop())

    # Dialogue

    async def _hand_in(self, sender: str, address: str, data: bytes) -> None:
        """One mail over an idle connection that still answers, or over a new one."""
        while self._idle:
            with suppress(_Left):
                return await self._use(self._idle.pop(), sender, address, data)
        await self._use(await self._connect(), sender, address, data)

    async def _use(self, connection: SMTP, sender: str, address: str, data: bytes) -> None:
        """One mail's dialogue, after which the connection is fit for the next mail or closed."""
        fit = False
        try:
            await self._envelope(connection, sender, address)
            await self._mail(connection, data)
            fit = True
        except aiosmtplib.SMTPResponseException as e:
            fit = await self._forget(connection, e.code)
            raise _refusal(e) from e
        except (aiosmtplib.SMTPException, OSError) as e:
            raise Transient(_words(e)) from e
        finally:
            # Also when this is cancelled in the middle, which leaves half a mail behind.
            if fit and connection.is_connected and not self._closed:
                self._idle.append(connection)
            else:
                connection.close()

    async def _envelope(self, connection: SMTP, sender: str, address: str) -> None:
        """From, to, and the server's word that it takes the data.

        The library's `mail`, `rcpt` and `data` parse addresses and search mails that are known to
        be right, which takes longer than sending them; nor does `data` tell a mail that was cut
        off from one whose answer was.
        """
        try:
            begun = await connection.execute_command(b"MAIL", f"FROM:<{sender}>".encode("ascii"))
        except (aiosmtplib.SMTPException, OSError) as e:
            raise _Left(_words(e)) from e
        if begun.code == CLOSING:
            raise _Left(_plain(f"{begun.code} {begun.message}"))
        _expect(begun, DONE)
        to = f"TO:<{address}>".encode("ascii")
        _expect(await connection.execute_command(b"RCPT", to), DONE, FORWARDED)
        _expect(await connection.execute_command(b"DATA"), START_INPUT)

    async def _mail(self, connection: SMTP, data: bytes) -> None:
        """The mail itself; raises OutcomeUnknown when its end went out and no answer came back.

        The end goes out in one piece with the final dot, because each write costs as much as
        making the mail; of a long mail what is before is handed to the network first, so that
        a loss there is surely a loss.
        """
        protocol = connection.protocol
        if protocol is None:
            raise aiosmtplib.SMTPServerDisconnected("connection lost")
        # A line that begins with a dot gets another one; `build_mail` writes no line end but CRLF.
        whole = data.replace(b"\r\n.", b"\r\n..") + b".\r\n"
        if len(whole) > _LAST_BYTES:
            protocol.write(whole[:-_LAST_BYTES])
            await self._drained(connection)
        protocol.write(whole[-_LAST_BYTES:])
        try:
            answer = await protocol.read_response(timeout=self._timeout)
        except (aiosmtplib.SMTPException, OSError) as e:
            raise OutcomeUnknown(f"no answer after the whole mail went out: {_words(e)}") from e
        _expect(answer, DONE)

    async def _drained(self, connection: SMTP) -> None:
        # uvloop's transports are no subclass of asyncio's.
        transport = cast("asyncio.WriteTransport | None", connection.transport)
        if transport is None:
            raise aiosmtplib.SMTPServerDisconnected("connection lost")
        unsent = transport.get_write_buffer_size
        async with asyncio.timeout(self._timeout):
            while unsent() and not transport.is_closing():  # noqa: ASYNC110 - no event tells
                await asyncio.sleep(_POLL)

    async def _forget(self, connection: SMTP, code: int) -> bool:
        """Whether the server forgot a mail that it refused and waits for the next one."""
        if code < 400 or code == CLOSING:
            return False
        try:
            answer = await connection.execute_command(b"RSET")
        except (aiosmtplib.SMTPException, OSError):
            return False
        return answer.code == DONE

    async def _connect(self) -> SMTP:
        server = self._server
        connection = SMTP(
            hostname=server.host,
            port=server.port,
            timeout=self._timeout,
            use_tls=server.tls,
            start_tls={"required": True, "auto": None, "never": False}[server.starttls]
            if not server.tls
            else False,
            username=server.username,
            password=server.password.get_secret_value() if server.password else None,
        )
        try:
            await connection.connect()
            if connection.is_ehlo_or_helo_needed:
                await connection.ehlo()
        except (aiosmtplib.SMTPException, OSError, ValueError) as e:
            connection.close()
            raise Unreachable(f"cannot connect: {_words(e)}") from e
        return connection

    @staticmethod
    async def _quit(connection: SMTP) -> None:
        with suppress(aiosmtplib.SMTPException, OSError):
            await connection.quit()
        connection.close()


# Answers and errors


def _expect(answer: SMTPResponse, *codes: int) -> None:
    if answer.code not in codes:
        raise aiosmtplib.SMTPResponseException(answer.code, answer.message)


def _refusal(error: aiosmtplib.SMTPResponseException) -> Permanent | Transient:
    """5xx is final for this recipient, 4xx may pass; a demand to sign in is ours to settle."""
    reason = _words(error)
    if error.code in _OURS:
        return Unreachable(reason)
    return Permanent(reason) if error.code >= 500 else Transient(reason)


def _words(error: BaseException) -> str:
    if isinstance(error, aiosmtplib.SMTPResponseException):
        return _plain(f"{error.code} {error.message}")
    return _plain(str(error) or type(error).__name__)


def _plain(text: str) -> str:
    """The server's own words on one line, without anybody's address."""
    return _ADDRESS.sub("<address>", " ".join(line(text).split()))[:_REASON_LIMIT]


ADAPTER = AdapterSpec(
    name="smtp",
    kind="email",
    settings=SmtpSettings,
    build=SmtpSender,
    roles=("send", "check"),
    summary="Any mail server, by SMTP with STARTTLS or TLS",
)
