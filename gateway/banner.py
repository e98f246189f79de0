"""The in-app banner: what it shows, to whom, and the element that shows it."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Iterable
from datetime import datetime
from typing import Protocol

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from pydantic import BaseModel, ConfigDict, SecretStr

from domain.errors import BadInput, Unauthorized
from domain.message import Moment
from domain.policy import Policy
from domain.public import PublicIncident, component_names
from domain.public_maintenance import PublicMaintenance
from domain.signal import Severity
from domain.tokens import unsign
from gateway.banner_stream import Hub
from gateway.maintenance_read import maintenance_view
from gateway.pages import HERE, NEVER, PUBLIC_FOR_SECONDS, cached, page
from gateway.problems import problem
from gateway.status_page import Frame
from gateway.status_read import STAYS_AFTER_END, PublicDeps, StatusReader
from gateway.words import choose_locale, words
from runtime.staff import STAFF_TOKEN_PREFIX

SCRIPT_CACHE = PUBLIC_FOR_SECONDS.format(300)
# The product that shows the banner has another origin. The token is no cookie, so `*` is safe.
FROM_ANYWHERE = {
    "Access-Control-Allow-Origin": "*",
    "Cross-Origin-Resource-Policy": "cross-origin",
    "X-Content-Type-Options": "nosniff",
}
PREFLIGHT = {
    **FROM_ANYWHERE,
    "Access-Control-Allow-Methods": "GET",
    "Access-Control-Allow-Headers": "Authorization",
    "Access-Control-Max-Age": "86400",
}
LEVELS = {Severity.P1: "critical", Severity.P2: "warning", Severity.P3: "warning"}
RETRY_SECONDS = "60"


class BannerDeps(PublicDeps, Protocol):
    @property
    def secret_key(self) -> SecretStr: ...


class BannerItem(BaseModel):
    """One incident as the banner shows it; `version` changes with state, level and text."""

    model_config = ConfigDict(frozen=True)

    id: str
    level: str
    state: str
    title: str
    text: str
    components: tuple[str, ...]
    status_url: str
    dismissible: bool
    version: str
    started_at: datetime
    next_update_at: datetime | None
    updated_at: datetime


class BannerList(BaseModel):
    """What the banner is fed with; `labels` are its own few words in the reader's language."""

    model_config = ConfigDict(frozen=True)

    items: tuple[BannerItem, ...]
    next: None = None
    labels: dict[str, str]


class Banner:
    """Turns the public incidents into what one reader may see."""

    def __init__(self, deps: BannerDeps) -> None:
        self.reader = StatusReader(deps)
        self._secret = deps.secret_key
        self._now = deps.now

    def account(self, request: Request) -> str | None:
        """The account whose token came along; None without one. Raises Unauthorized."""
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        token = given.strip() if scheme.lower() == "bearer" else ""
        token = token or request.query_params.get("token", "")
        # Staff look at the banner too: their token is none of an account, and opens nothing here.
        if not token or token.startswith(STAFF_TOKEN_PREFIX):
            return None
        try:
            account = unsign(self._secret.get_secret_value(), "account", token).get("a")
        except BadInput:
            account = None
        if not isinstance(account, str) or "\x00" in account:
            raise Unauthorized("the account token is not valid")
        return account

    async def items(self, locale: str, account: str | None) -> BannerList:
        """Open incidents and the resolved ones of a day; with an account only those it heard."""
        incidents = await self.reader.current()
        works = shown_works(await self.reader.planned(), self.reader.policy, self._now())
        if account is not None:
            sent = [i.id for i in incidents if i.banner] + [w.id for w in works if w.banner]
            heard = await self.reader.records.heard(account, sent) if sent else ()
            incidents = tuple(i for i in incidents if i.banner and i.id in heard)
            works = tuple(i for i in works if i.banner and i.id in heard)
        labels = {key: words(locale).banner[key] for key in LABELS}
        items = (
            *(self._item(i, locale) for i in incidents),
            *(self._work(i, locale) for i in works),
        )
        return BannerList(items=items, labels=labels)

    def _work(self, work: PublicMaintenance, locale: str) -> BannerItem:
        """Planned work: said calmly, and to be put aside."""
        policy, fallback = self.reader.policy, self.reader.policy.locales[0]
        view = maintenance_view(work, locale, policy, self.reader.url)
        said = work.banner[-1] if work.banner else None
        if said is not None and said.broadcast_id < work.latest.broadcast_id:
            said = None
        names = ", ".join(view.components.values()) or words(locale).banner["nothing"]
        sentence = words(locale).banner[f"maintenance_{work.status.value}"]
        text = said.text(locale, fallback).body if said else sentence.format(components=names)
        spoken = (said or work.latest).broadcast_id
        version = f"{work.id}:{spoken}:{work.status}:{said is None}"
        return BannerItem(
            id=work.id,
            level="info",
            state=work.status.value,
            title=view.title,
            text=text,
            components=tuple(view.components.values()),
            status_url=view.url,
            dismissible=True,
            version=hashlib.sha256(version.encode()).hexdigest()[:12],
            started_at=work.began_at or work.starts_at,
            next_update_at=work.ends_at if work.under_way else None,
            updated_at=work.updated_at,
        )

    def _item(self, incident: PublicIncident, locale: str) -> BannerItem:
        view = self.reader.view(incident, locale)
        fallback = self.reader.policy.locales[0]
        level = "info" if incident.ended else LEVELS.get(incident.severity, "info")
        state = "resolved" if incident.ended else incident.status.value
        said = [b for b in incident.banner if b.moment is not Moment.POST_MORTEM]
        last = said[-1] if said else None
        # The banner's own words count only while the status page has not moved on from them.
        if last and (
            last.broadcast_id < incident.latest.broadcast_id or last.ends != incident.ended
        ):
            last = None
        if last:
            text = last.text(locale, fallback).body
        else:
            catalog = words(locale).banner
            names = component_names(
                self.reader.policy, incident.components, locale, fallback
            ).values()
            sentence = catalog["resolved"] if incident.ended else catalog[level]
            text = sentence.format(components=", ".join(names) or catalog["nothing"])
        spoken = (last or incident.latest).broadcast_id
        version = f"{incident.id}:{spoken}:{state}:{level}:{last is None}"
        return BannerItem(
            id=incident.id,
            level=level,
            state=state,
            title=view.title,
            text=text,
            components=tuple(view.components.values()),
            status_url=view.url,
            dismissible=level != "critical",
            version=hashlib.sha256(version.encode()).hexdigest()[:12],
            started_at=incident.started_at,
            next_update_at=view.next_update_at,
            updated_at=incident.updated_at,
        )


def shown_works(
    works: Iterable[PublicMaintenance], policy: Policy, now: datetime
) -> tuple[PublicMaintenance, ...]:
    """Planned work that is near, under way, or over since less than a day."""
    if policy.maintenance is None:
        return ()
    near = now + policy.maintenance.banner_before
    return tuple(
        work
        for work in works
        if work.under_way
        or (work.over and work.updated_at >= now - STAYS_AFTER_END)
        or (not work.over and work.starts_at <= near)
    )


LABELS = ("view", "dismiss", "region", "next_update")


def router(deps: BannerDeps) -> APIRouter:
    """`/api/incidents/active`, `/api/banner/stream`, `/banner.js` and the demo page."""
    routes = APIRouter(tags=["banner"])
    banner = Banner(deps)
    hub = Hub(banner.reader)

    def locale_of(request: Request) -> str:
        return choose_locale(banner.reader.locales, request.query_params, request.headers)

    @routes.get("/api/incidents/active", response_model=BannerList)
    async def active(request: Request) -> Response:
        """What the banner shows now: everything public, or what the token's account heard."""
        found = await banner.items(locale_of(request), banner.account(request))
        headers = {**FROM_ANYWHERE, "Cache-Control": NEVER, "Vary": "Accept-Language"}
        return JSONResponse(found.model_dump(mode="json"), headers=headers)

    @routes.options("/api/incidents/active", include_in_schema=False)
    async def preflight() -> Response:
        return Response(status_code=204, headers=PREFLIGHT)

    @routes.get("/api/banner/stream")
    async def stream(request: Request) -> Response:
        """The same list as server-sent events `incidents`, at once and on each change."""
        account, locale = banner.account(request), locale_of(request)
        if hub.full:
            headers = {**FROM_ANYWHERE, "Retry-After": RETRY_SECONDS}
            return problem(503, "too many open streams", request=request, headers=headers)

        async def now() -> str:
            return (await banner.items(locale, account)).model_dump_json()

        events: AsyncIterator[str] = hub.events(now)
        # Proxies that buffer would hold the events back.
        headers = {**FROM_ANYWHERE, "Cache-Control": NEVER, "X-Accel-Buffering": "no"}
        return StreamingResponse(events, media_type="text/event-stream", headers=headers)

    script = (HERE / "static" / "banner.js").read_bytes()

    @routes.get("/banner.js", include_in_schema=False)
    async def banner_script(request: Request) -> Response:
        return cached(
            request, script, "text/javascript; charset=utf-8", SCRIPT_CACHE, FROM_ANYWHERE
        )

    @routes.get("/demo/banner", include_in_schema=False)
    async def demo(request: Request) -> Response:
        frame = Frame(deps, banner.reader.locales, request)
        token = request.query_params.get("token", "")
        values = frame.values | {"url": deps.public_url, "token": token}
        return page(request, "demo.html", frame.words, values)

    return routes
