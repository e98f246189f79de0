"""Merging and splitting incidents: the staff API's routes, and the way to the workflows."""

from __future__ import annotations

from fastapi import APIRouter, Depends, Request

from domain.errors import BadInput, FieldError, NotFound, Refused
from domain.roles import Role
from gateway.auth import Actor, Auth
from gateway.commands import Call
from gateway.deps import Deps
from gateway.idempotency import idempotent_route
from gateway.staff_commands import call
from gateway.staff_read import IncidentId
from gateway.staff_shapes import LinkAnswer, MergeBody, SplitBody, known_places
from gateway.staff_updates import command
from runtime.staff import id_of, staff_stores
from workflows.messages import CommandResult, MergeInput, SplitInput


class Linking:
    """Checks what can be seen from outside; whether it may be now, the workflows decide."""

    def __init__(self, deps: Deps) -> None:
        self._deps = deps
        self._staff = staff_stores(deps.engine)

    async def merge(self, call: Call, incident_id: str, body: MergeBody) -> LinkAnswer:
        """Let an incident go on in another one."""
        one = await self._staff.incidents.detail(incident_id)
        try:
            other = await self._staff.incidents.detail(body.into)
        except NotFound as error:
            raise BadInput(
                "there is no such incident to merge into",
                [FieldError(field="into", value=body.into, allowed="the id of an open incident")],
            ) from error
        if not other.open:
            raise Refused("not_open", f"{other.id} is {other.stage}: nothing can go on in it")
        if other.dry_run is not one.dry_run:
            raise Refused("dry_run", "an incident in dry run and a real one cannot be merged")
        request = call.request
        argument = MergeInput(by=call.actor.name, into=other.id)
        done = await command(
            self._deps, incident_id, "merge_into", argument, CommandResult, request
        )
        await self._note(call, incident_id, "merge", other.id)
        return LinkAnswer(incident_id=incident_id, stage=done.stage, other=other.id)

    async def split(self, call: Call, incident_id: str, body: SplitBody) -> LinkAnswer:
        """Let some components go on as an incident of their own."""
        known_places(self._deps.policy, body.components, ())
        await self._staff.incidents.detail(incident_id)
        request = call.request
        argument = SplitInput(
            by=call.actor.name,
            id=id_of("inc", request),
            components=tuple(dict.fromkeys(body.components)),
        )
        done = await command(self._deps, incident_id, "split", argument, CommandResult, request)
        await self._note(call, incident_id, "split", argument.id)
        return LinkAnswer(incident_id=incident_id, stage=done.stage, other=argument.id)

    async def _note(self, call: Call, incident_id: str, name: str, other: str) -> None:
        facts: dict[str, object] = {"command": name, "other": other}
        now = self._deps.now()
        await self._staff.audit.append("command", call.actor.name, facts, now, incident_id)


def router(deps: Deps, auth: Auth) -> APIRouter:
    """`…/merge` and `…/split`."""
    routes = APIRouter(prefix="/api", tags=["staff"], route_class=idempotent_route(deps, auth))
    linking = Linking(deps)
    responder = Depends(auth.require(Role.RESPONDER))

    @routes.post("/incidents/{incident_id}/merge")
    async def merge(
        request: Request, incident_id: IncidentId, body: MergeBody, actor: Actor = responder
    ) -> LinkAnswer:
        """Let this incident go on in another one: one thread and one all-clear for everybody."""
        return await linking.merge(call(request, actor), incident_id, body)

    @routes.post("/incidents/{incident_id}/split")
    async def split(
        request: Request, incident_id: IncidentId, body: SplitBody, actor: Actor = responder
    ) -> LinkAnswer:
        """Let some of its components go on as an incident of their own."""
        return await linking.split(call(request, actor), incident_id, body)

    return routes
