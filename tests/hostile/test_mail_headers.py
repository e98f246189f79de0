"""Whatever stands in a name, a subject or a link, a mail has the headers that we wrote."""

from __future__ import annotations

from datetime import UTC, datetime
from email import message_from_bytes, policy

from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.email.mime import build_mail
from domain.message import Channel, Moment, OutboundMessage, Recipient

NOW = datetime(2026, 11, 21, 14, 30, tzinfo=UTC)
OURS = [
    "From", "To", "Reply-To", "Subject", "Date", "Message-ID", "In-Reply-To", "References",
    "List-Unsubscribe", "List-Unsubscribe-Post", "Auto-Submitted", "MIME-Version", "Content-Type",
]  # fmt: skip
BREAKS = st.sampled_from(["\r\n", "\n", "\r", "\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\0"])
EVIL = st.sampled_from(
    ["Bcc: victim@example.com", "Content-Type: text/html", "\t folded", "=?utf-8?q?"]
)
# With lone surrogates, as broken JSON escapes bring them.
ANY = st.text(st.characters(exclude_categories=()), max_size=60)
TEXT = st.lists(st.one_of(ANY, BREAKS, EVIL), max_size=8).map("".join)


@settings(max_examples=150, deadline=None)
@given(subject=TEXT, name=TEXT, text=TEXT, html=TEXT, thread=TEXT, url=TEXT)
def test_no_text_adds_or_changes_a_header(
    subject: str, name: str, text: str, html: str, thread: str, url: str
) -> None:
    message = OutboundMessage(
        key="k",
        thread=thread or "t",
        incident_id="i",
        moment=Moment.UPDATE,
        channel=Channel.EMAIL,
        recipient=Recipient(delivery_id=1, name=name, address="ada@customer.example"),
        subject=subject,
        text=text,
        html=html,
        unsubscribe_url=f"https://status.example/unsubscribe/{url}",
        metadata={
            "from_name": "Acme Cloud",
            "from_email": "status@acme.example",
            "reply_to": "support@acme.example",
        },
    )
    raw = build_mail(message, NOW).as_bytes()
    assert raw.isascii() and b"\n" not in raw.replace(b"\r\n", b"")
    mail = message_from_bytes(raw, policy=policy.default)
    threaded = ["In-Reply-To", "References"]
    expected = [h for h in OURS if h not in threaded or thread != "k"]
    assert mail.keys() == expected
    assert [a.addr_spec for a in mail["To"].addresses] == ["ada@customer.example"]
    assert [part.get_content_type() for part in mail.walk()] == [
        "multipart/alternative",
        "text/plain",
        "text/html",
    ]
