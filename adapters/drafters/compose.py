"""From a draft to the message of one recipient: the frozen facts are filled in here and nowhere
else.

Everything that recipients share is worked out once per (version, channel, language, zone); what is
left per recipient is a name, a footer and a link.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path

from markupsafe import Markup, escape

from adapters.drafters import environment
from adapters.drafters.catalog import Catalog
from adapters.drafters.markup import WITH_HTML, HtmlBody
from adapters.drafters.personal import Personal
from adapters.drafters.shorten import shorten
from adapters.drafters.slots import NAME, OBJECT, URL, WHY, Slotted, one_line, without
from adapters.drafters.times import instant, zone
from domain.errors import Permanent
from domain.locales import nearest
from domain.message import (
    FOR_ALL,
    Channel,
    DraftText,
    DraftVersion,
    Facts,
    Moment,
    OutboundMessage,
    Recipient,
)
from domain.policy import Policy

_PLACEHOLDER = re.compile(r"\[\[(name|(?:time|link):\w+)\]\]")
_TIME = re.compile(r"\[\[time:(\w+)\]\]")
# Read long after the day they were sent, or long before the day they speak of.
_DATED = frozenset({Moment.POST_MORTEM, Moment.MAINTENANCE_NOTICE, Moment.MAINTENANCE_REMINDER})
_PREHEADER = 140
_CACHED = 2048


@dataclass(frozen=True)
class _Prepared:
    """A draft's text with all that recipients share filled in."""

    subject: Slotted | None
    text: Slotted
    html: Slotted | None
    locale: str
    neutral_name: str


class Composer:
    """Fills drafts for recipients; safe to share between deliveries of many incidents.

    `secret` signs the unsubscribe links, `clock` tells what day is today.
    """

    def __init__(
        self,
        policy: Policy,
        public_url: str,
        *,
        secret: str,
        content_dir: Path,
        clock: Callable[[], datetime],
    ) -> None:
        self._public_url = public_url.rstrip("/")
        self._secret = secret
        self._clock = clock
        self._catalog = Catalog(content_dir)
        self._body = HtmlBody(content_dir)
        self._shell = environment.escaped(content_dir).get_template("mail_shell.html.j2")
        self.adopt(policy)

    def adopt(self, policy: Policy) -> None:
        """Fill drafts by another policy from now on: names, company, languages."""
        self._policy = policy
        self._personal = Personal(policy, self._catalog, self._public_url, self._secret)
        company = policy.company
        self._metadata = {
            "from_name": company.name,
            "from_email": company.from_email,
            "reply_to": company.support_email,
        }
        self._prepared: dict[tuple[object, ...], _Prepared] = {}

    def compose(
        self,
        draft: DraftVersion,
        channel: Channel,
        recipient: Recipient,
        *,
        next_update_at: datetime | None,
        thread_key: str,
        key: str,
    ) -> OutboundMessage:
        """The finished message; raises `Permanent` where the draft cannot be filled.

        `next_update_at` overrides the draft's own next update; `key` and `thread_key` name this
        delivery and the recipient's first one of the incident.
        """
        zone_name = "UTC" if channel in FOR_ALL else recipient.timezone
        prepared = self._prepare(draft, channel, recipient.locale, zone_name, next_update_at)
        name = one_line(recipient.name or "") or prepared.neutral_name
        url = None
        values = {
            NAME: name,
            WHY: "",
            URL: "",
            OBJECT: self._personal.objection_url(draft.facts, recipient),
        }
        if channel is Channel.EMAIL:
            url = self._personal.unsubscribe_url(recipient)
            why = self._personal.why(prepared.locale, recipient.reason, draft.moment)
            values[WHY], values[URL] = why, url or ""
        html = None
        if prepared.html is not None:
            html = prepared.html.fill({k: str(escape(v)) for k, v in values.items()})
        return OutboundMessage(
            key=key,
            thread=thread_key,
            incident_id=draft.incident_id,
            moment=draft.moment,
            channel=channel,
            recipient=recipient,
            subject=prepared.subject.fill(values) if prepared.subject else None,
            text=prepared.text.fill(values),
            html=html,
            unsubscribe_url=url,
            metadata=self._metadata,
        )

    def preview(self, draft: DraftVersion, channel: Channel, locale: str) -> DraftText:
        """A text as it will look, with a neutral name and UTC times; no mail shell around it."""
        text = self._laid_out(_pick(draft, channel, locale, self._policy))
        words = self._catalog.words(text.locale)
        filled = self._filled(text, draft.facts, text.locale, "UTC", None)
        values = {NAME: words.neutral_name, OBJECT: draft.facts.links.get("object", "")}
        return text.model_copy(
            update={
                "subject": filled[0] and Slotted.of(filled[0]).fill(values),
                "text": Slotted.of(filled[1]).fill(values),
                "html": filled[2] and Slotted.of(filled[2]).fill(values),
            }
        )

    # Shared by many recipients

    def _prepare(
        self,
        draft: DraftVersion,
        channel: Channel,
        locale: str,
        zone_name: str,
        next_update_at: datetime | None,
    ) -> _Prepared:
        today = self._clock().astimezone(zone(zone_name)).date()
        key = (
            draft.incident_id, draft.version, draft.hash, channel, locale, zone_name,
            next_update_at, today,
        )  # fmt: skip
        found = self._prepared.get(key)
        if found is None:
            if len(self._prepared) >= _CACHED:
                self._prepared.clear()
            found = self._build(draft, channel, locale, zone_name, next_update_at)
            self._prepared[key] = found
        return found

    def _build(
        self,
        draft: DraftVersion,
        channel: Channel,
        locale: str,
        zone_name: str,
        next_update_at: datetime | None,
    ) -> _Prepared:
        draft_text = self._laid_out(_pick(draft, channel, locale, self._policy))
        # Dates follow the reader's own locale as long as it is one of the text's language.
        same = _language(locale) == _language(draft_text.locale)
        dates = locale if same else draft_text.locale
        subject, text, html = self._filled(
            draft_text, draft.facts, dates, zone_name, next_update_at
        )
        words = self._catalog.words(draft_text.locale)
        if channel is Channel.EMAIL:
            mail = words.mail
            text = f"{text}\n\n-- \n{WHY}\n{mail['unsubscribe_text'].format(url=URL)}\n"
            if html is not None:
                html = self._shell.render(
                    locale=draft_text.locale,
                    subject=subject or "",
                    preheader=_preheader(text),
                    company=self._policy.company.name,
                    support=self._policy.company.support_email,
                    body=Markup(html),  # escaped where it was written, its values just above
                    why=WHY,
                    unsubscribe=mail["unsubscribe"],
                    unsubscribe_url=URL,
                )
        return _Prepared(
            subject=Slotted.of(one_line(subject, keep=NAME)) if subject is not None else None,
            text=Slotted.of(text),
            html=Slotted.of(html) if html is not None else None,
            locale=draft_text.locale,
            neutral_name=words.neutral_name,
        )

    def _laid_out(self, text: DraftText) -> DraftText:
        """A text that a human wrote without HTML gets the one that says the same."""
        if text.html is not None or text.channel not in WITH_HTML:
            return text
        return text.model_copy(update={"html": self._body.render(text.text)})

    def _filled(
        self,
        text: DraftText,
        facts: Facts,
        locale: str,
        zone_name: str,
        next_update_at: datetime | None,
    ) -> tuple[str | None, str, str | None]:
        times = dict(facts.times)
        if next_update_at is not None:
            times["next_update"] = next_update_at
        now = self._clock()
        dated = facts.moment in _DATED or _is_dated(text, times, zone_name, now)

        def fill(m: re.Match[str]) -> str:
            kind, _, key = m[1].partition(":")
            if kind == "name":
                return NAME
            if kind == "time" and key in times:
                return instant(
                    times[key],
                    locale,
                    zone_name,
                    now,
                    dated=dated,
                    # A promise is kept or broken by the second, where the rhythm is that short.
                    exact=key == "next_update",
                )
            if kind == "link" and key in facts.links:
                return OBJECT if key == "object" else facts.links[key]
            raise Permanent(f"the draft names {m[0]}, which is not among its facts")

        def fill_html(m: re.Match[str]) -> str:
            return str(escape(fill(m)))

        return (
            None if text.subject is None else _PLACEHOLDER.sub(fill, without(text.subject)),
            _PLACEHOLDER.sub(fill, without(text.text)),
            None if text.html is None else _PLACEHOLDER.sub(fill_html, without(text.html)),
        )


def _is_dated(
    text: DraftText, times: Mapping[str, datetime], zone_name: str, now: datetime
) -> bool:
    """Whether one of a text's times is not of today for the reader: then all have their date."""
    here = zone(zone_name)
    today = now.astimezone(here).date()
    parts = (text.subject, text.text, text.html)
    used = {key for part in parts if part for key in _TIME.findall(part)}
    return any(times[key].astimezone(here).date() != today for key in used if key in times)


def _pick(draft: DraftVersion, channel: Channel, locale: str, policy: Policy) -> DraftText:
    """The text for a reader: in their locale, their language, the policy's first, or any."""
    texts = {t.locale: t for t in draft.texts if t.channel is channel}
    for wanted in (nearest(locale, texts), policy.locales[0]):
        if wanted in texts:
            return texts[wanted]
    if texts:
        return next(iter(texts.values()))
    raise Permanent(f"the draft has no text for {channel.value}")


@lru_cache(maxsize=256)
def _language(locale: str) -> str:
    return re.split(r"[-_]", locale)[0].lower()


def _preheader(text: str) -> str:
    """The first sentences after the greeting: what a list of mails shows beside the subject."""
    paragraphs = [p for p in text.split("\n\n") if NAME not in p] or [""]
    return shorten(" ".join(paragraphs[0].split()), _PREHEADER)
