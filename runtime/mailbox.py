"""What the local mail sink keeps: every mail as an .eml file, the newest ones indexed in memory."""

import json
import os
from collections import deque
from collections.abc import Iterator
from datetime import UTC, datetime
from email import message_from_bytes
from email.errors import HeaderParseError
from email.header import decode_header, make_header
from email.message import EmailMessage, Message
from email.parser import BytesParser
from email.policy import SMTPUTF8
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

MAX_INDEXED = 20_000
# Enough of the text to search in; the whole mail stays on disk.
INDEXED_TEXT = 2_000


class MailSummary(BaseModel):
    """One received mail as a list shows it."""

    model_config = ConfigDict(frozen=True)

    id: int
    at: datetime
    sender: str
    recipients: tuple[str, ...]
    to: str
    subject: str
    text: str


class Mail(MailSummary):
    """One received mail whole, decoded."""

    headers: tuple[tuple[str, str], ...]
    html: str | None


class Mailbox:
    """Keeps mails under a directory, so that a restart finds them again."""

    def __init__(self, data_dir: Path, max_indexed: int = MAX_INDEXED) -> None:
        self._files = data_dir / "mails"
        self._files.mkdir(parents=True, exist_ok=True)
        self._index_path = data_dir / "index.jsonl"
        self._mails: deque[MailSummary] = deque(self._read_index(), maxlen=max_indexed)
        self._last_id = max(
            [self._mails[-1].id if self._mails else 0]
            + [int(path.stem) for path in self._files.glob("*.eml")]
        )
        self._index = self._index_path.open("a", encoding="utf-8")

    def __len__(self) -> int:
        return len(self._mails)

    def add(self, sender: str, recipients: list[str], raw: bytes) -> MailSummary:
        """Keep one mail; it is on disk when this returns."""
        self._last_id += 1
        message = message_from_bytes(raw)
        summary = MailSummary(
            id=self._last_id,
            at=datetime.now(UTC),
            sender=sender,
            recipients=tuple(recipients),
            to=_decoded(message, "To"),
            subject=_decoded(message, "Subject"),
            text=_first_text(message)[:INDEXED_TEXT],
        )
        self._path(summary.id).write_bytes(raw)
        self._index.write(summary.model_dump_json() + "\n")
        self._index.flush()
        self._mails.append(summary)
        return summary

    def find(self, to: str = "", query: str = "") -> Iterator[MailSummary]:
        """Mails, newest first, by part of a recipient and part of subject, address or text."""
        to, query = to.casefold(), query.casefold()
        for mail in reversed(self._mails):
            if not to and not query:
                yield mail
                continue
            receivers = f"{' '.join(mail.recipients)} {mail.to}".casefold()
            seen = f"{receivers} {mail.sender} {mail.subject} {mail.text}".casefold()
            if to in receivers and query in seen:
                yield mail

    def get(self, mail_id: int) -> Mail | None:
        """One mail whole, or None if it is not indexed (any more)."""
        summary = next((mail for mail in self._mails if mail.id == mail_id), None)
        if summary is None:
            return None
        message = _parse(self.raw(mail_id))
        fields = summary.model_dump()
        fields["text"] = _part(message, "plain") or ""
        headers = tuple((name, str(value)) for name, value in message.items())
        return Mail(**fields, headers=headers, html=_part(message, "html"))

    def raw(self, mail_id: int) -> bytes:
        """The mail as it came over the wire; raises FileNotFoundError."""
        return self._path(mail_id).read_bytes()

    def clear(self) -> int:
        """Remove all mails; returns how many were indexed."""
        count = len(self._mails)
        self._mails.clear()
        os.truncate(self._index_path, 0)
        for path in self._files.glob("*.eml"):
            path.unlink()
        return count

    def close(self) -> None:
        """Close the index."""
        self._index.close()

    def _path(self, mail_id: int) -> Path:
        return self._files / f"{mail_id:09d}.eml"

    def _read_index(self) -> Iterator[MailSummary]:
        if not self._index_path.exists():
            return
        content = self._index_path.read_bytes()
        whole, newline, torn = content.rpartition(b"\n")
        if torn:
            # A SIGKILL in the middle of a line; the next one must not be glued to it.
            os.truncate(self._index_path, len(whole) + len(newline))
        for line in whole.splitlines():
            try:
                mail = MailSummary.model_validate(json.loads(line))
            except (ValueError, ValidationError):
                continue
            if self._path(mail.id).exists():
                yield mail


def _parse(raw: bytes) -> EmailMessage:
    return BytesParser(EmailMessage, policy=SMTPUTF8).parsebytes(raw)


# The two below read with the old, lenient policy: the modern one takes ten times as long, and
# receiving has to keep up with several workers.
def _decoded(message: Message, name: str) -> str:
    value = message.get(name, "")
    try:
        return str(make_header(decode_header(value)))
    except (LookupError, UnicodeError, HeaderParseError):
        return str(value)


def _first_text(message: Message) -> str:
    for part in message.walk():
        if part.get_content_type() == "text/plain":
            payload = part.get_payload(decode=True)
            if not isinstance(payload, bytes):
                return ""
            try:
                return payload.decode(part.get_content_charset("utf-8"), "replace")
            except LookupError:
                return payload.decode("utf-8", "replace")
    return ""


def _part(message: EmailMessage, kind: str) -> str | None:
    part = message.get_body(preferencelist=(kind,))
    if part is None:
        return None
    try:
        return str(part.get_content())
    except (LookupError, UnicodeError):
        # An unknown character set: show what can be shown.
        payload = part.get_payload(decode=True)
        return payload.decode("utf-8", "replace") if isinstance(payload, bytes) else None
