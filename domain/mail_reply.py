"""A customer's reply to one of our mails, as far as it can be read without guessing."""

from __future__ import annotations

import re
from dataclasses import dataclass
from email import message_from_bytes
from email import policy as mail_policy
from email.message import EmailMessage
from email.utils import parseaddr

MAX_WORDS = 1000
_ID = re.compile(r"<([^<>@\s]+)@[^<>\s]+>")
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f]")
# Where mail programs put what is answered: quoted lines, or a rule of their own above it.
_QUOTED = re.compile(r"^(?:>|-{4,}|_{8,})", re.MULTILINE)
_BULK = frozenset({"bulk", "junk", "list", "auto_reply"})


@dataclass(frozen=True)
class MailReply:
    """`sender` is the bare address in lower case, `answers` the local parts of the Message-IDs
    that it refers to, `words` what stands above the quoted text; `automatic` says that a program
    wrote it (RFC 3834), out of office or undeliverable."""

    sender: str
    answers: frozenset[str]
    words: str
    automatic: bool


def read_reply(raw: bytes) -> MailReply:
    """Read a mail (RFC 5322); what is malformed in it is left out, nothing raises."""
    mail = message_from_bytes(raw, policy=mail_policy.default)
    refers = f"{_header(mail, 'In-Reply-To')} {_header(mail, 'References')}"
    submitted = _header(mail, "Auto-Submitted").split(";")[0].strip().lower()
    precedence = _header(mail, "Precedence").strip().lower()
    return MailReply(
        sender=parseaddr(_header(mail, "From"))[1].lower(),
        answers=frozenset(_ID.findall(refers)),
        words=_words(mail),
        automatic=submitted not in ("", "no")
        or precedence in _BULK
        or mail.get_content_type() == "multipart/report",
    )


def _header(mail: EmailMessage, name: str) -> str:
    try:
        return str(mail.get(name, ""))
    except (ValueError, IndexError, LookupError, AttributeError):
        # The standard library stumbles over some broken headers; such a one says nothing.
        return ""


def _words(mail: EmailMessage) -> str:
    try:
        body = mail.get_body(("plain",))
        text = str(body.get_content()) if body is not None else ""
    except (ValueError, LookupError, AttributeError):
        return ""
    quoted = _QUOTED.search(text)
    if quoted is not None:
        # The line above a quotation says who wrote it.
        lines = text[: quoted.start()].rstrip().split("\n")
        text = "\n".join(lines[:-1] if lines[-1].rstrip().endswith(":") else lines)
    return _CONTROL.sub(" ", text.replace("\r\n", "\n"))[:MAX_WORDS].strip()
