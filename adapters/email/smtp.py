"""E-mail by SMTP: a pool of connections, one mail per recipient, errors split by what they mean."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Literal
from urllib.parse import parse_qs, unquote, urlsplit

import aiosmtplib
from aiosmtplib import SMTP
from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator
from pydantic_settings import SettingsConfigDict

from adapters.base import AdapterSettings, AdapterSpec
from adapters.email.mime import ascii_address, build_mail, line
from domain.errors import OutcomeUnknown, Permanent, Transient, Unreachable
from domain.message import Channel, OutboundMessage, Receipt

_ADDRESS = re.compile(r"<?[\w.!#$%&'*+/=?^`{|}~-]+@[\w-]+(?:\.[\w-]+)*>?")
_REASON_LIMIT = 300
_DOT = re.compile(rb"^\.", re.MULTILINE)
_POLL = 0.005
START_INPUT = 354
# "Closing down" and "authentication required" say something about the server or about us, and
# nothing about the recipient.
_OURS = frozenset({421, 530, 534, 535, 538})


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
        sender = str(message.metadata["from_email"])
        address = ascii_address(line(message.recipient.address or ""))
        async with self._slots:
            connection = await self._connection()
            fit = False
            try:
                await self._hand_in(connection, sender, address, data)
                fit = True
            except (Permanent, Transient):
                # The server answered: RSET will make the connection fit for the next mail.
                fit = True
                raise
            finally:
                self._give_back(connection, fit=fit)
        return Receipt(provider_id=str(mail["Message-ID"]))

    async def check(self) -> str:
        """Connect, sign in, send nothing; raises Permanent or Transient."""
        async with self._slots:
            connection = await self._connection()
            try:
                await connection.noop()
            except (aiosmtplib.SMTPException, OSError) as e:
                raise Transient(_words(e)) from e
            finally:
                await self._quit(connection)
        return f"{self._server.host}:{self._server.port} answers"

    async def aclose(self) -> None:
        """Say goodbye on every idle connection."""
        self._closed = True
        while self._idle:
            await self._quit(self._idle.pop())

    # Dialogue

    async def _hand_in(self, connection: SMTP, sender: str, address: str, data: bytes) -> None:
        """One mail's dialogue; nothing was accepted unless the final dot went out."""
        try:
            await connection.mail(sender)
            await connection.rcpt(address)
            started = await connection.execute_command(b"DATA")
            if started.code != START_INPUT:
                raise aiosmtplib.SMTPDataError(started.code, started.message)
            await self._write(connection, _DOT.sub(b"..", data))
        except aiosmtplib.SMTPResponseException as e:
            raise _refusal(e) from e
        except (aiosmtplib.SMTPException, OSError) as e:
            raise Transient(_words(e)) from e
        protocol = connection.protocol
        if protocol is None:
            raise Transient("the connection was lost while the mail went out")
        try:
            protocol.write(b".\r\n")
            answer = await protocol.read_response(timeout=self._timeout)
        except (aiosmtplib.SMTPException, OSError) as e:
            raise OutcomeUnknown(f"no answer after the whole mail went out: {_words(e)}") from e
        if answer.code != aiosmtplib.SMTPStatus.completed:
            raise _refusal(aiosmtplib.SMTPDataError(answer.code, answer.message))

    async def _write(self, connection: SMTP, data: bytes) -> None:
        """Hand all of the mail but the final dot to the network, so that a loss before is one."""
        protocol, transport = connection.protocol, connection.transport
        if protocol is None or not isinstance(transport, asyncio.WriteTransport):
            raise aiosmtplib.SMTPServerDisconnected("connection lost")
        protocol.write(data)
        async with asyncio.timeout(self._timeout):
            while transport.get_write_buffer_size():
                if transport.is_closing():
                    raise aiosmtplib.SMTPServerDisconnected("connection lost")
                await asyncio.sleep(_POLL)
        if transport.is_closing():
            raise aiosmtplib.SMTPServerDisconnected("connection lost")

    async def _connection(self) -> SMTP:
        """An idle connection that still answers, or a new one."""
        while self._idle:
            connection = self._idle.pop()
            if await self._is_clean(connection):
                return connection
            connection.close()
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
        except (aiosmtplib.SMTPException, OSError, ValueError) as e:
            connection.close()
            raise Unreachable(f"cannot connect: {_words(e)}") from e
        return connection

    async def _is_clean(self, connection: SMTP) -> bool:
        """RSET forgets a half-done mail and shows that the server is still there."""
        if not connection.is_connected:
            return False
        try:
            await connection.rset()
        except (aiosmtplib.SMTPException, OSError):
            return False
        return True

    def _give_back(self, connection: SMTP, *, fit: bool) -> None:
        if fit and connection.is_connected and not self._closed:
            self._idle.append(connection)
        else:
            connection.close()

    @staticmethod
    async def _quit(connection: SMTP) -> None:
        with suppress(aiosmtplib.SMTPException, OSError):
            await connection.quit()
        connection.close()


# Errors


def _refusal(error: aiosmtplib.SMTPResponseException) -> Permanent | Transient:
    """5xx is final for this recipient, 4xx may pass; a demand to sign in is ours to settle."""
    reason = _words(error)
    if error.code in _OURS:
        return Unreachable(reason)
    return Permanent(reason) if error.code >= 500 else Transient(reason)


def _words(error: BaseException) -> str:
    """The server's own words on one line, without anybody's address."""
    if isinstance(error, aiosmtplib.SMTPRecipientsRefused) and error.recipients:
        error = error.recipients[0]
    if isinstance(error, aiosmtplib.SMTPResponseException):
        text = f"{error.code} {error.message}"
    else:
        text = str(error) or type(error).__name__
    return _ADDRESS.sub("<address>", " ".join(line(text).split()))[:_REASON_LIMIT]


ADAPTER = AdapterSpec(
    name="smtp",
    kind="email",
    settings=SmtpSettings,
    build=SmtpSender,
    roles=("send", "check"),
    summary="Any mail server, by SMTP with STARTTLS or TLS",
)
