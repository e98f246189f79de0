"""The feeds are well-formed whatever the texts, with stable ids and true times."""

from __future__ import annotations

from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from xml.etree import ElementTree

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.policy import Policy
from tests.gateway.public_site import HOSTILE, URL, Site

ATOM = "{http://www.w3.org/2005/Atom}"
MINUTE = timedelta(minutes=1)


@pytest.fixture
def site(engine: AsyncEngine, policy: Policy, now: datetime) -> Site:
    return Site(engine, policy, now)


async def feed(site: Site, kind: str) -> ElementTree.Element:
    answer = await site.get(f"/history.{kind}")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == f"application/{kind}+xml; charset=utf-8"
    return ElementTree.fromstring(answer.content)


def words(root: ElementTree.Element, path: str) -> str:
    found = root.findtext(path)
    assert found is not None, path
    return found


async def test_an_empty_history_is_a_valid_feed(site: Site) -> None:
    atom, rss = await feed(site, "atom"), await feed(site, "rss")
    assert words(atom, f"{ATOM}id") == f"{URL}/history.atom"
    assert datetime.fromisoformat(words(atom, f"{ATOM}updated"))
    assert words(rss, "channel/title") and words(rss, "channel/description")
    assert atom.find(f"{ATOM}entry") is None and rss.find("channel/item") is None


async def test_hostile_texts_are_escaped_once_for_html_and_once_for_xml(site: Site) -> None:
    await site.incident()
    await site.announce(text=HOSTILE, subject="<b>]]> & \x02 title")
    atom, rss = await feed(site, "atom"), await feed(site, "rss")
    assert words(atom, f"{ATOM}entry/{ATOM}title") == "<b>]]> &  title"
    for story in (
        words(atom, f"{ATOM}entry/{ATOM}content"), words(rss, "channel/item/description"),
    ):  # fmt: skip
        assert "&lt;script&gt;" in story and "<script" not in story
        assert "\x0b" not in story and "\x01" not in story
        assert 'href="javascript' not in story
        assert "second line" in story


async def test_an_update_moves_updated_and_keeps_id_and_published(site: Site) -> None:
    await site.incident()
    began = site.now
    await site.announce()
    before = (await feed(site, "atom")).find(f"{ATOM}entry")
    await site.announce(text="Over.", moment="resolution", stage="resolved", later=5 * MINUTE)
    root = await feed(site, "atom")
    after = root.find(f"{ATOM}entry")
    assert before is not None and after is not None
    assert words(before, f"{ATOM}id") == words(after, f"{ATOM}id")
    assert datetime.fromisoformat(words(after, f"{ATOM}published")) == began
    assert datetime.fromisoformat(words(before, f"{ATOM}updated")) == began
    assert datetime.fromisoformat(words(after, f"{ATOM}updated")) == site.now
    assert words(root, f"{ATOM}updated") == words(after, f"{ATOM}updated")
    item = (await feed(site, "rss")).find("channel/item")
    assert item is not None
    assert parsedate_to_datetime(words(item, "pubDate")) == site.now
    guid = item.find("guid")
    assert guid is not None and guid.get("isPermaLink") == "false"
    story = words(item, "description")
    assert story.index("Over.") < story.index("Some payments may fail.")


async def test_a_report_is_an_entry_of_its_own(site: Site) -> None:
    await site.incident()
    await site.announce()
    await site.announce(text="Over.", moment="resolution", stage="resolved", later=5 * MINUTE)
    over = site.now
    await site.announce(
        text="What happened: a change.", moment="post_mortem", stage="resolved",
        subject="Report on payments", later=60 * MINUTE,
    )  # fmt: skip
    root = await feed(site, "atom")
    report, incident = root.findall(f"{ATOM}entry")
    assert words(report, f"{ATOM}id") == "urn:forewarn:report:inc_a"
    assert words(report, f"{ATOM}title") == "Report on payments"
    link = report.find(f"{ATOM}link")
    assert link is not None and link.get("href") == f"{URL}/incidents/inc_a/report"
    assert datetime.fromisoformat(words(report, f"{ATOM}updated")) == site.now
    assert "a change" in words(report, f"{ATOM}content")
    assert "a change" not in words(incident, f"{ATOM}content")
    assert datetime.fromisoformat(words(incident, f"{ATOM}updated")) == over, "nothing new there"
    items = (await feed(site, "rss")).findall("channel/item")
    assert [words(i, "link") for i in items] == [
        f"{URL}/incidents/inc_a/report", f"{URL}/incidents/inc_a",
    ]  # fmt: skip


async def test_a_reader_who_has_it_gets_nothing_new(site: Site) -> None:
    await site.incident()
    await site.announce()
    first = await site.get("/history.atom")
    again = await site.get("/history.atom", **{"if-none-match": first.headers["etag"]})
    assert again.status_code == 304
