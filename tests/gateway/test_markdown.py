"""Our documents as HTML: laid out, and never more markup than we wrote ourselves."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from adapters.drafters.post_mortem import PostMortemWriter
from domain.message import Facts, Moment
from domain.policy import Policy
from domain.ports import ChannelCounts, TimelineEntry
from gateway.markdown import markdown_html

AT = datetime(2026, 11, 21, 13, 5, tzinfo=UTC)
HOSTILE = "<script>alert(1)</script> | [x](javascript:y) ![z](//evil.example) *a* `b` \\ # c"


@pytest.mark.parametrize(
    ("markdown", "html"),
    [
        ("# A & B", "<h1>A &amp; B</h1>"),
        ("| | |\n|---|---:|\n| A | 1 |", "<table>\n<tr><td>A</td><td>1</td></tr>\n</table>"),
        ("| A |\n|---|\n| b \\| c |",
         "<table>\n<tr><th>A</th></tr>\n<tr><td>b | c</td></tr>\n</table>"),
        ("- a\n\n- *b*", '<ul>\n<li dir="auto">a</li>\n<li dir="auto"><em>b</em></li>\n</ul>'),
        ("one\ntwo\n\nthree", '<p dir="auto">one<br>\ntwo</p>\n<p dir="auto">three</p>'),
        (r"\*not\* \<b\>", '<p dir="auto">*not* &lt;b&gt;</p>'),
        ("text\n- item", '<p dir="auto">text</p>\n<ul>\n<li dir="auto">item</li>\n</ul>'),
        ("<img src=x>", '<p dir="auto">&lt;img src=x&gt;</p>'),
        ("|", "<table>\n<tr></tr>\n</table>"),
        ("", ""),
    ],
)  # fmt: skip
def test_what_is_written_is_laid_out(markdown: str, html: str) -> None:
    assert str(markdown_html(markdown)) == html


def test_the_internal_document_is_whole_and_harmless(policy: Policy) -> None:
    facts = Facts(
        incident_id="inc_abcdefghijkl", moment=Moment.POST_MORTEM, severity="P1",
        stage="resolved", category="regional_outage", components=("payments",),
        component_names={"en": ("Payment processing",)}, times={"impact_start": AT},
        notes={"cause": HOSTILE, "prevention": "- One step (Ada; 2026-12-01)\n- Another"},
    )  # fmt: skip
    line = TimelineEntry(key="1", at=AT, kind="x", text=HOSTILE, actor="<b>ada</b>")
    writer = PostMortemWriter(Path(__file__).parents[2] / "content")
    markdown = writer.render_internal(facts, [line], {"email": ChannelCounts(sent=3)}, policy)
    html = str(markdown_html(markdown))
    assert "<h1>Post-mortem: Payment processing</h1>" in html
    assert "<script" not in html and "<a " not in html and "<img" not in html
    assert html.count("&lt;script&gt;alert(1)&lt;/script&gt;") == 2
    assert "\\" not in html.replace("\\ # c", ""), "no escape is left over"
    assert '<li dir="auto">One step (Ada; 2026-12-01)</li>' in html
    assert "<td>email</td><td>3</td>" in html
