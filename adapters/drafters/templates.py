"""The writer that always works: Jinja2 templates per moment and language, words in `content/`.

A language is a folder of `content/templates`: one file per moment whose macros say what happened,
and `layout.j2`, whose macro per channel puts that in order. A moment may define a channel's macro
itself.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jinja2 import FileSystemLoader, StrictUndefined
from jinja2.sandbox import ImmutableSandboxedEnvironment

from adapters.drafters.catalog import Catalog
from adapters.drafters.facts import LEVELS, SEPARATOR, Brevity, FactWords
from adapters.drafters.markup import WITH_HTML, HtmlBody, tidy
from domain.errors import BadInput, FieldError
from domain.message import Channel, DraftText, Facts
from domain.policy import Policy
from domain.ports import DraftRequest
from domain.rules.length import filled_length

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
        self._env = ImmutableSandboxedEnvironment(
            loader=FileSystemLoader(self._templates),
            auto_reload=False,
            undefined=StrictUndefined,
            # Plain text comes out of these; HtmlBody makes and escapes the HTML.
            autoescape=False,
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=False,
        )
        self._catalog = Catalog(content_dir)
        self._html = HtmlBody(self._templates)

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
        return tuple(
            self._text(request.facts, policy, channel, locale)
            for channel in request.channels
            for locale in locales
        )

    def _text(self, facts: Facts, policy: Policy, channel: Channel, locale: str) -> DraftText:
        limit = policy.length_limits.get(channel)
        for brevity in LEVELS:
            body = self._render(facts, policy, channel, locale, brevity)
            plain = body.replace(SEPARATOR, ": ")
            if limit is None or filled_length(plain, facts) <= limit:
                break
        subject = None
        if channel in WITH_TITLE:
            subject = self._subject(facts, policy, channel, locale)
        html = self._html.render(body) if channel in WITH_HTML else None
        return DraftText(channel=channel, locale=locale, subject=subject, text=plain, html=html)

    def _subject(self, facts: Facts, policy: Policy, channel: Channel, locale: str) -> str:
        part = "subject" if channel is Channel.EMAIL else "title"
        tolerable = None
        for brevity in LEVELS:
            line = self._render(facts, policy, channel, locale, brevity, part).replace("\n", " ")
            if len(line) <= SUBJECT_SHOWN and brevity.components:
                return line
            if len(line) <= SUBJECT_LIMIT and (tolerable is None or brevity.components):
                tolerable = line
        return tolerable or line

    def _render(
        self,
        facts: Facts,
        policy: Policy,
        channel: Channel,
        locale: str,
        brevity: Brevity,
        part: str | None = None,
    ) -> str:
        words = FactWords(facts, policy, self._catalog, locale, channel, brevity)
        variables: dict[str, Any] = words.variables()
        path = f"{locale}/{facts.moment.value}.j2"
        if not (self._templates / path).exists():
            raise BadInput(
                f"there is no template for {facts.moment.value} in {locale!r}",
                [FieldError(field="moment", value=facts.moment.value, allowed="a known moment")],
            )
        say = self._env.get_template(path).make_module(variables)
        macro = part or channel.value
        if not hasattr(say, macro):
            say = self._env.get_template(f"{locale}/layout.j2").make_module(
                {**variables, "say": say}
            )
        return tidy(getattr(say, macro)())
