"""The history as RSS and Atom, for feed readers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from urllib.parse import urlencode
from xml.etree import ElementTree

from fastapi import APIRouter, Request, Response
from markupsafe import Markup

from domain.public import PublicStatus
from gateway.maintenance_read import MaintenanceView
from gateway.pages import PUBLIC_FOR_SECONDS, cached, paragraphs
from gateway.status_read import PublicDeps, StatusReader, StatusView, UpdateView
from gateway.words import Words, choose_locale, words

CACHE = PUBLIC_FOR_SECONDS.format(30)
ENTRIES = 25
ATOM = "http://www.w3.org/2005/Atom"
XML_LANG = "{http://www.w3.org/XML/1998/namespace}lang"
# What XML 1.0 cannot hold, escaped or not.
_NOT_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

Element = ElementTree.Element
ElementTree.register_namespace("atom", ATOM)


def router(deps: PublicDeps) -> APIRouter:
    """`/history.rss` and `/history.atom`."""
    routes = APIRouter(include_in_schema=False)
    reader = StatusReader(deps)

    async def seen(request: Request) -> StatusView:
        locale = choose_locale(reader.locales, request.query_params, request.headers)
        return await reader.status(locale)

    def answer(request: Request, view: StatusView, root: Element, kind: str) -> Response:
        body = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
        headers = {"Vary": "Accept-Language", "Content-Language": view.locale}
        return cached(request, body, f"application/{kind}+xml; charset=utf-8", CACHE, headers)

    @routes.api_route("/history.atom", methods=["GET", "HEAD"])
    async def atom(request: Request) -> Response:
        view = await seen(request)
        return answer(request, view, atom_feed(view, words(view.locale)), "atom")

    @routes.api_route("/history.rss", methods=["GET", "HEAD"])
    async def rss(request: Request) -> Response:
        view = await seen(request)
        return answer(request, view, rss_feed(view, words(view.locale)), "rss")

    return routes


def atom_feed(view: StatusView, catalog: Words) -> Element:
    """The last incidents as an Atom feed; an entry's id never changes, `updated` does."""
    feed = Element(f"{{{ATOM}}}feed", {XML_LANG: view.locale})

    def add(parent: Element, name: str, text: str = "", **attributes: str) -> Element:
        return _add(parent, f"{{{ATOM}}}{name}", text, **attributes)

    add(feed, "id", f"{view.url}/history.atom")
    add(feed, "title", catalog.page["status"].format(company=view.company))
    add(feed, "updated", _stamp(view.updated_at))
    add(feed, "link", rel="self", type="application/atom+xml", href=_self(view, "history.atom"))
    add(feed, "link", rel="alternate", type="text/html", href=f"{view.url}/history")
    add(add(feed, "author"), "name", view.company)
    for news in entries(view, catalog):
        entry = add(feed, "entry")
        add(entry, "id", news.id)
        add(entry, "title", news.title)
        add(entry, "published", _stamp(news.published))
        add(entry, "updated", _stamp(news.updated))
        add(entry, "link", rel="alternate", type="text/html", href=news.url)
        add(entry, "content", news.story, type="html")
    return feed


def rss_feed(view: StatusView, catalog: Words) -> Element:
    """The last incidents as RSS 2.0; `pubDate` is the last update's, so that readers notice."""
    root = Element("rss", {"version": "2.0"})
    channel = _add(root, "channel")
    title = catalog.page["status"].format(company=view.company)
    _add(channel, "title", title)
    _add(channel, "link", f"{view.url}/history")
    _add(channel, "description", f"{title}: {catalog.page['history']}")
    _add(channel, "language", view.locale)
    _add(channel, "lastBuildDate", _mail_date(view.updated_at))
    _add(
        channel, f"{{{ATOM}}}link", rel="self", type="application/rss+xml",
        href=_self(view, "history.rss"),
    )  # fmt: skip
    for news in entries(view, catalog):
        item = _add(channel, "item")
        _add(item, "title", news.title)
        _add(item, "link", news.url)
        _add(item, "guid", news.id, isPermaLink="false")
        _add(item, "pubDate", _mail_date(news.updated))
        _add(item, "description", news.story)
    return root


@dataclass(frozen=True)
class Entry:
    """One entry of a feed: an incident, or the report on it; `story` is an HTML fragment."""

    id: str
    title: str
    url: str
    published: datetime
    updated: datetime
    story: str


def entries(view: StatusView, catalog: Words) -> list[Entry]:
    """The last incidents, each after its report, which is news of its own."""
    found: list[Entry] = []
    for incident in view.incidents[:ENTRIES]:
        report = incident.report
        if report is not None:
            found.append(
                Entry(
                    id=f"urn:forewarn:report:{incident.id}",
                    title=report.title or f"{catalog.page['report']}: {incident.title}",
                    url=f"{incident.url}/report",
                    published=report.posted_at,
                    updated=report.posted_at,
                    story=str(paragraphs(report.body)),
                )
            )
        said = [u for u in incident.updates if u.status is not PublicStatus.POSTMORTEM]
        ends = [incident.resolved_at] if incident.resolved_at else []
        found.append(
            Entry(
                id=f"urn:forewarn:incident:{incident.id}",
                title=incident.title,
                url=incident.url,
                published=incident.created_at,
                updated=max([*(u.posted_at for u in said), *ends], default=incident.updated_at),
                story=_story(said, catalog),
            )
        )
    works = [
        Entry(
            id=f"urn:forewarn:maintenance:{work.id}",
            title=work.title,
            url=work.url,
            published=work.created_at,
            updated=work.updated_at,
            story=_work_story(work, catalog),
        )
        for work in view.maintenances
    ]
    # Planned work is announced long before it begins: it stands where its last word belongs.
    newest = sorted((*works, *found), key=lambda entry: entry.updated, reverse=True)
    return newest[: ENTRIES * 2] if works else found


def _work_story(work: MaintenanceView, catalog: Words) -> str:
    parts = (
        Markup("<p><small>{}</small><br><strong>{}</strong></p>{}").format(
            catalog.moment(update.posted_at), update.label, paragraphs(update.body)
        )
        for update in work.updates
    )
    return str(Markup("").join(parts))


def _story(updates: Sequence[UpdateView], catalog: Words) -> str:
    """The updates, newest first, as an HTML fragment that is then escaped once more as text."""
    parts = (
        Markup("<p><small>{}</small><br><strong>{}</strong></p>{}").format(
            catalog.moment(update.posted_at),
            catalog.status[update.status],
            paragraphs(update.body),
        )
        for update in updates
    )
    return str(Markup("").join(parts))


def _add(parent: Element, name: str, text: str = "", **attributes: str) -> Element:
    child = ElementTree.SubElement(parent, name, attributes)
    child.text = _NOT_XML.sub("", text)
    return child


def _self(view: StatusView, name: str) -> str:
    return f"{view.url}/{name}?{urlencode({'lang': view.locale})}"


def _stamp(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _mail_date(at: datetime) -> str:
    return format_datetime(at.astimezone(UTC), usegmt=True)
