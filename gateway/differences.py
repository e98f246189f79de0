"""What a human changed in a draft, as unified text diffs."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import unified_diff
from typing import Literal

from domain.message import Channel, DraftText, DraftVersion
from runtime.staff import View

# Beyond this a line-by-line comparison costs more than it shows.
MOST_LINES = 2000
_FIELDS: tuple[Literal["subject", "text", "html"], ...] = ("subject", "text", "html")


class TextChange(View):
    """One changed field of one text; `diff` is a unified diff of its lines."""

    channel: Channel
    locale: str
    field: Literal["subject", "text", "html"]
    diff: str


class DraftChanges(View):
    """How a version differs from another; `against` is None for a version that is no edit."""

    incident_id: str
    version: int
    against: int | None
    changes: tuple[TextChange, ...]


def draft_changes(before: DraftVersion, after: DraftVersion) -> DraftChanges:
    """How `after` differs from `before`, text by text."""
    old = {(t.channel, t.locale): t for t in before.texts}
    changes = (
        change
        for text in after.texts
        for change in text_changes(old.get((text.channel, text.locale)), text)
    )
    return DraftChanges(
        incident_id=after.incident_id,
        version=after.version,
        against=before.version,
        changes=tuple(changes),
    )


def text_changes(before: DraftText | None, after: DraftText) -> Iterable[TextChange]:
    """The changed fields of one text; HTML that was laid out anew from the text is no change."""
    for field in _FIELDS:
        old = (getattr(before, field) if before else None) or ""
        new = getattr(after, field) or ""
        if old == new or (field == "html" and after.html is None):
            continue
        yield TextChange(
            channel=after.channel, locale=after.locale, field=field, diff=unified(old, new)
        )


def unified(old: str, new: str) -> str:
    """A unified diff of two texts with two lines around each change, without file names."""
    before, after = old.splitlines(), new.splitlines()
    if max(len(before), len(after)) > MOST_LINES:
        return "\n".join([*(f"-{line}" for line in before), *(f"+{line}" for line in after)])
    return "\n".join(list(unified_diff(before, after, lineterm="", n=2))[2:])
