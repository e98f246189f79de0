"""The writer that always works: Jinja2 templates per moment and language, words in `content/`.

A language is a folder of `content/templates`: one file per moment whose macros say what happened,
and `layout.j2`, whose macro per channel puts that in order. A moment may define a channel's macro
itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jinja2 import TemplateNotFound

from adapters.drafters import environment
from adapters.drafters.catalog import Catalog
from adapters.drafters.facts import LEVELS, SEPARATOR, FactWords
from adapters.drafters.markup import WITH_HTML, HtmlBody, tidy
from domain.errors import BadInput, FieldError
from domain.message import Channel, DraftText, Facts
from domain.policy import Policy
from domain.ports import DraftRequest
from domain.rules.length import counted_length

WITH_TITLE = frozenset(
    {Channel.EMAIL, Channel.IN_APP, Channel.STATUS_PAGE, Channel.INTERNAL, Channel.TICKET}
)
# What a phone's list of mails shows, and what is too long even with long names in it.
SUBJECT_SHOWN = 70
SUBJECT_LIMIT = 120


class TemplateDrafter:
    """Writes drafts from templates, shortening each until it fits its channel."""

    name = "template"

    def __init__(self, content_dir: Path) -> None:
        self._templates = content_dir / "templates"
        self._env = environment.plain(content_dir)
        self._catalog = Catalog(content_dir)
        self._html = HtmlBody(content_dir)

    def locales(self) -> tuple[str, ...]:
        """Languages with templates."""
        return tuple(sorted(p.parent.name for p in self._templates.glob("*/layout.j2")))

    async def write(self, request: DraftRequest, policy: Policy) -> tuple[DraftText, ...]:
        """One text per channel and language, with frozen facts as placeholders.

        Languages without templates are left out; where that leaves none, the policy's first is
        written, and recipients of the others read that one.
        """
        known = self.locales()
        locales = [x for x in request.locales if x in known] or [policy.locales[0]]
        facts, channels = request.facts, request.channels
        words = {
            locale: FactWords(facts, policy, self._catalog, locale, Channel.EMAIL, LEVELS[0])
            for locale in locales
        }
        read = {channel: request.locales_of(channel) for channel in channels}
        # A title is the same on every channel that has one.
        titles: dict[tuple[str, str], str] = {}
        return tuple(
            self._text(facts, policy, spoken.at(LEVELS[0], channel), channel, titles)
            for channel in channels
            for locale, spoken in words.items()
            if locale in read[channel] or locale == locales[0]
        )

    def _text(
        self,
        facts: Facts,
        policy: Policy,
        words: FactWords,
        channel: Channel,
        titles: dict[tuple[str, str], str],
    ) -> DraftText:
        limit, locale = policy.length_limits.get(channel), words.locale
        label = self._catalog.phrase("label", locale=locale)
        body = plain = ""
        for shorter in _each_shorter(words):
            body = self._render(facts, shorter, channel.value)
            plain = body.replace(SEPARATOR, label)
            if limit is None or counted_length(plain, facts, channel) <= limit:
                break
        subject = None
        if channel in WITH_TITLE:
            part = "subject" if channel is Channel.EMAIL else "title"
            if (locale, part) not in titles:
                titles[(locale, part)] = self._subject(facts, words, part)
            subject = titles[(locale, part)]
        html = self._html.render(body, label) if channel in WITH_HTML else None
        return DraftText(channel=channel, locale=locale, subject=subject, text=plain, html=html)

    def _subject(self, facts: Facts, words: FactWords, part: str) -> str:
        line, tolerable = "", None
        for shorter in _each_shorter(words):
            line = self._render(facts, shorter, part).replace("\n", " ")
            if len(line) <= SUBJECT_SHOWN and shorter.names_components:
                return line
            if len(line) <= SUBJECT_LIMIT and (tolerable is None or shorter.names_components):
                tolerable = line
        return tolerable or line

    def _render(self, facts: Facts, words: FactWords, macro: str) -> str:
        path = f"{words.locale}/{facts.moment.value}.j2"
        variables: dict[str, Any] = words.variables()
        try:
            say = self._env.get_template(path).make_module(variables)
        except TemplateNotFound as error:
            raise BadInput(
                f"there is no template for {facts.moment.value} in {words.locale!r}",
                [FieldError(field="moment", value=facts.moment.value, allowed="a known moment")],
            ) from error
        if not hasattr(say, macro):
            layout = self._env.get_template(f"{words.locale}/layout.j2")
            say = layout.make_module({**variables, "say": say})
        return tidy(getattr(say, macro)())


def _each_shorter(words: FactWords) -> Iterator[FactWords]:
    """From everything to the bare minimum, without those that say the same as the one before."""
    before: tuple[object, ...] | None = None
    for brevity in LEVELS:
        shorter = words.at(brevity)
        said = shorter.said()
        if said != before:
            yield shorter
        before = said
