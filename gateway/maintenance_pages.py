"""Planned work for the public: its page, the calendar, and the way to object to it."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import structlog
from fastapi import APIRouter, Request, Response
from starlette.datastructures import UploadFile

from domain.errors import BadInput, NotFound
from domain.tokens import unsign
from gateway.deps import Deps
from gateway.maintenance_commands import record_objection
from gateway.maintenance_read import MaintenanceView
from gateway.pages import PUBLIC_FOR_SECONDS, cached, page
from gateway.status_page import METHODS, PAGE_CACHE, Frame, not_found
from gateway.status_read import StatusReader
from gateway.words import choose_locale
from runtime.maintenances import MaintenanceRelay

log = structlog.get_logger()

# What the personal link in a notice is signed for.
PURPOSE = "objection"
MAX_REASON = 1000
CALENDAR_CACHE = PUBLIC_FOR_SECONDS.format(300)
_ICS = re.compile(r"([\\;,])")
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f]")


def router(deps: Deps) -> APIRouter:
    """`/maintenances/{id}`, `/maintenances.ics`, and the personal pages to object on."""
    routes = APIRouter(include_in_schema=False)
    reader = StatusReader(deps)
    relay = MaintenanceRelay(deps.engine, deps.temporal, deps.now)

    async def found(frame: Frame, id_: str) -> MaintenanceView | None:
        # PostgreSQL has no NUL in its texts and would take offence.
        return None if "\x00" in id_ else await reader.maintenance(id_, frame.words.locale)

    def message(
        request: Request, frame: Frame, heading: str, line: str, *, status: int = 200,
        mail: str | None = None,
    ) -> Response:  # fmt: skip
        catalog = frame.words.maintenance
        said = catalog[line].format(company=deps.policy.company.name)
        values = {"heading": catalog[heading], "lines": [said], "button": None, "mail": mail}
        return page(request, "message.html", frame.words, frame.values | values, status=status)

    def reader_of(id_: str, token: str) -> dict[str, str] | None:
        """Who holds the link, if it is one for this maintenance."""
        try:
            held = unsign(deps.secret_key.get_secret_value(), PURPOSE, token)
        except BadInput:
            return None
        who = {k: v for k, v in held.items() if isinstance(v, str) and "\x00" not in v}
        return who if who.get("m") == id_ and (who.get("a") or who.get("c")) else None

    @routes.api_route("/maintenances.ics", methods=METHODS)
    async def calendar(request: Request) -> Response:
        locale = choose_locale(reader.locales, request.query_params, request.headers)
        view = await reader.status(locale)
        body = calendar_text(view.company, view.maintenances, deps.now())
        headers = {"Vary": "Accept-Language"}
        return cached(request, body, "text/calendar; charset=utf-8", CALENDAR_CACHE, headers)

    @routes.api_route("/maintenances/{id_}", methods=METHODS)
    async def show(request: Request, id_: str) -> Response:
        frame = Frame(deps, reader.locales, request)
        item = await found(frame, id_)
        if item is None:
            return not_found(request, frame)
        values = frame.values | {"item": item}
        return page(request, "maintenance.html", frame.words, values, cache=PAGE_CACHE)

    @routes.api_route("/maintenances/{id_}/object", methods=METHODS)
    async def explain(request: Request, id_: str) -> Response:
        frame = Frame(deps, reader.locales, request)
        if await found(frame, id_) is None:
            return not_found(request, frame)
        return message(
            request, frame, "object_title", "object_explain", mail=deps.policy.company.support_email
        )

    @routes.api_route("/maintenances/{id_}/object/{token}", methods=METHODS)
    async def ask(request: Request, id_: str, token: str) -> Response:
        # Mail scanners follow every link: looking must never object.
        frame = Frame(deps, reader.locales, request)
        item = await found(frame, id_)
        if item is None or reader_of(id_, token) is None:
            return not_found(request, frame)
        if item.over:
            return message(
                request,
                frame,
                "object_title",
                "object_closed",
                mail=deps.policy.company.support_email,
            )
        return page(request, "objection.html", frame.words, frame.values | {"item": item})

    @routes.post("/maintenances/{id_}/object/{token}")
    async def object_(request: Request, id_: str, token: str) -> Response:
        frame = Frame(deps, reader.locales, request)
        who = reader_of(id_, token)
        item = await found(frame, id_)
        if item is None or who is None:
            return not_found(request, frame)
        given = (await request.form()).get("reason", "")
        reason = "" if isinstance(given, UploadFile) else given
        try:
            objection = await record_objection(
                deps,
                relay,
                id_,
                account_id=who.get("a"),
                contact_id=who.get("c"),
                reason=_CONTROL.sub(" ", reason)[:MAX_REASON].strip(),
                source="link",
                actor="recipient",
            )
        except (NotFound, BadInput):
            # The account is gone meanwhile; nobody is left whose objection it could be.
            return not_found(request, frame)
        log.info("maintenance_objection", maintenance_id=id_, late=objection.late)
        if objection.late:
            return message(
                request,
                frame,
                "object_late",
                "object_late_text",
                mail=deps.policy.company.support_email,
            )
        return message(request, frame, "object_done", "object_done_text")

    return routes


def calendar_text(company: str, works: tuple[MaintenanceView, ...], now: datetime) -> str:
    """Planned work as an iCalendar (RFC 5545); what was called off says so to who has it."""
    lines = ["BEGIN:VCALENDAR", "VERSION:2.0", f"PRODID:-//{_ics(company)}//Forewarn//EN"]
    for work in works:
        lines += [
            "BEGIN:VEVENT",
            f"UID:{work.id}@forewarn",
            f"DTSTAMP:{_utc(work.updated_at)}",
            f"DTSTART:{_utc(work.began_at or work.starts_at)}",
            f"DTEND:{_utc(_end(work))}",
            f"SEQUENCE:{len(work.updates)}",
            f"STATUS:{'CANCELLED' if work.cancelled else 'CONFIRMED'}",
            f"SUMMARY:{_ics(work.title)}",
            f"DESCRIPTION:{_ics(work.impact_text)}",
            f"URL:{work.url}",
            "END:VEVENT",
        ]
    lines.append("END:VCALENDAR")
    return "".join(f"{folded}\r\n" for line in lines for folded in _folded(line))


def _end(work: MaintenanceView) -> datetime:
    over = None if work.cancelled else work.over_at
    return over or max(work.ends_at, work.began_at or work.ends_at)


def _utc(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y%m%dT%H%M%SZ}"


def _ics(text: str) -> str:
    return _ICS.sub(r"\\\1", _CONTROL.sub(" ", text)).replace("\n", "\\n")


def _folded(line: str) -> list[str]:
    """Lines of at most 75 octets; the next one of a long line begins with a space."""
    parts, part = [], ""
    for letter in line:
        if len((part + letter).encode()) > 75:
            parts.append(part)
            part = " "
        part += letter
    return [*parts, part]
