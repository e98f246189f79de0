"""The internal document tells the whole story and shows what is still open."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from adapters.drafters.post_mortem import PostMortemWriter
from domain.message import Facts, Moment
from domain.policy import Policy
from domain.ports import ChannelCounts, TimelineEntry

WRITER = PostMortemWriter(Path(__file__).parents[3] / "content")
AT = datetime(2026, 11, 21, 13, 5, tzinfo=UTC)
FACTS = Facts(
    incident_id="inc_abcdefghijkl", moment=Moment.POST_MORTEM, severity="P1", stage="resolved",
    category="regional_outage", components=("payments",), regions=("eu",),
    component_names={"en": ("Payment processing",), "de": ("Zahlungsabwicklung",)},
    times={"impact_start": AT}, numbers={"duration_minutes": 85.0},
    notes={"cause": "A change | to <b>our</b> systems.\n\nIt went unnoticed."},
)  # fmt: skip
LINES = [
    TimelineEntry(key="1", at=AT, kind="confirmed", text="Impact *confirmed*", actor="ada",
                  customer_visible=True),
    TimelineEntry(key="2", at=AT, kind="x", text="Line\nbreak | pipe", actor="forewarn"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("locale", "needed"),
    [
        ("en", ["# Post-mortem: Payment processing in Europe", "1 hour 25 minutes", "*Open: ",
                "Nov 21, 2026, 13:05 UTC", "*(customers)*", "| email | 10 | 1 |"]),
        ("de", ["# Abschlussbericht: Zahlungsabwicklung in Europa", "1 Stunde 25 Minuten",
                "*Offen: ", "21. Nov. 2026, 13:05 UTC", "| email | 10 | 1 |"]),
    ],
)  # fmt: skip
def test_the_document_is_complete(policy: Policy, locale: str, needed: list[str]) -> None:
    counts = {"email": ChannelCounts(sent=10, failed=1)}
    text = WRITER.render_internal(FACTS, LINES, counts, policy, locale=locale)
    for part in [*needed, "inc_abcdefghijkl", r"\<b\>our\</b\>", r"Impact \*confirmed\*"]:
        assert part in text, part
    assert "- " in text and r"Line break \| pipe" in text, "an entry stays on its line"
    assert "\n\n\n" not in text


def test_an_empty_incident_makes_a_document_too(policy: Policy) -> None:
    bare = Facts(
        incident_id="inc_abcdefghijkl", moment=Moment.POST_MORTEM, severity="P4", stage="closed",
        category="local_degradation",
    )  # fmt: skip
    text = WRITER.render_internal(bare, [], {}, policy)
    assert "Nothing was sent." in text and "None" not in text
