"""A mail put together by hand reads as it was meant, whatever is in it."""

from __future__ import annotations

from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage

import pytest

from adapters.email.mime import build_mail
from domain.errors import Permanent
from domain.message import Channel, Moment, OutboundMessage, Recipient

NOW = datetime(2026, 11, 21, 14, 30, tzinfo=UTC)


def read(subject: str = "S", text: str = "T", html: str | None = "<p>T</p>", name: str = "Ada",
         address: str = "ada@customer.example") -> tuple[EmailMessage, bytes]:  # fmt: skip
    """The mail as a reader's program understands it, and its bytes."""
    message = OutboundMessage(
        key="k", thread="k", incident_id="i", moment=Moment.UPDATE, channel=Channel.EMAIL,
        recipient=Recipient(delivery_id=1, name=name, address=address),
        subject=subject, text=text, html=html,
        metadata={"from_name": "Acme Cloud", "from_email": "status@acme.example"},
    )  # fmt: skip
    raw = build_mail(message, NOW).as_bytes()
    mail = message_from_bytes(raw, policy=policy.default)
    assert isinstance(mail, EmailMessage) and not mail.defects
    assert raw.isascii() and b"\n" not in raw.replace(b"\r\n", b"")
    return mail, raw


@pytest.mark.parametrize(
    "name",
    [
        "Ada",
        "Ada Lovelace",
        "Dr. Lovelace, Ada",
        'Ada "the first" \\ Lovelace',
        "Zoë Müller, Ops",
        "=?utf-8?q?Bcc?=",
        "<x@evil.example>",
        "山田 太郎",
        "👩\u200d💻 Ada",
        "Ada (Ops); Team: x@y.example",
    ],
)
def test_names_come_back_as_one_person(name: str) -> None:
    mail, _ = read(name=name)
    (person,) = mail["To"].addresses
    assert person.display_name == name.strip()
    assert person.addr_spec == "ada@customer.example"


@pytest.mark.parametrize(
    "subject",
    [
        "Update 2: Payment processing",
        "Störungsmeldung: Zahlungsabwicklung " * 4,
        "a" * 300,
        "=?utf-8?q?not_encoded?=",
        "支払い処理 " * 30,
        "",
    ],
)
def test_subjects_come_back_on_short_lines(subject: str) -> None:
    mail, raw = read(subject=subject)
    assert mail["Subject"] == subject.strip()
    assert max(map(len, raw.split(b"\r\n"))) <= 100


def unified(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


@pytest.mark.parametrize(
    "text",
    [
        "one\ntwo\n",
        "no end",
        "trailing space \nand tab\t\n",
        ".\n..\n.hidden\n",
        "From here = 100% \N{EURO SIGN}\n" + "x" * 3000,
        "--=_alternative\n--=_alternative--\n",
        "a\r\nb\rc\n",
        "",
    ],
)
def test_bodies_come_back(text: str) -> None:
    mail, raw = read(text=text, html=f"<p>{text}</p>")
    plain, html = mail.iter_parts()
    assert isinstance(plain, EmailMessage) and isinstance(html, EmailMessage)
    expected = unified(text)
    assert unified(plain.get_content()).rstrip("\n") == expected.rstrip("\n")
    assert unified(html.get_content()).strip() == f"<p>{expected}</p>"
    assert max(map(len, raw.split(b"\r\n"))) <= 100
    alone, _ = read(text=text, html=None)
    assert alone.get_content_type() == "text/plain"
    assert unified(alone.get_content()).rstrip("\n") == expected.rstrip("\n")


@pytest.mark.parametrize("address", ["", "x", "a b@x.example", "a@b@c.example", "a@x..example"])
def test_no_address_is_no_mail(address: str) -> None:
    with pytest.raises(Permanent):
        read(address=address)


@pytest.mark.parametrize("address", ["o'brien+alerts@x.example", '"a b"@x.example'])
def test_unusual_addresses_are_kept(address: str) -> None:
    mail, _ = read(address=address)
    assert mail["To"].addresses[0].addr_spec == address
