"""The staff API's reading side: incidents, their story, drafts, audience and deliveries."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query

from domain.card import BlastRadius
from domain.errors import NotFound
from domain.incident import Stage
from domain.message import Channel, Moment
from domain.roles import Role
from domain.signal import Severity
from gateway.auth import Auth
from gateway.deps import Deps
from gateway.differences import DraftChanges, draft_changes
from gateway.staff_shapes import AudienceOut, DraftOut, IncidentOut, draft_out, incident_out
from runtime.staff import (
    DEFAULT_LIMIT,
    MAX_LIMIT,
    Composer,
    Delivery,
    DraftView,
    IncidentView,
    Page,
    Staff,
    TimelineView,
    staff_composer,
    staff_stores,
)

# Bounded and without NUL, so that a strange id is unknown and no error of the database.
IncidentId = Annotated[str, Path(min_length=1, max_length=100, pattern=r"^[\x20-\x7e]+$")]
Cursor = Annotated[str | None, Query(max_length=500)]
Limit = Annotated[int, Query(ge=1, le=MAX_LIMIT)]
Version = Annotated[int, Path(ge=1, le=2**31 - 1)]
AnotherVersion = Annotated[int | None, Query(ge=1, le=2**31 - 1)]
NAMESPACE = "default"


def router(deps: Deps, auth: Auth) -> APIRouter:
    """All routes that only read; any role may."""
    viewer = Depends(auth.require(Role.VIEWER))
    routes = APIRouter(prefix="/api/incidents", tags=["staff"], dependencies=[viewer])
    staff = staff_stores(deps.engine)
    composer = staff_composer(
        deps.policy, deps.public_url, deps.secret_key.get_secret_value(), deps.now
    )
    deps.follow(composer.adopt)

    def out(view: IncidentView) -> IncidentOut:
        return incident_out(view, deps.temporal_ui, NAMESPACE)

    @routes.get("")
    async def incidents(
        cursor: Cursor = None,
        limit: Limit = DEFAULT_LIMIT,
        stage: Annotated[list[Stage] | None, Query()] = None,
        severity: Annotated[list[Severity] | None, Query()] = None,
        is_open: Annotated[bool | None, Query(alias="open")] = None,
        waiting: Annotated[bool | None, Query(description="has a pending draft")] = None,
        prefix: Annotated[str | None, Query(pattern=r"^[a-z0-9_]{1,40}$")] = None,
    ) -> Page[IncidentOut]:
        """Incidents, newest first."""
        page = await staff.incidents.page(
            cursor=cursor,
            limit=limit,
            stages=stage or (),
            severities=severity or (),
            is_open=is_open,
            waiting=waiting,
            prefix=prefix,
        )
        return Page(items=tuple(out(view) for view in page.items), next=page.next)

    @routes.get("/{incident_id}")
    async def incident(incident_id: IncidentId) -> IncidentOut:
        """One incident."""
        view = await staff.incidents.detail(incident_id)
        asked = await staff.board.asked(incident_id)
        links = await staff.links.of(incident_id)
        return incident_out(view, deps.temporal_ui, NAMESPACE, asked, links)

    @routes.get("/{incident_id}/timeline")
    async def timeline(
        incident_id: IncidentId, cursor: Cursor = None, limit: Limit = DEFAULT_LIMIT
    ) -> Page[TimelineView]:
        """What happened, oldest first."""
        return await staff.incidents.timeline(incident_id, cursor, limit)

    @routes.get("/{incident_id}/drafts")
    async def drafts(
        incident_id: IncidentId,
        cursor: Cursor = None,
        limit: Annotated[int, Query(ge=1, le=MAX_LIMIT, description="versions")] = DEFAULT_LIMIT,
        version: Annotated[int | None, Query(ge=1, le=2**31 - 1)] = None,
        raw: Annotated[bool, Query(description="with placeholders, as `edits` take it")] = False,
    ) -> Page[DraftOut]:
        """Every text of the draft versions, newest version first, as its reader will see it."""
        page = await staff.incidents.drafts(incident_id, cursor, limit, version)
        items = tuple(text for view in page.items for text in previews(composer, view, raw))
        return Page(items=items, next=page.next)

    @routes.get("/{incident_id}/drafts/{version}/changes")
    async def changes(
        incident_id: IncidentId, version: Version, against: AnotherVersion = None
    ) -> DraftChanges:
        """What a version changed in the one it was edited from, or in another, as text diffs."""
        return await read_changes(staff, incident_id, version, against)

    @routes.get("/{incident_id}/audience")
    async def audience(
        incident_id: IncidentId,
        cursor: Cursor = None,
        limit: Limit = DEFAULT_LIMIT,
    ) -> AudienceOut:
        """Who is affected and why, and who was left out."""
        view = await staff.incidents.detail(incident_id)
        if view.audience_id is None:
            return AudienceOut(**view.audience.model_dump(), summary=None, items=())
        summary = await staff.audiences.summary(view.audience_id, deps.policy, deps.now())
        page = await staff.audiences.members_page(view.audience_id, cursor, limit)
        return AudienceOut(
            **view.audience.model_dump(), summary=summary, items=page.items, next=page.next
        )

    @routes.get("/{incident_id}/blast-radius")
    async def blast_radius(incident_id: IncidentId) -> BlastRadius:
        """Whom the pending draft, or else the next update, would reach, and what that touches."""
        view = await staff.incidents.detail(incident_id)
        found = await read_radius(staff, deps, view)
        if found is None:
            raise NotFound("this incident has no audience yet")
        return found

    @routes.get("/{incident_id}/deliveries")
    async def deliveries(
        incident_id: IncidentId,
        cursor: Cursor = None,
        limit: Limit = DEFAULT_LIMIT,
        summary: bool = False,
        channel: Channel | None = None,
        state: Annotated[str | None, Query(pattern="^[a-z]{1,20}$")] = None,
        moment: Moment | None = None,
        broadcast: Annotated[int | None, Query(ge=1, le=2**31 - 1)] = None,
    ) -> Any:
        """The ledger's rows of an incident, or with `summary` their counts."""
        await staff.incidents.detail(incident_id)
        if summary:
            counts = await staff.ledger.incident_summary(incident_id)
            return {name: count.model_dump() for name, count in counts.items()}
        filters = {"channel": channel, "state": state, "moment": moment, "broadcast": broadcast}
        given = {name: str(value) for name, value in filters.items() if value is not None}
        page = await staff.ledger.page(incident_id, cursor, limit, given)
        return Page[Delivery](items=page.items, next=page.next)

    return routes


async def read_changes(
    staff: Staff, incident_id: str, version: int, against: int | None = None
) -> DraftChanges:
    """How a version differs from its base or another; nothing for one that is no edit."""
    after = (await staff.incidents.draft(incident_id, version)).draft
    base = against or after.based_on
    if base is None:
        return DraftChanges(incident_id=incident_id, version=version, against=None, changes=())
    return draft_changes((await staff.incidents.draft(incident_id, base)).draft, after)


async def read_radius(staff: Staff, deps: Deps, view: IncidentView) -> BlastRadius | None:
    """The blast radius as approvers see it; None before there is an audience."""
    if view.audience_id is None:
        return None
    now, routed = deps.now(), deps.policy.channels(Severity(view.severity), Moment.UPDATE)
    if view.pending is not None:
        now = view.pending.asked_at or now
        waiting = (view.pending.model_extra or {}).get("channels")
        routed = tuple(Channel(name) for name in waiting) if waiting else routed
    return await staff.radius.read(view.audience_id, routed, deps.policy, now)


def previews(composer: Composer, view: DraftView, raw: bool = False) -> tuple[DraftOut, ...]:
    """A version's texts as their readers will see them, or as they are kept."""
    return tuple(
        draft_out(view, text if raw else composer.preview(view.draft, text.channel, text.locale))
        for text in view.draft.texts
    )
