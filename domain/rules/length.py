"""Length per channel, as the text will be once its placeholders are filled."""

from __future__ import annotations

import re
from collections.abc import Iterator

from domain.message import Facts, Finding
from domain.rules.base import PLACEHOLDER, Passage

# As long as a time commonly gets: "21. Nov., 23:30 MEZ (22:30 UTC)".
TIME_LENGTH = 36
NAME_LENGTH = 40


def filled_length(text: str, facts: Facts) -> int:
    """Characters of a text with its placeholders filled; times and names as long as they get."""

    def stand_in(m: re.Match[str]) -> str:
        kind, _, key = m[1].partition(":")
        if kind == "link":
            return facts.links.get(key, m[0])
        return "x" * {"time": TIME_LENGTH, "name": NAME_LENGTH}.get(kind, len(m[0]))

    return len(PLACEHOLDER.sub(stand_in, text))


def length(p: Passage) -> Iterator[Finding]:
    """The text fits its channel."""
    limit = p.policy.length_limits.get(p.channel)
    if p.field != "text" or limit is None:
        return
    size = filled_length(p.raw, p.facts)
    if size > limit:
        yield p.finding("length", limit, f"{size} characters", f"at most {limit} characters")
