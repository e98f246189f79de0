"""The staff API of planned work: read it, plan it, move it, end it."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Body, Depends, Path, Query, Request

from domain.errors import BadInput, FieldError
from domain.maintenance_advice import Advice
from domain.policy_base import parse_duration
from domain.roles import Role
from gateway.auth import Actor, Auth
from gateway.commands import Commands
from gateway.deps import Deps
from gateway.idempotency import idempotent_route
from gateway.maintenance_commands import MaintenanceCommands
from gateway.maintenance_shapes import (
    CancelBody,
    CompleteBody,
    EscalateBody,
    EscalationAnswer,
    ExtendBody,
    MaintenanceAnswer,
    MaintenanceOut,
    ObjectionBody,
    RescheduleBody,
    ScheduleBody,
    maintenance_out,
)
from gateway.staff_commands import call
from gateway.staff_read import NAMESPACE, Cursor, Limit
from gateway.staff_shapes import DecisionAnswer, DecisionBody
from runtime.maintenances import Objection, maintenance_stores
from runtime.staff import DEFAULT_LIMIT, Page, TimelineView, staff_stores

MaintenanceId = Annotated[str, Path(min_length=1, max_length=100, pattern=r"^mnt_[a-z0-9]+$")]
_NO_MESSAGE, _NO_REASON, _NO_TITLE = CompleteBody(), CancelBody(), EscalateBody()
LONGEST_ESTIMATE = timedelta(days=30)


def router(deps: Deps) -> APIRouter:
    """`/api/maintenances…`."""
    auth = Auth(deps)
    routes = APIRouter(
        prefix="/api/maintenances",
        tags=["maintenance"],
        route_class=idempotent_route(deps, auth),
    )
    commands, decisions = MaintenanceCommands(deps), Commands(deps)
    stores, staff = maintenance_stores(deps.engine), staff_stores(deps.engine)
    viewer = Depends(auth.require(Role.VIEWER))
    responder = Depends(auth.require(Role.RESPONDER))
    approver = Depends(auth.require(Role.APPROVER))

    @routes.get("", dependencies=[viewer])
    async def maintenances(
        cursor: Cursor = None,
        limit: Limit = DEFAULT_LIMIT,
        is_open: Annotated[bool | None, Query(alias="open")] = None,
        prefix: Annotated[str | None, Query(pattern=r"^[a-z0-9_]{1,40}$")] = None,
    ) -> Page[MaintenanceOut]:
        """Planned work, the latest start first."""
        page = await stores.store.page(cursor=cursor, limit=limit, is_open=is_open, prefix=prefix)
        return Page(
            items=tuple(
                maintenance_out(view, deps.public_url, deps.temporal_ui, NAMESPACE)
                for view in page.items
            ),
            next=page.next,
        )

    @routes.post("", status_code=201)
    async def schedule(
        request: Request, body: ScheduleBody, actor: Actor = responder
    ) -> MaintenanceOut:
        """Plan work; its notice is drafted at once and waits for approval."""
        return await commands.schedule(call(request, actor), body)

    @routes.get("/advice", dependencies=[viewer])
    async def advice(
        estimate: Annotated[str, Query(max_length=20, description="a duration like 90m or 2h")],
        component: Annotated[list[str], Query(max_length=50)],
        region: Annotated[list[str] | None, Query(max_length=50)] = None,
    ) -> Advice:
        """How long to plan for, and the quietest hours of those whom it concerns."""
        return await commands.advice(_length(estimate), tuple(component), tuple(region or ()))

    @routes.get("/{id_}", dependencies=[viewer])
    async def show(id_: MaintenanceId) -> MaintenanceOut:
        """One maintenance."""
        return await commands.show(id_)

    @routes.get("/{id_}/timeline", dependencies=[viewer])
    async def timeline(
        id_: MaintenanceId, cursor: Cursor = None, limit: Limit = DEFAULT_LIMIT
    ) -> Page[TimelineView]:
        """What happened, oldest first."""
        return await staff.incidents.timeline(id_, cursor, limit)

    @routes.get("/{id_}/objections", dependencies=[viewer])
    async def objections(id_: MaintenanceId) -> Page[Objection]:
        """Who objected, and whose task it is."""
        await stores.store.detail(id_)
        return Page(items=tuple(await stores.objections.of(id_)))

    @routes.post("/{id_}/objections", status_code=201)
    async def object_(
        request: Request, id_: MaintenanceId, body: ObjectionBody, actor: Actor = responder
    ) -> Objection:
        """Record an objection that reached a colleague."""
        return await commands.object(call(request, actor), id_, body)

    @routes.post("/{id_}/decision")
    async def decide(
        request: Request, id_: MaintenanceId, body: DecisionBody, actor: Actor = approver
    ) -> DecisionAnswer:
        """Approve, reject or edit the draft version that waits."""
        return await decisions.decide(call(request, actor), id_, body)

    @routes.post("/{id_}/start")
    async def start(
        request: Request, id_: MaintenanceId, actor: Actor = responder
    ) -> MaintenanceAnswer:
        """State that the work begins now."""
        return await commands.begin(call(request, actor), id_)

    @routes.post("/{id_}/on-time")
    async def on_time(
        request: Request, id_: MaintenanceId, actor: Actor = responder
    ) -> MaintenanceAnswer:
        """Answer that it will not overrun."""
        return await commands.on_time(call(request, actor), id_)

    @routes.post("/{id_}/reschedule")
    async def reschedule(
        request: Request, id_: MaintenanceId, body: RescheduleBody, actor: Actor = responder
    ) -> MaintenanceAnswer:
        """Move it to other times."""
        return await commands.reschedule(call(request, actor), id_, body)

    @routes.post("/{id_}/extend")
    async def extend(
        request: Request, id_: MaintenanceId, body: ExtendBody, actor: Actor = responder
    ) -> MaintenanceAnswer:
        """State that it takes longer."""
        return await commands.extend(call(request, actor), id_, body)

    @routes.post("/{id_}/complete")
    async def complete(
        request: Request,
        id_: MaintenanceId,
        body: Annotated[CompleteBody, Body()] = _NO_MESSAGE,
        actor: Actor = responder,
    ) -> MaintenanceAnswer:
        """State that it is over."""
        return await commands.complete(call(request, actor), id_, body)

    @routes.post("/{id_}/cancel")
    async def cancel(
        request: Request,
        id_: MaintenanceId,
        body: Annotated[CancelBody, Body()] = _NO_REASON,
        actor: Actor = responder,
    ) -> MaintenanceAnswer:
        """Call it off."""
        return await commands.cancel(call(request, actor), id_, body)

    @routes.post("/{id_}/escalate", status_code=201)
    async def escalate(
        request: Request,
        id_: MaintenanceId,
        body: Annotated[EscalateBody, Body()] = _NO_TITLE,
        actor: Actor = responder,
    ) -> EscalationAnswer:
        """Open an incident because of it."""
        return await commands.escalate(call(request, actor), id_, body)

    return routes


def _length(estimate: str) -> timedelta:
    try:
        length = parse_duration(estimate)
    except ValueError:
        length = None
    if not isinstance(length, timedelta) or not timedelta(0) < length <= LONGEST_ESTIMATE:
        raise BadInput(
            "this estimate is not a length of time",
            [FieldError(field="estimate", value=estimate, allowed="like 90m or 2h, at most 30d")],
        )
    return length
