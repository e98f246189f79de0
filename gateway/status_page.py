"""The public status page: what was announced, in the visitor's language."""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby
from urllib.parse import urlencode

from fastapi import APIRouter, Request, Response
from starlette.responses import RedirectResponse
from starlette.routing import Route

from domain.errors import BadInput
from gateway.pages import HERE, PUBLIC_FOR_SECONDS, Drawings, answer, cached, html, page
from gateway.status_read import IncidentView, PublicDeps, StatusReader, StatusView
from gateway.words import Words, choose_locale, words

PER_PAGE = 30
METHODS = ["GET", "HEAD"]
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

        self.key = (chosen, *keep)
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


class Pages:
    """The pages that everybody asks for in an outage, drawn once for each change.

    They are routes of Starlette's, before all others: FastAPI's way to a function, and the search
    through a hundred routes, would cost ten times what the answer does.
    """

    def __init__(self, deps: PublicDeps) -> None:
        self._deps = deps
        self._reader = StatusReader(deps)
        self._drawings = Drawings()

    @property
    def routes(self) -> list[Route]:
        """`/`, `/incidents/{id}` and `/incidents/{id}/report`."""
        return [
            Route("/", self.status, methods=METHODS, include_in_schema=False),
            Route(
                "/incidents/{incident_id}",
                self.incident,
                methods=METHODS,
                include_in_schema=False,
            ),
            Route(
                "/incidents/{incident_id}/report",
                self.report,
                methods=METHODS,
                include_in_schema=False,
            ),
        ]

    async def status(self, request: Request) -> Response:
        """What works, what does not, and what was said of it."""
        frame = Frame(self._deps, self._reader.locales, request)
        view = await self._reader.status(frame.words.locale)
        return self._answer(request, "status.html", frame, "view", view)

    async def incident(self, request: Request) -> Response:
        """One incident with all that was said of it."""
        frame, found = await self._incident(request)
        if found is None:
            return not_found(request, frame)
        if found.continued_in is not None:
            return await self._led_on(found.continued_in, request, frame, found)
        return self._answer(request, "incident.html", frame, "incident", found)

    async def _led_on(
        self, there: str, request: Request, frame: Frame, found: IncidentView
    ) -> Response:
        """To the incident that goes on, where that one has a page."""
        if await self._reader.incident(there, frame.words.locale) is None:
            return self._answer(request, "incident.html", frame, "incident", found)
        link: Callable[[str], str] = frame.values["link"]  # type: ignore[assignment]  # Frame's own
        return RedirectResponse(link(f"/incidents/{there}"), status_code=307)

    async def report(self, request: Request) -> Response:
        """The published post-mortem of an incident."""
        frame, found = await self._incident(request)
        if found is None or found.report is None:
            return not_found(request, frame)
        return self._answer(request, "report.html", frame, "incident", found)

    async def _incident(self, request: Request) -> tuple[Frame, IncidentView | None]:
        frame = Frame(self._deps, self._reader.locales, request)
        wanted = request.path_params["incident_id"]
        # PostgreSQL has no NUL in its texts and would take offence.
        known = "\x00" not in wanted
        return frame, await self._reader.incident(wanted, frame.words.locale) if known else None

    def _answer(
        self,
        request: Request,
        template: str,
        frame: Frame,
        name: str,
        view: StatusView | IncidentView,
    ) -> Response:
        drawing = self._drawings.of(
            (template, getattr(view, "id", ""), *frame.key),
            view,
            lambda: html(template, frame.words, frame.values | {name: view}),
        )
        return answer(request, drawing, frame.words, PAGE_CACHE)


def router(deps: PublicDeps) -> APIRouter:
    """`/history` and what the pages are drawn with."""
    routes = APIRouter(include_in_schema=False)
    reader = StatusReader(deps)
    get = _getter(routes)

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
    return lambda path: routes.api_route(path, methods=METHODS)
