"""The staff pages of planned work: the list, one maintenance, and its forms. No JavaScript."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import RedirectResponse
from starlette.datastructures import FormData

from domain.errors import BadInput, FieldError, NotFound, Refused, Transient, Unauthorized
from domain.roles import Role
from gateway.auth import Actor, Auth
from gateway.commands import Call
from gateway.console import HOME, Console, status_of
from gateway.console_forms import body_of, lines_of, word_of, words_of
from gateway.console_pages import HEADERS, render
from gateway.deps import Deps
from gateway.maintenance_commands import MaintenanceCommands
from gateway.maintenance_shapes import (
    CancelBody,
    CompleteBody,
    EscalateBody,
    ExtendBody,
    MaintenanceOut,
    ObjectionBody,
    RescheduleBody,
    ScheduleBody,
    maintenance_out,
)
from gateway.maintenances import MaintenanceId
from gateway.problems import correlation_id
from gateway.staff_read import NAMESPACE
from runtime.maintenances import MaintenanceView, maintenance_stores
from runtime.staff import MAX_LIMIT, staff_stores

WORK = f"{HOME}/maintenances"
Run = Callable[[MaintenanceCommands, Call, str, FormData], Awaitable[object]]
Error = BadInput | Refused | Transient


def router(deps: Deps) -> APIRouter:
    """`/console/maintenances…`."""
    auth = Auth(deps)
    console, commands = Console(deps, auth), MaintenanceCommands(deps)
    stores, staff = maintenance_stores(deps.engine), staff_stores(deps.engine)
    routes = APIRouter(prefix=WORK, include_in_schema=False)

    async def signed_in(request: Request) -> Actor:
        actor = await auth.identify(request)
        actor.need(Role.VIEWER)
        return actor

    async def posted(request: Request) -> tuple[Call, FormData]:
        actor = await signed_in(request)
        form = await request.form()
        once = str(form.get("once", ""))
        if actor.session is not None:
            auth.check_csrf(actor, str(form.get("csrf", "")))
        if not (0 < len(once) <= 100 and once.isascii()):
            raise BadInput("this form is not complete; reload the page and try again")
        return Call(actor, correlation_id(request), f"console:{once}"), form

    def sign_in() -> Response:
        return render("sign_in.html", 401, company=deps.policy.company.name, back=WORK, error=None)

    def out(views: Sequence[MaintenanceView]) -> list[MaintenanceOut]:
        return [
            maintenance_out(view, deps.public_url, deps.temporal_ui, NAMESPACE) for view in views
        ]

    async def all_of_it(actor: Actor, status: int = 200, error: Error | None = None) -> Response:
        ahead = await stores.store.page(is_open=True, limit=MAX_LIMIT)
        over = await stores.store.page(is_open=False, limit=20)
        return render(
            "maintenances.html",
            status,
            **console.frame(actor),
            ahead=list(reversed(out(ahead.items))),
            over=out(over.items),
            error=error,
        )

    async def one(
        actor: Actor, id_: str, status: int = 200, error: Error | None = None,
        done: str | None = None,
    ) -> Response:  # fmt: skip
        item = await commands.show(id_)
        lines = list((await staff.incidents.timeline(id_, None, MAX_LIMIT)).items)
        return render(
            "maintenance.html",
            status,
            **console.frame(actor),
            item=item,
            asked=await staff.board.asked(id_),
            objections=await stores.objections.of(id_),
            timeline=lines[::-1],
            deliveries=await staff.ledger.incident_summary(id_),
            now=deps.now(),
            error=error,
            done=done,
        )

    @routes.get("")
    async def maintenances(request: Request) -> Response:
        """Planned work, and a form to plan more."""
        try:
            return await all_of_it(await signed_in(request))
        except Unauthorized:
            return sign_in()

    @routes.post("")
    async def schedule(request: Request) -> Response:
        """Plan work."""
        try:
            call, form = await posted(request)
        except Unauthorized:
            return sign_in()
        try:
            made = await commands.schedule(call, _schedule(form))
        except (BadInput, Refused, Transient) as error:
            return await all_of_it(call.actor, status_of(error), error)
        return RedirectResponse(f"{WORK}/{made.id}?done=scheduled", 303, headers=HEADERS)

    @routes.get("/{id_}")
    async def show(
        request: Request,
        id_: MaintenanceId,
        done: Annotated[str | None, Query(pattern="^[a-z-]{1,20}$")] = None,
    ) -> Response:
        """One maintenance."""
        try:
            return await one(await signed_in(request), id_, done=done)
        except Unauthorized:
            return sign_in()

    @routes.post("/{id_}/{name}")
    async def act(request: Request, id_: MaintenanceId, name: str) -> Response:
        """Carry out the command of a form."""
        try:
            call, form = await posted(request)
        except Unauthorized:
            return sign_in()
        if name not in FORMS:
            raise NotFound("there is no such form")
        try:
            call.actor.need(Role.RESPONDER)
            await FORMS[name](commands, call, id_, form)
        except (BadInput, Refused, Transient) as error:
            return await one(call.actor, id_, status_of(error), error)
        return RedirectResponse(f"{WORK}/{id_}?done={name}", 303, headers=HEADERS)

    return routes


def _schedule(form: FormData) -> ScheduleBody:
    return body_of(
        ScheduleBody,
        title=word_of(form, "title"),
        description=lines_of(form, "description"),
        components=words_of(form, "components"),
        regions=words_of(form, "regions"),
        impact=word_of(form, "impact"),
        advice=lines_of(form, "advice"),
        dry_run=word_of(form, "dry_run") is not None,
        **_times(form),
    )


def _times(form: FormData) -> dict[str, object]:
    """A browser's `datetime-local` fields, which have no zone: the page says that they are UTC."""
    until = word_of(form, "objections_until")
    return {
        "starts_at": _instant(form, "starts_at"),
        "ends_at": _instant(form, "ends_at"),
        "objections_until": _instant(form, "objections_until") if until else None,
    }


def _instant(form: FormData, name: str) -> datetime:
    given = word_of(form, name)
    try:
        at = datetime.fromisoformat(given or "")
    except ValueError:
        raise BadInput(
            "a time is missing or cannot be read",
            [FieldError(field=name, value=given, allowed="a date and a time in UTC")],
        ) from None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


async def _start(commands: MaintenanceCommands, call: Call, id_: str, _: FormData) -> object:
    return await commands.begin(call, id_)


async def _on_time(commands: MaintenanceCommands, call: Call, id_: str, _: FormData) -> object:
    return await commands.on_time(call, id_)


async def _move(commands: MaintenanceCommands, call: Call, id_: str, form: FormData) -> object:
    reason = lines_of(form, "reason") or None
    return await commands.reschedule(
        call, id_, body_of(RescheduleBody, reason=reason, **_times(form))
    )


async def _extend(commands: MaintenanceCommands, call: Call, id_: str, form: FormData) -> object:
    reason = lines_of(form, "reason") or None
    body = body_of(ExtendBody, ends_at=_instant(form, "ends_at"), reason=reason)
    return await commands.extend(call, id_, body)


async def _complete(commands: MaintenanceCommands, call: Call, id_: str, form: FormData) -> object:
    return await commands.complete(
        call, id_, body_of(CompleteBody, message=lines_of(form, "message") or None)
    )


async def _cancel(commands: MaintenanceCommands, call: Call, id_: str, form: FormData) -> object:
    return await commands.cancel(
        call, id_, body_of(CancelBody, reason=lines_of(form, "reason") or None)
    )


async def _escalate(commands: MaintenanceCommands, call: Call, id_: str, form: FormData) -> object:
    body = body_of(EscalateBody, title=word_of(form, "title"), severity=word_of(form, "severity"))
    return await commands.escalate(call, id_, body)


async def _object(commands: MaintenanceCommands, call: Call, id_: str, form: FormData) -> object:
    body = body_of(
        ObjectionBody, account_id=word_of(form, "account_id"), reason=lines_of(form, "reason")
    )
    return await commands.object(call, id_, body)


FORMS: dict[str, Run] = {
    "start": _start,
    "on-time": _on_time,
    "reschedule": _move,
    "extend": _extend,
    "complete": _complete,
    "cancel": _cancel,
    "escalate": _escalate,
    "objection": _object,
}
