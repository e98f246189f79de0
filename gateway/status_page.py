"""The public status page: what was announced, in the visitor's language."""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby
from urllib.parse import urlencode

from fastapi import APIRouter, Request, Response

from domain.errors import BadInput
from gateway.pages import HERE, PUBLIC_FOR_SECONDS, cached, page
from gateway.status_read import PublicDeps, StatusReader
from gateway.words import Words, choose_locale, words

PER_PAGE = 30
PAGE_CACHE = PUBLIC_FOR_SECONDS.format(2)
# Asked for again each time, but not sent again: an upgrade shows at once.
STATIC_CACHE = "public, no-cache"
STATIC = {
    "pages.css": "text/css; charset=utf-8",
    "times.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}


class Frame:
    """What every public page is given: its language, the links that keep it, the company."""

    def __init__(self, deps: PublicDeps, locales: tuple[str, ...], request: Request) -> None:
        chosen = choose_locale(locales, request.query_params, request.headers)
        self.words: Words = words(chosen)
        # A chosen language stays chosen from page to page; a negotiated one is negotiated again.
        keep = {"lang": chosen} if request.query_params.get("lang") == chosen else {}

        def link(path: str, **query: str) -> str:
            given = urlencode({**query, **keep})
            return f"{path}?{given}" if given else path

        self.values: dict[str, object] = {
            "company": deps.policy.company.name,
            "languages": [(locale, words(locale).language) for locale in locales],
            "link": link,
        }


def not_found(request: Request, frame: Frame) -> Response:
    """The page for what was never announced, or never existed: nobody can tell them apart."""
    catalog = frame.words
    values = {
        "heading": catalog.page["not_found"],
        "lines": [catalog.page["not_found_text"]],
        "mail": None,
        "button": None,
    }
    return page(request, "message.html", catalog, frame.values | values, status=404)


def router(deps: PublicDeps) -> APIRouter:
    """`/`, `/incidents/{id}`, `/history` and what they are drawn with."""
    routes = APIRouter(include_in_schema=False)
    reader = StatusReader(deps)
    get = _getter(routes)

    @get("/")
    async def status(request: Request) -> Response:
        frame = Frame(deps, reader.locales, request)
        values = frame.values | {"view": await reader.status(frame.words.locale)}
        return page(request, "status.html", frame.words, values, cache=PAGE_CACHE)

    @get("/incidents/{incident_id}")
    async def incident(request: Request, incident_id: str) -> Response:
        frame = Frame(deps, reader.locales, request)
        # PostgreSQL has no NUL in its texts and would take offence.
        known = "\x00" not in incident_id
        found = await reader.incident(incident_id, frame.words.locale) if known else None
        if found is None:
            return not_found(request, frame)
        values = frame.values | {"incident": found}
        return page(request, "incident.html", frame.words, values, cache=PAGE_CACHE)

    @get("/history")
    async def history(request: Request) -> Response:
        frame = Frame(deps, reader.locales, request)
        cursor = request.query_params.get("cursor")
        try:
            found, following = await reader.history(frame.words.locale, PER_PAGE, cursor)
        except BadInput:
            return not_found(request, frame)
        months = [
            (month, list(items))
            for month, items in groupby(found, lambda i: frame.words.month(i.created_at))
        ]
        values = frame.values | {"months": months, "cursor": cursor, "next": following}
        return page(request, "history.html", frame.words, values, cache=PAGE_CACHE)

    files = {name: (HERE / "static" / name).read_bytes() for name in STATIC}

    @get("/static/pages/{name}")
    async def static(request: Request, name: str) -> Response:
        if name not in files:
            return not_found(request, Frame(deps, reader.locales, request))
        return cached(request, files[name], STATIC[name], STATIC_CACHE)

    return routes


def _getter(routes: APIRouter) -> Callable[[str], Callable[..., object]]:
    """A decorator for pages, which answer HEAD as they do GET: link checkers ask that way."""
    return lambda path: routes.api_route(path, methods=["GET", "HEAD"])
