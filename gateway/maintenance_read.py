"""Planned work as the public sees it, in one language: for HTML, JSON and feeds alike."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, ConfigDict

from domain.incident import Stage
from domain.maintenance import Impact
from domain.maintenance_facts import page_url
from domain.policy import Policy
from domain.public import Announcement, ComponentState, component_names
from domain.public_maintenance import MaintenanceStatus, PublicMaintenance, status_of
from gateway.words import words


class View(BaseModel):
    model_config = ConfigDict(frozen=True)


class MaintenanceUpdate(View):
    """One message; `affected` are key, name, state before and state after of each component."""

    id: str
    status: MaintenanceStatus
    label: str
    title: str
    body: str
    posted_at: datetime
    affected: tuple[tuple[str, str, str, str], ...]


class MaintenanceView(View):
    """Planned work in one language; `updates` are newest first, times are those that were told."""

    id: str
    url: str
    title: str
    status: MaintenanceStatus
    label: str
    impact: Impact
    impact_text: str
    over: bool
    cancelled: bool
    under_way: bool
    starts_at: datetime
    ends_at: datetime
    began_at: datetime | None
    over_at: datetime | None
    created_at: datetime
    updated_at: datetime
    components: dict[str, str]
    updates: tuple[MaintenanceUpdate, ...]


def maintenance_view(
    work: PublicMaintenance, locale: str, policy: Policy, url: str
) -> MaintenanceView:
    """Planned work in a language."""
    catalog, fallback = words(locale).maintenance, policy.locales[0]
    names = component_names(policy, work.components, locale, fallback)
    title = work.updates[0].text(locale, fallback).title
    return MaintenanceView(
        id=work.id,
        url=page_url(url, work.id),
        title=title or catalog["title"].format(components=", ".join(names.values())),
        status=work.status,
        label=catalog[f"status_{_label(work.latest)}"],
        impact=work.impact,
        impact_text=catalog[f"impact_{work.impact.value}"],
        over=work.over,
        cancelled=work.told_stage is Stage.CANCELLED,
        under_way=work.under_way,
        starts_at=work.starts_at,
        ends_at=work.ends_at,
        began_at=work.began_at if work.under_way or work.over else None,
        over_at=work.over_at,
        created_at=work.created_at,
        updated_at=work.updated_at,
        components=names,
        updates=tuple(reversed(_updates(work, names, locale, fallback))),
    )


def _updates(
    work: PublicMaintenance, names: dict[str, str], locale: str, fallback: str
) -> list[MaintenanceUpdate]:
    catalog, before = words(locale).maintenance, ComponentState.OPERATIONAL
    views = []
    for said in work.updates:
        status, text = status_of(said.stage), said.text(locale, fallback)
        going_on = status is MaintenanceStatus.IN_PROGRESS and work.impact is not Impact.NONE
        after = ComponentState.MAINTENANCE if going_on else ComponentState.OPERATIONAL
        views.append(
            MaintenanceUpdate(
                id=f"upd_{said.broadcast_id}",
                status=status,
                label=catalog[f"status_{_label(said)}"],
                title=text.title,
                body=text.body,
                posted_at=said.posted_at,
                affected=tuple((key, name, before, after) for key, name in names.items()),
            )
        )
        before = after
    return views


def _label(said: Announcement) -> str:
    """Statuspage knows no cancelled work; our own pages say it."""
    return "cancelled" if said.stage is Stage.CANCELLED else status_of(said.stage).value
