"""The staff API's commands: each POST is checked, carried out once, and answered."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Body, Depends, Request

from domain.roles import Role
from gateway.auth import Actor, Auth
from gateway.commands import Call, Commands
from gateway.deps import Deps
from gateway.idempotency import idempotent_route, read_key
from gateway.problems import correlation_id
from gateway.staff_read import IncidentId
from gateway.staff_shapes import (
    CheckAnswer,
    CommandAnswer,
    ConfirmBody,
    DecisionAnswer,
    DecisionBody,
    FactsBody,
    HandOverBody,
    MessageBody,
    ReasonBody,
    SeverityBody,
    StartAnswer,
    StartBody,
    SwitchAnswer,
    TextBody,
    UpdateBody,
)

# A command without details may come without a body.
_NO_REASON, _NO_MESSAGE, _NOTHING_NAMED = ReasonBody(), MessageBody(), ConfirmBody()


def router(deps: Deps, auth: Auth) -> APIRouter:
    """All commands."""
    routes = APIRouter(prefix="/api", tags=["staff"], route_class=idempotent_route(deps, auth))
    commands = Commands(deps)
    responder = Depends(auth.require(Role.RESPONDER))
    approver = Depends(auth.require(Role.APPROVER))

    @routes.post("/incidents", status_code=201)
    async def start(request: Request, body: StartBody, actor: Actor = responder) -> StartAnswer:
        """Report an incident that monitoring did not see."""
        return await commands.start(call(request, actor), body)

    @routes.post("/incidents/{incident_id}/decision")
    async def decide(
        request: Request, incident_id: IncidentId, body: DecisionBody, actor: Actor = approver
    ) -> DecisionAnswer:
        """Approve, reject or edit the draft version that waits."""
        return await commands.decide(call(request, actor), incident_id, body)

    @routes.post("/incidents/{incident_id}/updates")
    async def post_update(
        request: Request, incident_id: IncidentId, body: UpdateBody, actor: Actor = responder
    ) -> CommandAnswer:
        """Give customers news in your own words."""
        return await commands.post_update(call(request, actor), incident_id, body)

    @routes.post("/incidents/{incident_id}/facts")
    async def facts(
        request: Request, incident_id: IncidentId, body: FactsBody, actor: Actor = responder
    ) -> CommandAnswer:
        """State cause, workaround, fix, prevention, estimated end, share or start."""
        return await commands.facts(call(request, actor), incident_id, body)

    @routes.post("/incidents/{incident_id}/severity")
    async def severity(
        request: Request, incident_id: IncidentId, body: SeverityBody, actor: Actor = responder
    ) -> CommandAnswer:
        """Change the severity."""
        return await commands.severity(call(request, actor), incident_id, body)

    @routes.post("/incidents/{incident_id}/confirm")
    async def confirm(
        request: Request,
        incident_id: IncidentId,
        body: Annotated[ConfirmBody, Body()] = _NOTHING_NAMED,
        actor: Actor = responder,
    ) -> CommandAnswer:
        """State that customers feel a suspected incident."""
        return await commands.confirm(call(request, actor), incident_id, body)

    @routes.post("/incidents/{incident_id}/dismiss")
    async def dismiss(
        request: Request,
        incident_id: IncidentId,
        body: Annotated[ReasonBody, Body()] = _NO_REASON,
        actor: Actor = responder,
    ) -> CommandAnswer:
        """Close a suspected incident that no customer felt."""
        return await commands.dismiss(call(request, actor), incident_id, body)

    @routes.post("/incidents/{incident_id}/resolve")
    async def resolve(
        request: Request,
        incident_id: IncidentId,
        body: Annotated[MessageBody, Body()] = _NO_MESSAGE,
        actor: Actor = responder,
    ) -> CommandAnswer:
        """State that it is over."""
        return await commands.resolve(call(request, actor), incident_id, body)

    @routes.post("/incidents/{incident_id}/false-alarm")
    async def false_alarm(
        request: Request,
        incident_id: IncidentId,
        body: Annotated[MessageBody, Body()] = _NO_MESSAGE,
        actor: Actor = responder,
    ) -> CommandAnswer:
        """State that nothing was wrong."""
        return await commands.false_alarm(call(request, actor), incident_id, body)

    @routes.post("/incidents/{incident_id}/hand-over")
    async def hand_over(
        request: Request, incident_id: IncidentId, body: HandOverBody, actor: Actor = responder
    ) -> CommandAnswer:
        """Let somebody else approve, or command, from now on."""
        return await commands.hand_over(call(request, actor), incident_id, body)

    @routes.post("/incidents/{incident_id}/acknowledge")
    async def acknowledge(
        request: Request, incident_id: IncidentId, actor: Actor = responder
    ) -> CommandAnswer:
        """State that you are on it."""
        return await commands.acknowledge(call(request, actor), incident_id)

    @routes.post("/incidents/{incident_id}/draft-check")
    async def draft_check(
        incident_id: IncidentId, body: TextBody, actor: Actor = responder
    ) -> CheckAnswer:
        """Validate a hand-written text without keeping it."""
        return CheckAnswer(findings=await commands.check(incident_id, body))

    @routes.post("/sends/pause")
    async def pause(request: Request, actor: Actor = approver) -> SwitchAnswer:
        """Let nothing leave any more."""
        changed = await commands.sends(call(request, actor), paused=True)
        return SwitchAnswer(paused=True, changed=changed)

    @routes.post("/sends/resume")
    async def resume(request: Request, actor: Actor = approver) -> SwitchAnswer:
        """Let messages leave again."""
        changed = await commands.sends(call(request, actor), paused=False)
        return SwitchAnswer(paused=False, changed=changed)

    return routes


def call(request: Request, actor: Actor) -> Call:
    """The command's circumstances."""
    return Call(actor=actor, correlation_id=correlation_id(request), key=read_key(request))
