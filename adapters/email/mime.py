"""A mail as bytes, put together by hand.

The standard library parses every header it is given and folds bodies in Python, which bounds a
sender at a few hundred mails a second; here headers are cleaned, encoded and remembered where
the mails of one broadcast share them, and bodies are encoded in C.
"""

from __future__ import annotations

import re
from binascii import b2a_base64, b2a_qp
from dataclasses import dataclass
from datetime import UTC, datetime
from email.errors import HeaderParseError
from email.headerregistry import Address
from email.utils import format_datetime
from functools import lru_cache

from domain.errors import Permanent
from domain.message import OutboundMessage

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_ID = re.compile(r"[^A-Za-z0-9._+-]")
_BREAK = re.compile(r"\r\n|\r|\n")
_ATOMS = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?: [A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_PLAIN_ADDRESS = re.compile(
    r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*"
    r"@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*"
)
_QUOTED = re.compile(r'(["\\])')
# An encoded word is at most 75 characters, and 45 bytes become 60 of them.
_WORD_BYTES = 45
_LINE = 76
# Quoted-printable writes "=" only before two hex digits, so no body can hold this.
_BOUNDARY = "=_alternative"


@dataclass(frozen=True)
class Mail:
    """A finished mail; `headers` in order, with CRLF where a long one is folded."""

    headers: tuple[tuple[str, str], ...]
    body: bytes

    def __getitem__(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key == name), None)

    def keys(self) -> list[str]:
        return [key for key, _ in self.headers]

    def as_bytes(self) -> bytes:
        """The mail as it goes over the wire, with CRLF and ASCII only."""
        head = "".join([f"{key}: {value}\r\n" for key, value in self.headers])
        return head.encode("ascii") + b"\r\n" + self.body


def build_mail(message: OutboundMessage, now: datetime) -> Mail:
    """The mail of a message: text and HTML, threaded, with one-click unsubscribe."""
    from_email = str(message.metadata["from_email"])
    domain = from_email.rpartition("@")[2]
    recipient = message.recipient
    headers = [
        ("From", _remembered_mailbox(str(message.metadata.get("from_name", "")), from_email)),
        ("To", mailbox(recipient.name or "", recipient.address or "")),
    ]
    reply_to = str(message.metadata.get("reply_to", ""))
    if reply_to and reply_to != from_email:
        headers.append(("Reply-To", _remembered_mailbox("", reply_to)))
    headers += [
        ("Subject", _remembered_text(message.subject or "", len("Subject: "))),
        ("Date", _date(int(now.timestamp()))),
        ("Message-ID", message_id(message.key, domain)),
    ]
    if message.thread and message.thread != message.key:
        first = message_id(message.thread, domain)
        headers += [("In-Reply-To", first), ("References", first)]
    if message.unsubscribe_url:
        url = line(message.unsubscribe_url)
        if not url.isascii():
            url = url.encode("ascii", "ignore").decode()
        headers += [
            ("List-Unsubscribe", f"<{url}>"),
            ("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"),
        ]
    headers += [("Auto-Submitted", "auto-generated"), ("MIME-Version", "1.0")]
    text = _quoted_printable(message.text)
    if message.html is None:
        headers += [
            ("Content-Type", 'text/plain; charset="utf-8"'),
            ("Content-Transfer-Encoding", "quoted-printable"),
        ]
        return Mail(tuple(headers), text)
    headers.append(("Content-Type", f'multipart/alternative; boundary="{_BOUNDARY}"'))
    html = _quoted_printable(message.html)
    parts = (_part("plain"), text, b"\r\n", _part("html"), html, b"\r\n")
    return Mail(tuple(headers), b"".join(parts) + f"--{_BOUNDARY}--\r\n".encode())


def message_id(key: str, domain: str) -> str:
    """The Message-ID of a delivery: the same for each attempt."""
    left = key if key.isascii() and key.isalnum() else _ID.sub("-", key)
    return f"<{left}@{_host(domain)}>"


@lru_cache(maxsize=64)
def _host(domain: str) -> str:
    return _ID.sub("-", domain)


def mailbox(name: str, address: str) -> str:
    """`Name <address>` for a header; raises `Permanent` where the address is none."""
    addr_spec = _checked(address)
    shown = line(name)
    if not shown:
        return addr_spec
    # What looks like an encoded word would be read as one.
    plain = shown.isascii() and "=?" not in shown
    if plain and _ATOMS.fullmatch(shown):
        return f"{shown} <{addr_spec}>"
    if plain:
        return f'"{_QUOTED.sub(_ESCAPED, shown)}" <{addr_spec}>'
    return f"{_encoded(shown, len('Reply-To: '))}\r\n <{addr_spec}>"


def ascii_address(address: str) -> str:
    """The address with its domain as the network knows it; raises ValueError."""
    local, at, domain = address.rpartition("@")
    if not at or not local.isascii() or not domain:
        raise ValueError("not a mail address")
    return f"{local}@{domain if domain.isascii() else domain.encode('idna').decode()}"


def line(text: str) -> str:
    """One line: a header that is given a line break would end there and start another."""
    # Most are plain, and looking is far cheaper than searching.
    if text.isascii() and text.isprintable():
        return text.strip()
    return _CONTROL.sub(" ", text).strip()


_ESCAPED = r"\\\1"


def _checked(address: str) -> str:
    try:
        addr_spec = ascii_address(line(address))
        if _PLAIN_ADDRESS.fullmatch(addr_spec):
            return addr_spec
        return Address(addr_spec=addr_spec).addr_spec
    except (HeaderParseError, ValueError, IndexError) as e:
        # The address is personal data: the reason says what is wrong, not what stands there.
        raise Permanent("not a mail address") from e


@lru_cache(maxsize=64)
def _date(seconds: int) -> str:
    return format_datetime(datetime.fromtimestamp(seconds, UTC))


@lru_cache(maxsize=64)
def _remembered_mailbox(name: str, address: str) -> str:
    return mailbox(name, address)


@lru_cache(maxsize=1024)
def _remembered_text(text: str, used: int) -> str:
    """A header's text, as it is where that fits one line, else as encoded words.

    `used` is the length of what stands before it on its line.
    """
    shown = line(text)
    plain = shown.isascii() and used + len(shown) <= _LINE and "=?" not in shown
    return shown if plain else _encoded(shown, used)


def _encoded(text: str, used: int) -> str:
    """RFC 2047 words in UTF-8, cut between characters and folded."""
    words: list[str] = []
    piece, room = b"", min(_WORD_BYTES, (_LINE - used - 12) // 4 * 3)
    for character in _SURROGATE.sub("\ufffd", text):
        encoded = character.encode()
        if len(piece) + len(encoded) > room:
            words.append(_word(piece))
            piece, room = b"", _WORD_BYTES
        piece += encoded
    return "\r\n ".join([*words, _word(piece)])


def _word(piece: bytes) -> str:
    return f"=?utf-8?b?{b2a_base64(piece, newline=False).decode()}?="


@lru_cache(maxsize=4)
def _part(subtype: str) -> bytes:
    return (
        f"--{_BOUNDARY}\r\n"
        f'Content-Type: text/{subtype}; charset="utf-8"\r\n'
        "Content-Transfer-Encoding: quoted-printable\r\n\r\n"
    ).encode()


def _quoted_printable(text: str) -> bytes:
    lines = _BREAK.sub("\n", text).split("\n") if "\r" in text else text.split("\n")
    if lines[-1]:
        lines.append("")
    return b"\r\n".join([_quoted_line(line) for line in lines])


@lru_cache(maxsize=4096)
def _quoted_line(line: str) -> bytes:
    """One line: all but a few are the same in every mail of a broadcast."""
    # With its end, because blanks are encoded only there.
    encoded: bytes = b2a_qp(f"{line}\r\n".encode("utf-8", "replace"), istext=True)
    return encoded.removesuffix(b"\r\n")
