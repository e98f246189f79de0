"""The status page as JSON in the shapes of the Statuspage public API v2."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from fastapi import APIRouter, Request, Response

from domain.public_maintenance import IMPACT, MaintenanceStatus
from gateway.maintenance_read import MaintenanceView
from gateway.pages import PUBLIC_FOR_SECONDS, Drawings, cached
from gateway.status_read import (
    NOTHING_YET,
    ComponentView,
    IncidentView,
    PublicDeps,
    StatusReader,
    StatusView,
    UpdateView,
)
from gateway.words import choose_locale, words

Json = dict[str, Any]
CACHE = PUBLIC_FOR_SECONDS.format(2)
# In which parts planned work stands, by where it is; all of it in the whole list.
_KEPT: dict[MaintenanceStatus, tuple[str, ...]] = {
    MaintenanceStatus.SCHEDULED: ("not_over", "upcoming"),
    MaintenanceStatus.IN_PROGRESS: ("not_over", "active"),
    MaintenanceStatus.VERIFYING: ("not_over", "active"),
    MaintenanceStatus.COMPLETED: (),
}
# The document's name and what stands in it beside the page.
DOCUMENTS = {
    "summary": ("components", "unresolved", "not_over", "status"),
    "status": ("status",),
    "components": ("components",),
    "incidents": ("incidents",),
    "incidents/unresolved": ("unresolved",),
    "scheduled-maintenances": ("scheduled_maintenances",),
    "scheduled-maintenances/upcoming": ("upcoming",),
    "scheduled-maintenances/active": ("active",),
}


def router(deps: PublicDeps) -> APIRouter:
    """`GET /api/v2/….json`, readable from any web page."""
    routes = APIRouter(prefix="/api/v2", tags=["status page"])
    reader = StatusReader(deps)

    drawings = Drawings()

    def document(parts: tuple[str, ...]) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            locale = choose_locale(reader.locales, request.query_params, request.headers)
            view = await reader.status(locale)

            def draw() -> str:
                whole: Json = {"page": page_json(view, deps.policy.company.timezone)}
                for part in parts:
                    whole |= part_json(view, part)
                return json.dumps(whole)

            headers = {"Access-Control-Allow-Origin": "*", "Vary": "Accept-Language"}
            drawing = drawings.of((locale, *parts), view, draw)
            return cached(request, drawing, "application/json", CACHE, headers)

        return answer

    for name, parts in DOCUMENTS.items():
        routes.add_api_route(
            f"/{name}.json", document(parts), methods=["GET"], response_model=None,
            name=f"status_page_{name}", summary=f"{name}.json of the Statuspage public API",
        )  # fmt: skip
    return routes


def page_json(view: StatusView, zone: str) -> Json:
    return {
        "id": page_id(view),
        "name": view.company,
        "url": view.url,
        "time_zone": zone,
        "updated_at": stamp(view.updated_at),
    }


def part_json(view: StatusView, part: str) -> Json:
    """One part of a document under the key that Statuspage gives it."""
    flat = flat_components(view)
    match part:
        case "components":
            return {"components": list(flat.values())}
        case "incidents":
            return {"incidents": [incident_json(view, i, flat) for i in view.incidents]}
        case "unresolved":
            return {"incidents": [incident_json(view, i, flat) for i in view.unresolved]}
        case "scheduled_maintenances" | "not_over" | "upcoming" | "active":
            kept = [
                m
                for m in reversed(view.maintenances)
                if part in ("scheduled_maintenances", *_KEPT[m.status])
            ]
            return {"scheduled_maintenances": [maintenance_json(view, m, flat) for m in kept]}
        case _:
            return {
                "status": {
                    "indicator": view.indicator,
                    "description": words(view.locale).indicator[view.indicator],
                }
            }


def page_id(view: StatusView) -> str:
    """The page's host, which is its identity for whoever reads several."""
    return urlsplit(view.url).hostname or "forewarn"


def flat_components(view: StatusView) -> dict[str, Json]:
    """Groups and components by key, in the page's order; positions count within a group."""
    found: dict[str, Json] = {}

    def add(items: tuple[ComponentView, ...], group: str | None) -> None:
        for position, item in enumerate(items, start=1):
            found[item.key] = component_json(view, item, position, group)
            add(item.children, item.key)

    add(view.components, None)
    return found


def component_json(view: StatusView, item: ComponentView, position: int, group: str | None) -> Json:
    whole: Json = {
        "id": item.key,
        "name": item.name,
        "status": item.state.value,
        "created_at": stamp(NOTHING_YET),
        "updated_at": stamp(item.updated_at),
        "position": position,
        "description": None,
        "showcase": False,
        "start_date": None,
        "group_id": group,
        "page_id": page_id(view),
        "group": bool(item.children),
        "only_show_if_degraded": False,
    }
    if item.children:
        whole["components"] = [child.key for child in item.children]
    return whole


def incident_json(view: StatusView, incident: IncidentView, components: dict[str, Json]) -> Json:
    return {
        "id": incident.id,
        "name": incident.title,
        "status": incident.status.value,
        "created_at": stamp(incident.created_at),
        "updated_at": stamp(incident.updated_at),
        "monitoring_at": stamp(incident.monitoring_at),
        "resolved_at": stamp(incident.resolved_at),
        "impact": incident.impact,
        "shortlink": incident.url,
        "started_at": stamp(incident.started_at),
        "page_id": page_id(view),
        "incident_updates": [update_json(incident, update) for update in incident.updates],
        "components": [components[key] for key in incident.components],
        "reminder_intervals": None,
    }


def maintenance_json(view: StatusView, work: MaintenanceView, components: dict[str, Json]) -> Json:
    """Planned work: an incident of Statuspage's with two more times."""
    return {
        "id": work.id,
        "name": work.title,
        "status": work.status.value,
        "created_at": stamp(work.created_at),
        "updated_at": stamp(work.updated_at),
        "monitoring_at": None,
        "resolved_at": stamp(work.over_at),
        "impact": IMPACT,
        "shortlink": work.url,
        "started_at": stamp(work.began_at or work.starts_at),
        "page_id": page_id(view),
        "incident_updates": [
            {
                "id": update.id,
                "status": update.status.value,
                "body": update.body,
                "incident_id": work.id,
                "created_at": stamp(update.posted_at),
                "updated_at": stamp(update.posted_at),
                "display_at": stamp(update.posted_at),
                "affected_components": [
                    {"code": key, "name": name, "old_status": old, "new_status": new}
                    for key, name, old, new in update.affected
                ],
                "deliver_notifications": False,
                "custom_tweet": None,
                "tweet_id": None,
            }
            for update in work.updates
        ],
        "components": [components[key] for key in work.components if key in components],
        "scheduled_for": stamp(work.starts_at),
        "scheduled_until": stamp(work.ends_at),
        "reminder_intervals": None,
    }


def update_json(incident: IncidentView, update: UpdateView) -> Json:
    return {
        "id": update.id,
        "status": update.status.value,
        "body": update.body,
        "incident_id": incident.id,
        "created_at": stamp(update.posted_at),
        "updated_at": stamp(update.posted_at),
        "display_at": stamp(update.posted_at),
        "affected_components": [
            {
                "code": part.key,
                "name": part.name,
                "old_status": part.old.value,
                "new_status": part.new.value,
            }
            for part in update.affected
        ],
        # The audience gets its mail from the ledger; the page itself notifies nobody.
        "deliver_notifications": False,
        "custom_tweet": None,
        "tweet_id": None,
    }


def stamp(at: datetime | None) -> str | None:
    """RFC 3339 in UTC with milliseconds, as Statuspage writes it."""
    if at is None:
        return None
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
