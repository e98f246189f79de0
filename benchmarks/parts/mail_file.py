"""Finished mails in a file: written once, read by the baselines, which import nothing of ours."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple


class Mail(NamedTuple):
    """Envelope and content."""

    sender: str
    to: str
    content: bytes


def write_mails(path: Path, mails: Iterable[Mail]) -> None:
    """One mail per line."""
    with path.open("wb") as file:
        for mail in mails:
            file.write(f"{mail.sender} {mail.to} ".encode() + base64.b64encode(mail.content))
            file.write(b"\n")


def read_mails(path: Path) -> Iterator[Mail]:
    """The mails of a file, one after the other."""
    with path.open("rb") as file:
        for line in file:
            sender, to, content = line.split()
            yield Mail(sender.decode(), to.decode(), base64.b64decode(content))
