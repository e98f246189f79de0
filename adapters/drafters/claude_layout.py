"""From a model's words to a draft: our layout around them, our values in their placeholders."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

from adapters.drafters import environment
from adapters.drafters.catalog import Catalog
from adapters.drafters.claude_brief import FORMS, LETTERS
from adapters.drafters.facts import LEVELS, SEPARATOR, FactWords
from adapters.drafters.markup import WITH_HTML, HtmlBody, tidy
from domain.message import Channel, DraftText, Facts
from domain.policy import Policy
from domain.rules.length import filled_length, surcharge

_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")
_BREAKS = re.compile(r"\n{2,}")
# Of what is left of a channel's limit: a model does not count well.
_SAFE = 0.9


@dataclass(frozen=True)
class Words:
    """What a model wrote for one form: an opening and paragraphs, or one line as the opening."""

    opening: str
    paragraphs: tuple[str, ...] = ()

    @property
    def all(self) -> str:
        """Everything, a paragraph a line."""
        return "\n".join((self.opening, *self.paragraphs))

    @property
    def told(self) -> list[str]:
        """Everything, as the model is shown it again."""
        return [self.opening, *self.paragraphs]


class Layout:
    """Puts words where the templates have theirs; table, dates and links come from the facts."""

    def __init__(self, content_dir: Path) -> None:
        self._env = environment.plain(content_dir)
        self._catalog = Catalog(content_dir)
        self._html = HtmlBody(content_dir)

    def room(self, facts: Facts, policy: Policy, base: DraftText) -> int | None:
        """Characters that the layout leaves for a model's words; None where there is no limit."""
        limit = policy.length_limits.get(base.channel)
        if limit is None:
            return None
        bare = self._body(facts, policy, base.channel, base.locale, Words(""))
        # Some letters count twice in some channels; the template's text shows how many do here.
        counted = 1 + surcharge(base.text, base.channel) / max(len(base.text), 1)
        return max(int((limit - filled_length(bare, facts)) / counted * _SAFE), 0)

    def draft(
        self,
        facts: Facts,
        policy: Policy,
        base: DraftText,
        words: Words,
        values: Mapping[str, str | None],
    ) -> DraftText:
        """The draft in place of a template's, whose subject stays: it carries the moment."""
        body = self._body(facts, policy, base.channel, base.locale, words)
        for placeholder, value in values.items():
            if value is not None:
                body = body.replace(placeholder, value)
        label = self._catalog.phrase("label", locale=base.locale)
        html = self._html.render(body, label) if base.channel in WITH_HTML else None
        return base.model_copy(update={"text": body.replace(SEPARATOR, label), "html": html})

    def _body(
        self, facts: Facts, policy: Policy, channel: Channel, locale: str, words: Words
    ) -> str:
        brevity = LEVELS[0] if FORMS[channel] in LETTERS else LEVELS[3]
        known = FactWords(facts, policy, self._catalog, locale, channel, brevity).variables()
        moment = self._env.get_template(f"{locale}/{facts.moment.value}.j2").make_module(known)
        opening = _clean(words.opening)
        details = "\n\n".join(filter(None, map(_clean, words.paragraphs)))
        say = SimpleNamespace(
            lead=lambda: opening,
            short=lambda: opening.replace("\n", " "),
            details=lambda: details,
            # The model has said in its own words what a colleague's note says.
            message=lambda: "",
        )
        for name in ("facts", "promises"):
            if hasattr(moment, name):
                setattr(say, name, getattr(moment, name))
        layout = self._env.get_template(f"{locale}/layout.j2").make_module({**known, "say": say})
        return tidy(getattr(layout, channel.value)())


def _clean(text: str) -> str:
    """One paragraph as plain text; what could pass for a table line or hide something is gone."""
    return _BREAKS.sub("\n", _CONTROL.sub("", text)).strip()
