"""One moment of one incident as readers get it: drafted, validated, filled in for somebody."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from adapters.drafters.compose import Composer
from adapters.drafters.templates import TemplateDrafter
from domain.message import Channel, DraftText, DraftVersion, Facts, Finding, Moment, Recipient
from domain.policy import Policy
from domain.ports import DraftRequest
from domain.signal import Severity
from domain.validation import validate_text

# Signs the unsubscribe links of made-up readers, which lead nowhere.
SECRET = "the gallery sends nothing"


@dataclass(frozen=True)
class Shown:
    """One text on one channel in one language; `mail` is the whole HTML mail with its shell.

    `draft` still has its placeholders; the others are what the reader sees. `html` is the fragment
    of a status page.
    """

    draft: DraftText
    subject: str | None
    text: str
    html: str | None
    mail: str | None
    limit: int | None
    routed: bool
    findings: tuple[Finding, ...]

    @property
    def channel(self) -> Channel:
        return self.draft.channel

    @property
    def locale(self) -> str:
        return self.draft.locale


class Printer:
    """Turns facts into texts on every channel, in every language of the policy."""

    def __init__(
        self,
        policy: Policy,
        content_dir: Path,
        public_url: str,
        now: datetime,
        secret: str = SECRET,
    ) -> None:
        self._policy = policy
        self._now = now
        self._versions = 0
        self._templates = content_dir / "templates"
        self._drafter = TemplateDrafter(content_dir)
        self._composer = Composer(
            policy, public_url, secret=secret, content_dir=content_dir, clock=lambda: now
        )

    def languages(self, moment: Moment) -> tuple[str, ...]:
        """The policy's languages in which this moment has a template."""
        return tuple(
            locale
            for locale in self._policy.locales
            if (self._templates / locale / f"{moment.value}.j2").exists()
        )

    async def show(
        self,
        facts: Facts,
        readers: Sequence[Recipient],
        channels: Iterable[Channel] = tuple(Channel),
    ) -> list[Shown]:
        """Every channel's text for each of the readers, whose locales are written for."""
        by_locale = {reader.locale: reader for reader in readers}
        request = DraftRequest(facts=facts, channels=tuple(channels), locales=tuple(by_locale))
        texts = await self._drafter.write(request, self._policy)
        return self.laid_out(facts, texts, by_locale)

    def laid_out(
        self, facts: Facts, texts: Sequence[DraftText], readers: dict[str, Recipient]
    ) -> list[Shown]:
        """Drafts as their readers will see them; a mail is composed for its language's reader."""
        # The composer remembers texts by their version.
        self._versions += 1
        version = DraftVersion(
            incident_id=facts.incident_id,
            version=self._versions,
            moment=facts.moment,
            number=facts.number,
            texts=tuple(texts),
            facts=facts,
            audience_rule="",
            hash="",
            created_at=self._now,
        )
        return [self._one(version, text, readers) for text in texts]

    def _one(self, version: DraftVersion, text: DraftText, readers: dict[str, Recipient]) -> Shown:
        facts, policy = version.facts, self._policy
        mail = None
        if text.channel is Channel.EMAIL:
            reader = readers.get(text.locale) or Recipient(delivery_id=1, locale=text.locale)
            sent = self._composer.compose(
                version, text.channel, reader, next_update_at=None, thread_key="t", key="k"
            )
            subject, plain, html, mail = sent.subject, sent.text, None, sent.html
        else:
            seen = self._composer.preview(version, text.channel, text.locale)
            subject, plain, html = seen.subject, seen.text, seen.html
        return Shown(
            draft=text,
            subject=subject,
            text=plain,
            html=html,
            mail=mail,
            limit=policy.length_limits.get(text.channel),
            routed=text.channel in policy.channels(Severity(facts.severity), facts.moment),
            findings=validate_text(text, facts, policy),
        )
