"""The communication plan by HTTP: what rules, putting another in force, and running incidents."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import fastapi
import structlog
from fastapi import APIRouter, Depends, Path, Query, Request
from pydantic import BaseModel, ConfigDict, StringConstraints

from domain.policy import Policy
from domain.policy_gaps import gaps
from domain.roles import Role
from gateway.auth import Actor, Auth
from gateway.commands import Call
from gateway.deps import Deps
from gateway.idempotency import idempotent_route, read_key
from gateway.problems import correlation_id
from gateway.staff_read import IncidentId
from gateway.staff_shapes import Body
from gateway.staff_updates import command
from runtime.policies import Applied, InForce, policies_in_force, read_policy
from runtime.staff import staff_stores
from workflows.messages import AdoptPolicyInput, CommandResult

_log = structlog.get_logger(__name__)
Hash = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{16}$")]


class PolicyOut(BaseModel):
    """The policy in force, whole, and those that ruled before it, newest first."""

    model_config = ConfigDict(frozen=True)

    hash: str
    policy: dict[str, Any]
    history: tuple[InForce, ...]


class ApplyBody(Body):
    """A whole policy, as the file has it once what it extends is filled in."""

    policy: dict[str, Any]
    source: Annotated[str, StringConstraints(max_length=200)] = "api"


class AppliedOut(Applied):
    """What was put in force, and what the check would say of it."""

    findings: tuple[str, ...] = ()


class AdoptBody(Body):
    """Which policy an incident shall go on under; without one, that in force."""

    hash: Hash | None = None


class AdoptedOut(BaseModel):
    model_config = ConfigDict(frozen=True)

    incident_id: str
    hash: str
    stage: str
    severity: str


_IN_FORCE = AdoptBody()


def router(deps: Deps) -> APIRouter:
    """`/api/policy…` and `/api/incidents/{id}/policy`."""
    auth = Auth(deps)
    routes = APIRouter(prefix="/api", tags=["policy"], route_class=idempotent_route(deps, auth))
    viewer = Depends(auth.require(Role.VIEWER))
    admin = Depends(auth.require(Role.ADMIN))
    store = policies_in_force(deps.engine)
    audit = staff_stores(deps.engine).audit

    @routes.get("/policy", dependencies=[viewer])
    async def policy(limit: Annotated[int, Query(ge=1, le=1000)] = 100) -> PolicyOut:
        """What rules new incidents."""
        return PolicyOut(
            hash=deps.policy_hash,
            policy=deps.policy.model_dump(mode="json"),
            history=await store.history(limit),
        )

    @routes.get("/policy/{policy_hash}", dependencies=[viewer])
    async def one(policy_hash: Annotated[Hash, Path()]) -> dict[str, Any]:
        """Any policy that ever ruled, by its hash."""
        found = await store.policies.by_hash(policy_hash)
        return {"hash": policy_hash, "policy": found.model_dump(mode="json")}

    @routes.post("/policy")
    async def apply(request: Request, body: ApplyBody, actor: Actor = admin) -> AppliedOut:
        """Check a policy and put it in force for the incidents that begin from now on."""
        # A tenth of a second for a whole policy: nobody else should wait for it.
        given: Policy = await asyncio.to_thread(read_policy, body.policy)
        done = await store.apply(given, actor.name, body.source, deps.now())
        if done.changed:
            deps.adopt(given)
            _log.info("policy_applied", hash=done.hash, correlation_id=correlation_id(request))
        return AppliedOut(**done.model_dump(), findings=tuple(gaps(given)))

    @routes.post("/incidents/{incident_id}/policy")
    async def adopt(
        request: Request,
        incident_id: IncidentId,
        body: Annotated[AdoptBody, fastapi.Body()] = _IN_FORCE,
        actor: Actor = admin,
    ) -> AdoptedOut:
        """Let a running incident go on under the policy in force, or another that ruled."""
        call = Call(actor=actor, correlation_id=correlation_id(request), key=read_key(request))
        # Whoever applied a policy a moment ago at another gateway means that one.
        wanted = body.hash or await store.now() or deps.policy_hash
        await store.policies.by_hash(wanted)
        await staff_stores(deps.engine).incidents.detail(incident_id)
        argument = AdoptPolicyInput(by=actor.name, hash=wanted)
        done = await command(
            deps, incident_id, "adopt_policy", argument, CommandResult, call.request
        )
        facts: dict[str, object] = {"command": "adopt_policy", "policy_hash": wanted}
        await audit.append("command", actor.name, facts, deps.now(), incident_id)
        return AdoptedOut(
            incident_id=incident_id, hash=wanted, stage=done.stage, severity=done.severity
        )

    return routes
