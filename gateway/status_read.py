"""One view of what the public sees, for HTML, JSON and feeds alike: they cannot disagree."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Protocol

import structlog
from pydantic import BaseModel, ConfigDict
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.message import Moment
from domain.policy import Policy
from domain.policy_sections import Component
from domain.public import (
    Announcement,
    ComponentState,
    PublicIncident,
    PublicRecords,
    PublicStatus,
    component_names,
    component_states,
    indicator,
    name_of,
    severity_state,
    visible_components,
)
from domain.public_maintenance import IMPACT, PublicMaintenance, in_maintenance
from gateway.maintenance_read import MaintenanceView, maintenance_view
from gateway.words import Words, page_locales, words
from runtime.public import public_maintenances, public_records

log = structlog.get_logger()

RECENT = 50
STAYS_AFTER_END = timedelta(hours=24)
# Under load every reader shares one look at the database per second.
FRESH_SECONDS = 1.0
# When the database is away, an old page is worth more than an error page, for a while.
STALE_SECONDS = 300.0
NOTHING_YET = datetime(1970, 1, 1, tzinfo=UTC)


class PublicDeps(Protocol):
    """What the public routers need of the gateway's dependencies."""

    @property
    def engine(self) -> AsyncEngine: ...
    @property
    def policy(self) -> Policy: ...
    @property
    def public_url(self) -> str: ...
    @property
    def now(self) -> Callable[[], datetime]: ...


class View(BaseModel):
    model_config = ConfigDict(frozen=True)


class Affected(View):
    """What an update did to a component."""

    key: str
    name: str
    old: ComponentState
    new: ComponentState


class UpdateView(View):
    id: str
    status: PublicStatus
    title: str
    body: str
    posted_at: datetime
    next_update_at: datetime | None
    affected: tuple[Affected, ...]


class IncidentView(View):
    """An incident in one language; `updates` are newest first and hold the report too.

    `next_update_at` is what was last promised, None once it is over. `continued_in` is set once
    another incident speaks for this one.
    """

    id: str
    url: str
    continued_in: str | None
    title: str
    status: PublicStatus
    impact: str
    ended: bool
    started_at: datetime
    created_at: datetime
    updated_at: datetime
    monitoring_at: datetime | None
    resolved_at: datetime | None
    next_update_at: datetime | None
    components: dict[str, str]
    updates: tuple[UpdateView, ...]
    report: UpdateView | None


class ComponentView(View):
    """A visible component with the worst of its own and its children's states."""

    key: str
    name: str
    state: ComponentState
    updated_at: datetime
    children: tuple[ComponentView, ...] = ()


class StatusView(View):
    """The whole page in one language. `incidents` are the last ones, open or over."""

    locale: str
    company: str
    url: str
    updated_at: datetime
    indicator: str
    components: tuple[ComponentView, ...]
    unresolved: tuple[IncidentView, ...]
    just_resolved: tuple[IncidentView, ...]
    incidents: tuple[IncidentView, ...]
    maintenances: tuple[MaintenanceView, ...] = ()

    @property
    def planned(self) -> tuple[MaintenanceView, ...]:
        """Planned work that is not over, the next first."""
        return tuple(m for m in self.maintenances if not m.over)


class StatusReader:
    """Reads the public records at most once a second and renders them into views."""

    def __init__(self, deps: PublicDeps, records: PublicRecords | None = None) -> None:
        self._deps = deps
        self._viewed = deps.policy
        self.url = deps.public_url.rstrip("/")
        self.records = records or public_records(deps.engine)
        self.works = public_maintenances(deps.engine)
        self._now = deps.now
        self._lock = asyncio.Lock()
        self._read_at: float | None = None
        self._fresh_until = 0.0
        self._news = 0
        self._current: tuple[PublicIncident, ...] = ()
        self._recent: tuple[PublicIncident, ...] = ()
        self._planned: tuple[PublicMaintenance, ...] = ()
        self._views: dict[str, StatusView] = {}
        self._incidents: dict[tuple[str, str], IncidentView] = {}

    @property
    def policy(self) -> Policy:
        """The policy in force."""
        return self._deps.policy

    @property
    def locales(self) -> tuple[str, ...]:
        """The languages offered."""
        return page_locales(self.policy)

    async def current(self) -> tuple[PublicIncident, ...]:
        """Open incidents and those that ended within a day."""
        await self._refresh()
        return self._current

    async def planned(self) -> tuple[PublicMaintenance, ...]:
        """Planned work, the latest fifty, whether over or not."""
        await self._refresh()
        return self._planned

    async def maintenance(self, id_: str, locale: str) -> MaintenanceView | None:
        """One public maintenance, however old; the same object for as long as nothing changed."""
        view = await self.status(locale)
        for known in view.maintenances:
            if known.id == id_:
                return known
        found = await self.works.one(id_)
        return maintenance_view(found, locale, self.policy, self.url) if found else None

    async def status(self, locale: str) -> StatusView:
        """The whole page in one language; the same object for as long as nothing changed."""
        await self._refresh()
        if locale not in self._views:
            self._views[locale] = self._status(locale)
        return self._views[locale]

    async def incident(self, incident_id: str, locale: str) -> IncidentView | None:
        """One public incident, however old; the same object for as long as nothing changed."""
        await self._refresh()
        key = incident_id, locale
        if key not in self._incidents:
            kept = {i.id: i for i in (*self._recent, *self._current)}
            if incident_id not in kept:
                found = await self.records.incident(incident_id)
                return self.view(found, locale) if found else None
            self._incidents[key] = self.view(kept[incident_id], locale)
        return self._incidents[key]

    async def history(
        self, locale: str, limit: int, cursor: str | None
    ) -> tuple[tuple[IncidentView, ...], str | None]:
        """Incidents that are over, newest first, and the cursor of the next page."""
        page = await self.records.page(limit, cursor)
        return tuple(self.view(i, locale) for i in page.incidents if i.ended), page.next

    def forget(self) -> None:
        """Look at the database again on the next call: something changed."""
        self._news += 1
        self._fresh_until = 0.0

    async def _refresh(self) -> None:
        if self._viewed is not self.policy:
            # Names, components and their states are the policy's.
            self._viewed = self.policy
            self._views, self._incidents = {}, {}
        if time.monotonic() < self._fresh_until:
            return
        async with self._lock:
            if time.monotonic() < self._fresh_until:
                return
            age = None if self._read_at is None else time.monotonic() - self._read_at
            news = self._news
            try:
                current = await self.records.current(self._now() - STAYS_AFTER_END)
                recent = (await self.records.page(RECENT)).incidents
                planned = await self.works.latest()
            except SQLAlchemyError as error:
                if age is None or age > STALE_SECONDS:
                    raise
                log.warning("status_page_stale", age=round(age), error=type(error).__name__)
                return
            if (current, recent, planned) != (self._current, self._recent, self._planned):
                self._current, self._recent, self._planned = current, recent, planned
                self._views, self._incidents = {}, {}
            self._read_at = time.monotonic()
            # What changed while it was read may not be in it.
            self._fresh_until = self._read_at + FRESH_SECONDS if news == self._news else 0.0

    def _status(self, locale: str) -> StatusView:
        worked_on = in_maintenance(self._planned)
        states = component_states(self.policy, self._current, worked_on)
        worst = indicator(self.policy, self._current)
        if worst == "none" and any(work.under_way for work in self._planned):
            worst = IMPACT
        planned = tuple(
            maintenance_view(work, locale, self.policy, self.url) for work in self._planned
        )
        seen = {i.id: self.view(i, locale) for i in (*self._current, *self._recent)}
        current = [seen[i.id] for i in self._current]
        touched: dict[str, datetime] = {}
        for incident in seen.values():
            for update in incident.updates:
                for part in update.affected:
                    touched[part.key] = max(
                        touched.get(part.key, update.posted_at), update.posted_at
                    )

        def component(item: Component) -> ComponentView:
            children = tuple(component(child) for child in item.children if child.visible)
            return ComponentView(
                key=item.key,
                name=name_of(item, locale, self.policy.locales[0]),
                state=states[item.key],
                updated_at=max(
                    (touched.get(item.key, NOTHING_YET), *(c.updated_at for c in children))
                ),
                children=children,
            )

        return StatusView(
            locale=locale,
            company=self.policy.company.name,
            url=self.url,
            updated_at=max(
                (*(i.updated_at for i in seen.values()), *(m.updated_at for m in planned)),
                default=NOTHING_YET,
            ),
            indicator=worst,
            components=tuple(component(c) for c in self.policy.components if c.visible),
            unresolved=tuple(i for i in current if not i.ended),
            just_resolved=tuple(i for i in current if i.ended),
            incidents=tuple(seen[i.id] for i in self._recent),
            maintenances=planned,
        )

    def view(self, incident: PublicIncident, locale: str) -> IncidentView:
        """An incident's rows in one language."""
        fallback = self.policy.locales[0]
        names = component_names(self.policy, incident.components, locale, fallback)
        updates = self._updates(incident, locale)
        report = incident.report
        latest = incident.latest
        return IncidentView(
            id=incident.id,
            url=f"{self.url}/incidents/{incident.id}",
            continued_in=incident.continued_in if incident.ended else None,
            title=incident.updates[0].text(locale, fallback).title
            or default_title(words(locale), list(names.values())),
            status=incident.status,
            impact=self.policy.severities[incident.severity].statuspage_impact,
            ended=incident.ended,
            started_at=incident.started_at,
            created_at=incident.created_at,
            updated_at=incident.updated_at,
            monitoring_at=incident.monitoring_at,
            resolved_at=incident.ended_at,
            next_update_at=None if incident.ended else latest.next_update_at,
            components=names,
            updates=tuple(reversed(updates)),
            report=next((u for u in updates if report and u.id == update_id(report)), None),
        )

    def _updates(self, incident: PublicIncident, locale: str) -> list[UpdateView]:
        views: list[UpdateView] = []
        before: dict[str, ComponentState] = {}
        for update in incident.updates:
            after = self._after(update, before)
            text = update.text(locale, self.policy.locales[0])
            names = component_names(self.policy, (*before, *after), locale, self.policy.locales[0])
            views.append(
                UpdateView(
                    id=update_id(update),
                    status=update.status,
                    title=text.title,
                    body=text.body,
                    posted_at=update.posted_at,
                    next_update_at=update.next_update_at,
                    affected=tuple(
                        Affected(
                            key=key,
                            name=name,
                            old=before.get(key, ComponentState.OPERATIONAL),
                            new=after.get(key, ComponentState.OPERATIONAL),
                        )
                        for key, name in names.items()
                    ),
                )
            )
            before = after
        return views

    def _after(
        self, update: Announcement, before: dict[str, ComponentState]
    ) -> dict[str, ComponentState]:
        if update.moment is Moment.POST_MORTEM:
            return before
        if update.ends:
            return {}
        state = severity_state(self.policy, update.severity)
        return dict.fromkeys(visible_components(self.policy, update.components), state)


def update_id(update: Announcement) -> str:
    """Stable across restarts and languages."""
    return f"upd_{update.broadcast_id}"


def default_title(catalog: Words, names: list[str]) -> str:
    """What an incident is called whose channel sent no subject."""
    if not names:
        return catalog.titles["incident"]
    return catalog.titles["incident_on"].format(components=", ".join(names))
