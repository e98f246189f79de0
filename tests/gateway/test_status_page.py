"""The status page: what was announced, escaped, in the visitor's language, and nothing else."""

from __future__ import annotations

from datetime import datetime, timedelta
from html.parser import HTMLParser

import pytest
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.db.models import AnnouncementRow
from domain.errors import Permanent
from domain.message import Channel, Moment, OutboundMessage, Recipient
from domain.policy import Policy
from gateway.status_read import StatusReader
from gateway.words import catalogs, choose_locale, words
from tests.gateway.public_site import HOSTILE, Site

MINUTE = timedelta(minutes=1)


@pytest.fixture
def site(engine: AsyncEngine, policy: Policy, now: datetime) -> Site:
    return Site(engine, policy, now)


class Elements(HTMLParser):
    """The elements and attribute names of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs


async def test_a_calm_page_shows_every_visible_component_and_no_hidden_one(site: Site) -> None:
    answer = await site.get("/")
    assert answer.status_code == 200
    assert "All Systems Operational" in answer.text
    for name in ("Web application", "Sign-in", "GraphQL API", "Email delivery"):
        assert name in answer.text
    assert "database" not in answer.text.lower()
    assert '<html lang="en">' in answer.text


async def test_an_incident_shows_its_thread_newest_first_and_the_worst_state(site: Site) -> None:
    due = site.now + 30 * MINUTE
    await site.incident()
    await site.announce(text="First words.", severity="P2")
    await site.announce(text="Second words.", moment="escalation", later=MINUTE, next_update_at=due)
    text = (await site.get("/")).text
    assert text.index("Second words.") < text.index("First words.")
    assert "Major Service Outage" in text and "Major outage" in text
    assert due.isoformat() in text
    assert "db-primary-7" not in text, "the alert's own title is not for customers"
    page = (await site.get("/incidents/inc_a")).text
    assert "Payments are failing" in page and "First words." in page


async def test_suspected_dry_run_dismissed_and_unannounced_incidents_are_nowhere(
    site: Site,
) -> None:
    await site.incident("inc_suspected", stage="suspected")
    await site.incident("inc_dry", dry_run=True)
    await site.incident("inc_dismissed", stage="dismissed", open=False)
    await site.incident("inc_silent")
    for incident_id in ("inc_suspected", "inc_dry", "inc_dismissed"):
        await site.announce(incident_id, text=f"secret of {incident_id}")
    await site.announce("inc_silent", text="secret banner", channels=(Channel.IN_APP,))
    for path in ("/", "/history", "/history.rss", "/history.atom", "/api/v2/summary.json",
                 "/api/v2/incidents.json", "/api/incidents/active"):  # fmt: skip
        text = (await site.get(path)).text
        assert "secret" not in text and "inc_" not in text, path
    for incident_id in ("inc_suspected", "inc_dry", "inc_dismissed", "inc_silent", "inc_no%00ne"):
        assert (await site.get(f"/incidents/{incident_id}")).status_code == 404


async def test_hostile_text_stays_text(site: Site) -> None:
    await site.incident()
    await site.announce(text=HOSTILE.replace("\x01", ""), subject="<b onclick=x>{{ 7*7 }}</b>")
    for path in ("/", "/incidents/inc_a", "/history?lang=<script>"):
        answer = await site.get(path)
        seen = Elements(answer.text)
        assert "b" not in seen.tags
        assert seen.tags.count("script") == 1
        assert not [n for n, _ in seen.attributes if n.startswith("on")]
        hrefs = [value or "" for name, value in seen.attributes if name == "href"]
        assert not [h for h in hrefs if h.startswith("javascript")]
        assert "49" not in answer.text
    assert "{{ 7*7 }}" in (await site.get("/")).text
    assert "second line" in (await site.get("/")).text


async def test_the_end_moves_an_incident_to_history(site: Site) -> None:
    await site.incident()
    await site.announce()
    await site.announce(text="All is well.", moment="resolution", stage="monitoring", later=MINUTE)
    text = (await site.get("/")).text
    assert "Current incidents" not in text and "Resolved in the last 24 hours" in text
    assert "All Systems Operational" in text
    assert "March 2026" in (await site.get("/history")).text
    site.now += timedelta(days=2)
    assert "Payments are failing" not in (await site.get("/")).text
    assert "Payments are failing" in (await site.get("/history")).text


async def test_a_reopened_incident_is_open_again(site: Site) -> None:
    await site.incident()
    await site.announce()
    await site.announce(moment="resolution", stage="resolved", later=MINUTE)
    await site.announce(text="It is back.", moment="update", later=MINUTE)
    text = (await site.get("/")).text
    assert "Current incidents" in text and "Major Service Outage" in text


async def test_a_closed_incident_without_closing_words_does_not_stay_open(site: Site) -> None:
    await site.incident()
    await site.announce()
    await site.change("inc_a", open=False, stage="closed", closed_at=site.now + MINUTE)
    text = (await site.get("/")).text
    assert "Current incidents" not in text and "All Systems Operational" in text


async def test_the_report_stands_on_the_incident_and_does_not_reopen_it(site: Site) -> None:
    await site.incident()
    await site.announce()
    await site.announce(moment="resolution", stage="resolved", later=MINUTE)
    await site.announce(
        text="What happened: a change.", moment="post_mortem", stage="investigating",
        subject="Report on payments", later=MINUTE,
    )  # fmt: skip
    page = (await site.get("/incidents/inc_a")).text
    assert page.count("What happened: a change.") == 1
    assert "Report published" in page
    assert "Current incidents" not in (await site.get("/")).text


async def test_the_report_has_a_page_of_its_own(site: Site) -> None:
    await site.incident()
    await site.announce()
    await site.announce(moment="resolution", stage="resolved", later=MINUTE)
    assert (await site.get("/incidents/inc_a/report")).status_code == 404, "not published yet"
    await site.announce(
        text="What happened: <b>a change</b>.\n\nIt is fixed.", moment="post_mortem",
        stage="resolved", subject="Report on payments", later=MINUTE,
    )  # fmt: skip
    page = await site.get("/incidents/inc_a/report")
    assert page.status_code == 200
    assert '<h1 dir="auto">Report on payments</h1>' in page.text
    assert "&lt;b&gt;a change&lt;/b&gt;" in page.text and "It is fixed." in page.text
    assert "Some payments may fail." not in page.text, "the updates stay on the incident's page"
    for path in ("/", "/incidents/inc_a"):
        assert 'href="/incidents/inc_a/report"' in (await site.get(path)).text
    assert (await site.get("/incidents/inc_b/report")).status_code == 404
    assert (await site.get("/incidents/inc_a%00/report")).status_code == 404
    german = await site.get("/incidents/inc_a/report?lang=de")
    assert 'lang="de"' in german.text and "?lang=de" in german.text


async def test_a_parent_shows_its_worst_child_and_passes_its_own_state_down(
    site: Site, policy: Policy, engine: AsyncEngine
) -> None:
    await site.incident("inc_a")
    await site.incident("inc_b")
    await site.incident("inc_c")
    await site.announce("inc_a", severity="P3", components=("dashboard",))
    await site.announce("inc_b", severity="P2", components=("dashboard", "no-longer-there"))
    await site.announce("inc_c", severity="P3", components=("api",))
    view = await StatusReader(site.deps).status("en")
    states = {c.key: c.state.value for top in view.components for c in (top, *top.children)}
    assert states["dashboard"] == states["web-application"] == "partial_outage"
    assert states["authentication"] == "operational"
    assert states["api"] == states["rest-api"] == "degraded_performance"


async def test_a_hidden_component_shows_as_those_who_depend_on_it(site: Site) -> None:
    await site.incident()
    await site.announce(components=("database",), subject=None)
    text = (await site.get("/")).text
    assert "Problem with REST API" in text or "REST API" in text.split("Services")[0]
    assert "database" not in text.lower()


async def test_languages_follow_the_link_then_the_browser_then_the_policy(site: Site) -> None:
    await site.incident()
    texts: dict[str, dict[str, str | None]] = {
        "en": {"subject": "Payments", "text": "English words.", "html": None},
        "de": {"subject": "Zahlungen", "text": "Deutsche Worte.", "html": None},
    }
    await site.announce(texts=texts)
    browser = {"accept-language": "xx, de-AT;q=0.8, en;q=0.5"}
    german = await site.get("/", **browser)
    assert "Deutsche Worte." in german.text and '<html lang="de">' in german.text
    assert "English words." not in german.text
    english = await site.get("/?lang=en", **browser)
    assert "English words." in english.text
    assert 'href="/history?lang=en"' in english.text, "the choice stays on the next page"
    assert "English words." in (await site.get("/", **{"accept-language": ";;q=x,*"})).text


def test_a_refused_language_is_not_chosen() -> None:
    offered = ("en", "de")
    assert choose_locale(offered, {}, {"accept-language": "de;q=0, en;q=0.1"}) == "en"


def test_every_catalog_has_the_same_words_and_placeholders() -> None:
    def shape(locale: str) -> dict[str, list[str]]:
        return {
            f"{section}.{key}": sorted(part for part in ("{company}", "{components}") if part in v)
            for section, entries in words(locale).model_dump().items() if isinstance(entries, dict)
            for key, v in entries.items()
        }  # fmt: skip

    assert {"en", "de"} <= set(catalogs())
    for locale in catalogs():
        assert shape(locale) == shape("en"), locale


async def test_history_is_paged_and_a_made_up_cursor_is_not_found(site: Site) -> None:
    for n in range(35):
        await site.incident(f"inc_{n:02}", open=False, stage="closed", closed_at=site.now)
        await site.announce(f"inc_{n:02}", subject=f"Event number {n:02}.", later=MINUTE)
    first = (await site.get("/history")).text
    assert "Event number 34." in first and "Event number 04." not in first
    following = first.split('rel="next" href="')[1].split('"')[0]
    second = (await site.get(following.replace("&amp;", "&"))).text
    shown = [n for n in range(35) if f"Event number {n:02}." in second]
    assert shown == list(range(5))
    for bad in ("x", "%00", "bm9wZQ"):
        assert (await site.get(f"/history?cursor={bad}")).status_code == 404


async def test_headers_guard_and_cache_the_page(site: Site) -> None:
    answer = await site.get("/")
    policy = answer.headers["content-security-policy"]
    assert "default-src 'self'" in policy and "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy and " style=" not in answer.text
    again = await site.get("/", **{"if-none-match": answer.headers["etag"]})
    assert again.status_code == 304 and not again.content
    assert (await site.get("/", **{"if-none-match": 'W/"x"'})).status_code == 200
    assert (await site.request("HEAD", "/")).status_code == 200
    for name in ("pages.css", "times.js", "icon.svg"):
        assert (await site.get(f"/static/pages/{name}")).status_code == 200
    assert (await site.get("/static/pages/..%2Fpages.py")).status_code == 404


async def test_a_crowd_of_visitors_costs_one_look_at_the_database(site: Site) -> None:
    reader = StatusReader(site.deps)
    looks = 0
    read = reader.records.current

    async def counted(since: datetime) -> object:
        nonlocal looks
        looks += 1
        return await read(since)

    reader.records.current = counted  # type: ignore[method-assign,assignment] # counts, then asks
    for _ in range(50):
        await reader.status("en")
        await reader.status("de")
    assert looks == 1
    reader.forget()
    await reader.status("en")
    assert looks == 2


async def test_a_broadcast_sent_twice_stands_once_and_keeps_its_time(site: Site) -> None:
    await site.incident()
    await site.announce()
    site.broadcasts -= 1
    await site.announce(text="Some payments may fail.", later=5 * MINUTE)
    async with site.engine.connect() as conn:
        count, posted = (
            await conn.execute(
                select(func.count(), func.max(AnnouncementRow.posted_at)).where(
                    AnnouncementRow.channel == "status_page"
                )
            )
        ).one()
    assert count == 1 and posted == site.now - 5 * MINUTE


async def test_unusable_metadata_is_refused_for_good_and_not_quoted(site: Site) -> None:
    message = OutboundMessage(
        key="k", thread="t", incident_id="inc_a", moment=Moment.INITIAL,
        channel=Channel.STATUS_PAGE, recipient=Recipient(delivery_id=1), text="x",
        metadata={"broadcast_id": "private words", "texts": {}},
    )  # fmt: skip
    for sender in site.senders.values():
        with pytest.raises(Permanent) as caught:
            await sender.send(message)
        assert "texts" in caught.value.reason and "private" not in caught.value.reason


async def test_a_report_does_not_change_what_the_incident_was(site: Site) -> None:
    await site.incident()
    await site.announce(severity="P3", components=("webhooks",))
    await site.announce(
        severity="P3", components=("webhooks",), moment="resolution", stage="resolved", later=MINUTE
    )
    await site.announce(text="Report.", moment="post_mortem", severity="P1", later=MINUTE)
    page = (await site.get("/history")).text
    assert (
        "Minor impact" in page and "Payment" not in page.split("</article>")[0].split("Affected")[1]
    )


async def test_the_pages_words_are_read_in_the_readers_language(site: Site) -> None:
    answer = await site.get("/history?lang=de")
    assert "Verlauf" in answer.text and answer.headers["content-language"] == "de"
