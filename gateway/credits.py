"""SLA credits for approvers: what is proposed with its working, and the decision on it."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Request
from pydantic import Field

from domain.errors import BadInput, FieldError
from domain.incident import OVER
from domain.roles import Role
from gateway.auth import Actor, Auth
from gateway.commands import Call
from gateway.deps import Deps
from gateway.idempotency import idempotent_route
from gateway.staff_commands import call
from gateway.staff_read import Cursor, IncidentId, Limit
from gateway.staff_shapes import Body, Key, Reason
from gateway.staff_updates import command
from runtime.staff import DEFAULT_LIMIT, View, staff_stores
from runtime.writing import CreditTotals, CreditView, writing_stores
from workflows.messages import CommandResult, CreditsApprovedInput

Amount = Annotated[Decimal, Field(ge=0, max_digits=14, decimal_places=2)]


class CreditBody(Body):
    """`total` is the sum that the approver saw; `accounts` names some, none means all."""

    decision: Literal["approve", "reject"]
    total: Amount | None = None
    accounts: Annotated[tuple[Key, ...], Field(min_length=1, max_length=1000)] | None = None
    reason: Reason = ""


class AmountBody(Body):
    account_id: Key
    amount: Amount


class CreditsOut(View):
    """Sums by state, and a page of accounts with the working of each."""

    totals: tuple[CreditTotals, ...]
    items: tuple[CreditView, ...]
    next: str | None = None


class CreditAnswer(View):
    """What was decided, and the accounts it is about."""

    incident_id: str
    decision: str
    accounts: int
    total: Decimal | None = None
    currency: str | None = None


class Credits:
    """Reads and decisions, for the API and the console alike."""

    def __init__(self, deps: Deps) -> None:
        self._deps = deps
        self._staff = staff_stores(deps.engine)
        self._store = writing_stores(deps.engine).credits

    async def read(self, incident_id: str, cursor: str | None, limit: int) -> CreditsOut:
        """What stands for an incident; raises NotFound."""
        await self._staff.incidents.detail(incident_id)
        page = await self._store.page(incident_id, cursor, limit)
        totals = await self._store.totals(incident_id)
        return CreditsOut(totals=totals, items=page.items, next=page.next)

    async def decide(self, call: Call, incident_id: str, body: CreditBody) -> CreditAnswer:
        """Approve exactly the sum that was shown, or turn it down; messages may then state it."""
        call.actor.need(Role.APPROVER)
        incident = await self._staff.incidents.detail(incident_id)
        by, now = call.actor.name, self._deps.now()
        if body.decision == "reject":
            count = await self._store.reject(incident_id, body.accounts, body.reason, by, now)
            return CreditAnswer(incident_id=incident_id, decision="reject", accounts=count)
        if body.total is None:
            raise BadInput(
                "an approval names the sum it is for",
                [FieldError(field="total", allowed="the total of what is approved")],
            )
        done = await self._store.approve(incident_id, body.total, body.accounts, by, now)
        if incident.stage not in OVER:
            argument = CreditsApprovedInput(
                by=by,
                accounts=done.accounts,
                total=f"{done.total} {done.currency}",
                percents=done.percents,
            )
            await command(
                self._deps, incident_id, "credits_approved", argument, CommandResult, call.request
            )
        return CreditAnswer(
            incident_id=incident_id,
            decision="approve",
            accounts=done.accounts,
            total=done.total,
            currency=done.currency,
        )

    async def amount(self, call: Call, incident_id: str, body: AmountBody) -> CreditAnswer:
        """Name the amount of one account's proposal."""
        call.actor.need(Role.APPROVER)
        await self._staff.incidents.detail(incident_id)
        await self._store.set_amount(
            incident_id, body.account_id, body.amount, call.actor.name, self._deps.now()
        )
        return CreditAnswer(
            incident_id=incident_id, decision="amount", accounts=1, total=body.amount
        )


def router(deps: Deps) -> APIRouter:
    """The credits of incidents."""
    auth = Auth(deps)
    routes = APIRouter(prefix="/api", tags=["staff"], route_class=idempotent_route(deps, auth))
    credits = Credits(deps)
    viewer = Depends(auth.require(Role.VIEWER))
    approver = Depends(auth.require(Role.APPROVER))

    @routes.get("/incidents/{incident_id}/credits", dependencies=[viewer])
    async def read(
        incident_id: IncidentId,
        cursor: Cursor = None,
        limit: Limit = DEFAULT_LIMIT,
    ) -> CreditsOut:
        """What accounts are owed for an incident, with the working."""
        return await credits.read(incident_id, cursor, limit)

    @routes.post("/incidents/{incident_id}/credits/decision")
    async def decide(
        request: Request, incident_id: IncidentId, body: CreditBody, actor: Actor = approver
    ) -> CreditAnswer:
        """Approve or reject what is proposed."""
        return await credits.decide(call(request, actor), incident_id, body)

    @routes.post("/incidents/{incident_id}/credits/amount")
    async def amount(
        request: Request, incident_id: IncidentId, body: AmountBody, actor: Actor = approver
    ) -> CreditAnswer:
        """Name an amount, where the fee is not known or a person knows better."""
        return await credits.amount(call(request, actor), incident_id, body)

    return routes
