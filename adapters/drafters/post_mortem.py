"""The internal post-mortem: a Markdown document from an incident's timeline, in UTC."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

from adapters.drafters import environment
from adapters.drafters.catalog import Catalog
from adapters.drafters.facts import LEVELS, FactWords, clean_note
from adapters.drafters.times import full
from domain.message import Channel, Facts
from domain.policy import Policy
from domain.ports import ChannelCounts, TimelineEntry

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|!~])")


class PostMortemWriter:
    """Writes the internal document; customers get the moment `post_mortem` instead."""

    def __init__(self, content_dir: Path) -> None:
        self._catalog = Catalog(content_dir)
        self._env = environment.plain(content_dir)

    def render_internal(
        self,
        facts: Facts,
        timeline: Sequence[TimelineEntry],
        counts: Mapping[str, ChannelCounts],
        policy: Policy,
        *,
        locale: str = "en",
    ) -> str:
        """The document in Markdown. `counts` are deliveries by channel; what nobody has stated yet
        stands there as an open question, so that a reviewer sees it."""
        locale = self._catalog.resolve(locale)
        words = FactWords(facts, policy, self._catalog, locale, Channel.INTERNAL, LEVELS[0])

        def when(at: datetime) -> str:
            return full(at, locale)

        def plain(text: str) -> str:
            return " ".join(_escaped(text).split())

        document = self._env.get_template(f"{locale}/post_mortem_internal.md.j2").render(
            {
                **words.variables(),
                "timeline": timeline,
                "counts": counts,
                "when": when,
                "plain": plain,
                "paragraphs": lambda key: _escaped(clean_note(facts.notes.get(key, ""))),
            }
        )
        return re.sub(r"\n{3,}", "\n\n", document).strip() + "\n"


def _escaped(text: str) -> str:
    """Text that Markdown shows as it is written."""
    return _SPECIAL.sub(r"\\\1", text)
