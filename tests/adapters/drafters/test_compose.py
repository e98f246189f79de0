"""Filling in: zones, languages, names, footers, links; and nothing of a recipient's own runs."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from adapters.drafters.compose import Composer
from adapters.drafters.personal import UNSUBSCRIBE
from adapters.drafters.templates import TemplateDrafter
from domain.errors import Permanent
from domain.message import Channel, DraftText, DraftVersion, Facts, Moment, OutboundMessage
from domain.message import Recipient as R
from domain.policy import Policy
from domain.ports import DraftRequest
from domain.tokens import unsign

CONTENT = Path(__file__).parents[3] / "content"
NOW = datetime(2026, 11, 21, 13, 30, tzinfo=UTC)
DUE = datetime(2026, 11, 21, 14, 30, tzinfo=UTC)


@pytest.fixture
def composer(policy: Policy) -> Composer:
    return Composer(
        policy, "https://status.acme.example/", secret="s" * 32, content_dir=CONTENT,
        clock=lambda: NOW,
    )  # fmt: skip


def draft_of(*texts: DraftText, **facts: Any) -> DraftVersion:
    values: dict[str, Any] = {
        "incident_id": "inc_abcdefghijkl", "moment": Moment.INITIAL, "severity": "P1",
        "stage": "investigating", "category": "local_degradation",
        "times": {"next_update": DUE, "impact_start": NOW - timedelta(days=1)},
        "links": {"status": "https://status.acme.example/?a=1&b=2"},
    }  # fmt: skip
    return DraftVersion(
        incident_id="inc_abcdefghijkl", version=1, moment=Moment.INITIAL, number=1, texts=texts,
        facts=Facts.model_validate(values | facts), audience_rule="all", hash="h", created_at=NOW,
    )  # fmt: skip


def mail(text: str = "Hello [[name]],\n\nby [[time:next_update]]", **more: Any) -> DraftText:
    html = more.pop("html", "<p>Hello [[name]], [[time:next_update]] [[link:status]]</p>")
    locale = more.pop("locale", "en")
    subject = more.pop("subject", "Service alert: [[name]]")
    return DraftText(channel=Channel.EMAIL, locale=locale, subject=subject, text=text, html=html)


def compose(
    composer: Composer, draft: DraftVersion, recipient: R, due: datetime | None = None,
    channel: Channel = Channel.EMAIL,
) -> OutboundMessage:  # fmt: skip
    return composer.compose(draft, channel, recipient, next_update_at=due, thread_key="t", key="k")


def reader(**values: Any) -> R:
    return R.model_validate({"delivery_id": 1, "contact_id": "c1", "name": "Ada"} | values)


@pytest.mark.parametrize(
    ("zone", "locale", "expected"),
    [
        ("UTC", "en", "14:30 UTC"),
        ("Europe/London", "en", "14:30 UTC"),
        ("Europe/Berlin", "en", "15:30 CET (14:30 UTC)"),
        ("Europe/Berlin", "de", "15:30 MEZ (14:30 UTC)"),
        ("Asia/Kolkata", "en", "20:00 IST (14:30 UTC)"),
        ("America/Sao_Paulo", "en", "11:30 UTC-03:00 (14:30 UTC)"),
        ("Nowhere/Land", "en", "14:30 UTC"),
        ("../../etc/passwd", "en", "14:30 UTC"),
    ],
)
def test_times_are_the_readers(composer: Composer, zone: str, locale: str, expected: str) -> None:
    draft = draft_of(mail(), mail("Guten Tag [[name]],\n\nbis [[time:next_update]]", locale="de"))
    text = compose(composer, draft, reader(timezone=zone, locale=locale)).text
    assert f" {expected}\n" in text


def test_the_date_stands_at_all_times_where_one_is_not_today(composer: Composer) -> None:
    both = draft_of(mail("Since [[time:impact_start]]. By [[time:next_update]].", html=""))
    said = compose(composer, both, reader()).text
    assert "Since Nov 20, 2026, 13:30 UTC. By Nov 21, 2026, 14:30 UTC." in said
    # A time that the text does not state dates nothing.
    one = draft_of(mail("By [[time:next_update]].", html="")).model_copy(update={"version": 2})
    assert "By 14:30 UTC." in compose(composer, one, reader()).text
    late = reader(timezone="Pacific/Auckland")
    # Half past three in the morning there, still the day before in UTC.
    assert "By 03:30 NZDT (Nov 21, 2026, 14:30 UTC)." in compose(composer, one, late).text


def test_the_broadcasts_next_update_wins(composer: Composer) -> None:
    first = compose(composer, draft_of(mail()), reader())
    later = compose(composer, draft_of(mail()), reader(), DUE + timedelta(minutes=7))
    assert "by 14:30 UTC" in first.text and "by 14:37 UTC" in later.text
    assert later.html is not None and "14:37 UTC" in later.html


@pytest.mark.parametrize(
    ("locale", "expected"), [("de-AT", "Guten Tag"), ("fr", "Hello"), ("de", "Guten Tag")]
)
def test_the_text_is_in_the_readers_language(
    composer: Composer, locale: str, expected: str
) -> None:
    draft = draft_of(mail(), mail("Guten Tag [[name]],", locale="de"))
    assert compose(composer, draft, reader(locale=locale)).text.startswith(f"{expected} Ada,")


def test_nobodys_name_leaves_no_gap(composer: Composer) -> None:
    draft = draft_of(mail(), mail("Guten Tag [[name]],", locale="de"))
    assert compose(composer, draft, reader(name=None)).text.startswith("Hello there,")
    assert compose(composer, draft, reader(name=" \r\n", locale="de")).text.startswith("Guten Tag,")


@pytest.mark.parametrize(
    ("reads", "name", "expected"),
    [
        ("es-MX", "Ada", "Hola, Ada:"), ("es", None, "Hola:"),
        ("pt", "Ada", "Olá, Ada,"), ("pt-PT", None, "Olá,\n"),
    ],
)  # fmt: skip
def test_a_greeting_keeps_its_commas(
    composer: Composer, reads: str, name: str | None, expected: str
) -> None:
    texts = mail(), mail("Hola, [[name]]:", locale="es"), mail("Olá, [[name]],", locale="pt-BR")
    out = compose(composer, draft_of(*texts), reader(name=name, locale=reads))
    assert out.text.startswith(expected)


def test_a_name_is_data(composer: Composer) -> None:
    evil = "<img src=x onerror=alert(1)>\r\nBcc: x@evil.example [[link:status]]\x01\x02"
    out = compose(composer, draft_of(mail()), reader(name=evil))
    assert out.html is not None and "<img" not in out.html and "&lt;img" in out.html
    assert out.subject is not None and not re.search(r"[\r\n\x00-\x1f]", out.subject)
    assert "[[link:status]]" in out.text, "a name is not filled in"


def test_the_mail_says_why_and_how_to_stop(composer: Composer) -> None:
    draft = draft_of(mail(), mail("Guten Tag [[name]],", locale="de"))
    out = compose(composer, draft, reader(reason="uses payments, rest-api in eu"))
    assert out.unsubscribe_url is not None and out.html is not None
    why = "because your account uses Payment processing and REST API."
    for body in (out.text, out.html):
        assert why in body and out.unsubscribe_url in body
    token = out.unsubscribe_url.removeprefix("https://status.acme.example/unsubscribe/")
    assert unsign("s" * 32, UNSUBSCRIBE, token) == {"c": "c1", "ch": "email"}
    german = compose(composer, draft, reader(locale="de", reason="features unknown, counted"))
    assert "weil die Störung Ihr Konto betreffen kann" in german.text
    assert "counted" not in german.text


def test_the_shell_holds_the_body_and_a_preheader(composer: Composer) -> None:
    draft = draft_of(mail("Hello [[name]],\n\nWe see problems.\n\nMore."))
    out = compose(composer, draft, reader())
    assert out.html is not None
    assert out.html.startswith("<!DOCTYPE html>") and "prefers-color-scheme: dark" in out.html
    assert 'opacity:0">We see problems.</div>' in out.html
    assert 'href="https://status.acme.example/?a=1&amp;b=2"' not in out.html
    assert "?a=1&amp;b=2" in out.html and "?a=1&b=2" not in out.html


@pytest.mark.parametrize(
    ("lead", "shown"),
    [
        ("決済処理の問題が発生しております。" * 12, "決済処理の問題が発生しております。" * 8 + "…"),
        ("We see errors. " * 12 + "End.", "We see errors. " * 9 + "We…"),
        ("See https://status.acme.example/" + "a" * 200, "See…"),
    ],
)
def test_a_preheader_ends_at_a_pause(composer: Composer, lead: str, shown: str) -> None:
    html = compose(composer, draft_of(mail(f"Hello [[name]],\n\n{lead}")), reader()).html
    assert html is not None and f"{shown}</div>" in html


def test_a_long_name_keeps_its_letters_whole(composer: Composer) -> None:
    name = "a" + "e\u0301" * 80
    out = compose(composer, draft_of(mail("Hello [[name]],")), reader(name=name))
    assert out.text.startswith("Hello a" + "e\u0301" * 49 + ",")


def test_a_mail_written_without_html_gets_the_same_words_as_html(composer: Composer) -> None:
    draft = draft_of(mail("Hello [[name]],\n\na < b, see [[link:status]]", html=None))
    message = compose(composer, draft, reader(name="Ada"))
    assert message.html is not None
    assert "<p>Hello Ada,</p>" in message.html and "a &lt; b, see <a href=" in message.html


def test_a_placeholder_without_a_fact_never_leaves(composer: Composer) -> None:
    draft = draft_of(mail("[[time:restored_at]]"))
    with pytest.raises(Permanent, match="restored_at"):
        compose(composer, draft, reader())
    with pytest.raises(Permanent, match="sms"):
        compose(composer, draft, reader(), channel=Channel.SMS)


def test_other_channels_have_no_footer(composer: Composer) -> None:
    sms = DraftText(
        channel=Channel.SMS, locale="en", text="By [[time:next_update]] [[link:status]]"
    )
    out = compose(composer, draft_of(sms), reader(timezone="Europe/Berlin"), channel=Channel.SMS)
    assert out.text == "By 15:30 CET (14:30 UTC) https://status.acme.example/?a=1&b=2"
    assert out.unsubscribe_url is None


def test_a_page_for_everybody_is_in_utc(composer: Composer) -> None:
    page = DraftText(channel=Channel.STATUS_PAGE, locale="en", text="By [[time:next_update]]")
    out = compose(
        composer, draft_of(page), reader(timezone="Europe/Berlin"), channel=Channel.STATUS_PAGE
    )
    assert out.text == "By 14:30 UTC"


def test_a_preview_has_a_neutral_name_and_utc(composer: Composer) -> None:
    shown = composer.preview(draft_of(mail()), Channel.EMAIL, "en")
    assert shown.text == "Hello there,\n\nby 14:30 UTC"
    assert shown.html is not None and "[[" not in shown.html


async def test_whole_drafts_are_filled_completely(composer: Composer, policy: Policy) -> None:
    base = draft_of(
        component_names={"en": ("Payment processing",), "de": ("Zahlungsabwicklung",)},
        components=("payments",),
    )
    texts = await TemplateDrafter(CONTENT).write(
        DraftRequest(facts=base.facts, channels=tuple(Channel), locales=("en", "de")), policy
    )
    draft = base.model_copy(update={"texts": texts})
    for locale in ("en", "de"):
        for channel in Channel:
            out = compose(composer, draft, reader(locale=locale), channel=channel)
            whole = f"{out.subject}{out.text}{out.html}"
            assert "[[" not in whole and not re.search(r"[\x00-\x09\x0b-\x1f]", whole)
