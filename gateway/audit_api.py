"""The audit log and the measures, for those who answer for them."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from pydantic import AwareDatetime

from domain.errors import BadInput, FieldError
from domain.roles import Role
from gateway.auth import Auth
from gateway.deps import Deps
from gateway.staff_read import IncidentId
from runtime.staff import (
    DEFAULT_LIMIT,
    MAX_LIMIT,
    AuditEntry,
    Measure,
    Page,
    read_cursor,
    staff_stores,
    write_cursor,
)

YEAR = timedelta(days=365)
LONGEST = timedelta(days=5 * 366)


def router(deps: Deps) -> APIRouter:
    """The routes of audit and analytics."""
    auth = Auth(deps)
    routes = APIRouter(prefix="/api", tags=["audit"])
    staff = staff_stores(deps.engine)

    @routes.get("/audit", dependencies=[Depends(auth.require(Role.COMPLIANCE))])
    async def audit(
        cursor: Annotated[str | None, Query(max_length=500)] = None,
        limit: Annotated[int, Query(ge=1, le=MAX_LIMIT)] = DEFAULT_LIMIT,
        kind: Annotated[str | None, Query(pattern="^[a-z_]{1,40}$")] = None,
        incident: Annotated[str | None, Query(pattern="^[a-z0-9_]{1,40}$")] = None,
    ) -> Page[AuditEntry]:
        """The chain's entries, oldest first."""
        after = read_cursor(cursor, int)[0] if cursor else 0
        rows = await staff.audit.page(after, limit + 1, kind, incident)
        more = len(rows) > limit
        items = rows[:limit]
        return Page(items=items, next=write_cursor(items[-1].seq) if more else None)

    @routes.get("/analytics", dependencies=[Depends(auth.require(Role.VIEWER))])
    async def analytics(
        since: AwareDatetime | None = None, until: AwareDatetime | None = None
    ) -> dict[str, Measure]:
        """Each measure says whether it is recorded, pending or not applicable, and of how many."""
        return await staff.measures.all(since, until)

    @routes.get("/analytics/months", dependencies=[Depends(auth.require(Role.VIEWER))])
    async def months(
        since: AwareDatetime | None = None, until: AwareDatetime | None = None
    ) -> dict[str, dict[str, Measure]]:
        """The same measures by month of opening; the last twelve months unless stated."""
        end = until or deps.now()
        start = since or end - YEAR
        if not timedelta(0) < end - start <= LONGEST:
            allowed = f"a time before `until` and at most {LONGEST.days} days earlier"
            raise BadInput(
                "this period cannot be reported",
                [FieldError(field="since", value=start.isoformat(), allowed=allowed)],
            )
        return await staff.measures.months(start, end)

    @routes.get(
        "/incidents/{incident_id}/measures", dependencies=[Depends(auth.require(Role.VIEWER))]
    )
    async def of_incident(incident_id: IncidentId) -> dict[str, Measure]:
        """The same measures of one incident."""
        await staff.incidents.detail(incident_id)
        return await staff.measures.incident(incident_id)

    return routes
