"""Objections by reply: a mail system hands over what customers answer to a notice."""

from __future__ import annotations

from typing import Literal

import structlog
from fastapi import APIRouter, Depends, Request

from domain.mail_reply import read_reply
from domain.roles import Role
from gateway.auth import Actor, Auth
from gateway.deps import Deps
from gateway.maintenance_commands import record_objection
from runtime.maintenances import MaintenanceRelay, maintenance_stores
from runtime.staff import View

_log = structlog.get_logger(__name__)
_RAW = {"requestBody": {"required": True, "content": {"message/rfc822": {}}}}


class ReplyOut(View):
    """What became of a mail: an objection, or nothing because a program wrote it or because it
    answers no notice of ours to this sender."""

    disposition: Literal["objection", "automatic", "unrelated"]
    maintenance_id: str | None = None
    account_id: str | None = None
    late: bool | None = None


def router(deps: Deps) -> APIRouter:
    """`POST /api/maintenances/replies`."""
    auth = Auth(deps)
    routes = APIRouter(prefix="/api/maintenances", tags=["maintenance"])
    responder = Depends(auth.require(Role.RESPONDER))
    objections = maintenance_stores(deps.engine).objections
    relay = MaintenanceRelay(deps.engine, deps.temporal, deps.now)

    @routes.post("/replies", openapi_extra=_RAW)
    async def reply(request: Request, actor: Actor = responder) -> ReplyOut:
        """Take a whole mail as it was received; the same mail again changes nothing."""
        mail = read_reply(await request.body())
        if mail.automatic:
            return ReplyOut(disposition="automatic")
        answered = await objections.answered(mail.sender, mail.answers)
        if answered is None:
            return ReplyOut(disposition="unrelated")
        objection = await record_objection(
            deps,
            relay,
            answered.maintenance_id,
            account_id=None,
            contact_id=answered.contact_id,
            reason=mail.words,
            source="reply",
            actor=actor.name,
        )
        _log.info("maintenance_objection", maintenance_id=objection.maintenance_id)
        return ReplyOut(
            disposition="objection",
            maintenance_id=objection.maintenance_id,
            account_id=objection.account_id,
            late=objection.late,
        )

    return routes
