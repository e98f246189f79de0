"""What people change in drafts, for whoever keeps the templates and the tone guide."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from pydantic import AwareDatetime

from domain.errors import BadInput, FieldError
from domain.roles import Role
from gateway.auth import Auth
from gateway.deps import Deps
from runtime.writing import EditReport, Standing, writing_stores

# The window bounds what one request reads.
USUAL = timedelta(days=90)
LONGEST = timedelta(days=366)


def router(deps: Deps) -> APIRouter:
    """`/api/analytics/edits` and `/api/analytics/trust`."""
    auth = Auth(deps)
    routes = APIRouter(prefix="/api/analytics", tags=["analytics"])
    stores = writing_stores(deps.engine)
    edits = stores.edits

    @routes.get("/edits", dependencies=[Depends(auth.require(Role.VIEWER))])
    async def what_humans_change(
        since: AwareDatetime | None = None,
        until: AwareDatetime | None = None,
        limit: Annotated[int, Query(ge=1, le=100, description="phrases of each kind")] = 20,
    ) -> EditReport:
        """What humans change most: shares approved unedited, phrases removed and added.

        The window is the last 90 days unless stated, at most 366 days; `until` is exclusive.
        Phrases are without facts and names, and come from at least two incidents.
        """
        end = until or deps.now()
        start = since or end - USUAL
        if not timedelta(0) < end - start <= LONGEST:
            allowed = f"a time before `until` and at most {LONGEST.days} days earlier"
            raise BadInput(
                "this window cannot be reported",
                [FieldError(field="since", value=start.isoformat(), allowed=allowed)],
            )
        return await edits.report(start, end, limit)

    @routes.get("/trust", dependencies=[Depends(auth.require(Role.VIEWER))])
    async def trust() -> list[Standing]:
        """Per category: the share of drafts approved as written, and whether a gate may be relaxed.

        Nothing is changed here: a human accepts by writing the proposed lines into the policy.
        """
        return await stores.trust.standings(deps.policy, deps.now())

    return routes
