"""What a mail says, whichever program wrote it."""

from __future__ import annotations

import pytest

from domain.mail_reply import MAX_WORDS, read_reply


def mail(body: str = "No.", **headers: str) -> bytes:
    known = {"From": "Ada <Ada@Reader.example>", "In-Reply-To": "<abc123@acme.example>"}
    given = known | {name.replace("_", "-"): value for name, value in headers.items()}
    head = "".join(f"{name}: {value}\r\n" for name, value in given.items())
    return f"{head}\r\n{body}".encode()


def test_sender_what_it_answers_and_its_words() -> None:
    read = read_reply(mail(References="<first@acme.example>\r\n <abc123@acme.example>"))
    assert read.sender == "ada@reader.example"
    assert read.answers == {"first", "abc123"}
    assert (read.words, read.automatic) == ("No.", False)


@pytest.mark.parametrize(
    "body",
    [
        "Not on Friday, please.\r\n\r\nOn Tue, 10 Mar 2026 Acme wrote:\r\n> Maintenance\r\n> soon",
        "Not on Friday, please.\n\nAm 10.03.2026 schrieb Acme:\n> Wartung",
        "Not on Friday, please.\r\n\r\n-----Original Message-----\r\nFrom: Acme\r\nMaintenance",
        "Not on Friday, please.\r\n\r\n________________________________\r\nVon: Acme",
    ],
)
def test_what_is_quoted_is_not_the_readers_words(body: str) -> None:
    assert read_reply(mail(body)).words == "Not on Friday, please."


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("Auto_Submitted", "auto-replied"),
        ("Auto_Submitted", "auto-replied; owner=x"),
        ("Precedence", "bulk"),
        ("Content_Type", 'multipart/report; boundary="x"'),
    ],
)
def test_what_a_program_wrote_is_known(header: str, value: str) -> None:
    assert read_reply(mail(**{header: value})).automatic
    assert not read_reply(mail(Auto_Submitted="no")).automatic


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\xff\xfe\x00garbage",
        b"From: \r\nIn-Reply-To: <<<>>>\r\n\r\n",
        b"From: =?utf-8?b?\xff?=\r\nReferences: \xe9\r\n\r\nx",
        mail("x", Content_Type='text/plain; charset="no-such"'),
        mail("x", Content_Type="multipart/mixed"),
    ],
)
def test_what_is_malformed_says_nothing_and_raises_nothing(raw: bytes) -> None:
    assert read_reply(raw).words in ("", "x", "\ufffd\ufffd garbage")


def test_control_characters_and_length_are_bounded() -> None:
    assert read_reply(mail("a\x00b\tc\x1b[31m")).words == "a b c [31m"
    assert len(read_reply(mail("x" * 5000)).words) == MAX_WORDS
