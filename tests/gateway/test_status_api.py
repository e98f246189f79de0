"""The JSON of the status page has the public Statuspage v2 shapes and says what the page says."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Literal

import pytest
from pydantic import AwareDatetime, BaseModel, ConfigDict
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.policy import Policy
from tests.gateway.public_site import HOSTILE, URL, Site

MINUTE = timedelta(minutes=1)
State = Literal["operational", "degraded_performance", "partial_outage", "major_outage"]
Standing = Literal["investigating", "identified", "monitoring", "resolved", "postmortem"]


class Shape(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Page(Shape):
    id: str
    name: str
    url: str
    time_zone: str
    updated_at: AwareDatetime


class Component(Shape):
    id: str
    name: str
    status: State
    created_at: AwareDatetime
    updated_at: AwareDatetime
    position: int
    description: str | None
    showcase: bool
    start_date: str | None
    group_id: str | None
    page_id: str
    group: bool
    only_show_if_degraded: bool
    components: list[str] | None = None


class Affected(Shape):
    code: str
    name: str
    old_status: State
    new_status: State


class Update(Shape):
    id: str
    status: Standing
    body: str
    incident_id: str
    created_at: AwareDatetime
    updated_at: AwareDatetime
    display_at: AwareDatetime
    affected_components: list[Affected]
    deliver_notifications: bool
    custom_tweet: None
    tweet_id: None


class Incident(Shape):
    id: str
    name: str
    status: Standing
    created_at: AwareDatetime
    updated_at: AwareDatetime
    monitoring_at: AwareDatetime | None
    resolved_at: AwareDatetime | None
    impact: Literal["none", "minor", "major", "critical"]
    shortlink: str
    started_at: AwareDatetime
    page_id: str
    incident_updates: list[Update]
    components: list[Component]
    reminder_intervals: None


class Status(Shape):
    indicator: Literal["none", "minor", "major", "critical"]
    description: str


class Document(Shape):
    page: Page
    status: Status | None = None
    components: list[Component] | None = None
    incidents: list[Incident] | None = None
    scheduled_maintenances: list[Any] | None = None


PARTS = {
    "summary": {"page", "status", "components", "incidents", "scheduled_maintenances"},
    "status": {"page", "status"},
    "components": {"page", "components"},
    "incidents": {"page", "incidents"},
    "incidents/unresolved": {"page", "incidents"},
    "scheduled-maintenances": {"page", "scheduled_maintenances"},
    "scheduled-maintenances/upcoming": {"page", "scheduled_maintenances"},
    "scheduled-maintenances/active": {"page", "scheduled_maintenances"},
}


@pytest.fixture
def site(engine: AsyncEngine, policy: Policy, now: datetime) -> Site:
    return Site(engine, policy, now)


async def document(site: Site, name: str) -> Document:
    answer = await site.get(f"/api/v2/{name}.json")
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["access-control-allow-origin"] == "*"
    assert set(answer.json()) == PARTS[name]
    return Document.model_validate_json(answer.content)


@pytest.mark.parametrize("name", PARTS)
async def test_every_document_has_its_shape_with_and_without_incidents(
    site: Site, name: str
) -> None:
    await document(site, name)
    await site.incident()
    await site.announce(text=HOSTILE, next_update_at=site.now + 30 * MINUTE)
    await site.announce(text="Over.", moment="resolution", stage="resolved", later=MINUTE)
    await site.incident("inc_b")
    await site.announce("inc_b", severity="P3", later=MINUTE)
    await document(site, name)


@pytest.mark.parametrize(
    ("severity", "indicator", "state"),
    [
        ("P1", "critical", "major_outage"),
        ("P2", "major", "partial_outage"),
        ("P3", "minor", "degraded_performance"),
        ("P4", "none", "operational"),
    ],
)
async def test_severity_decides_indicator_impact_and_component(
    site: Site, severity: str, indicator: str, state: str
) -> None:
    await site.incident()
    await site.announce(severity=severity)
    whole = await document(site, "summary")
    assert whole.status and whole.components and whole.incidents
    assert whole.status.indicator == whole.incidents[0].impact == indicator
    assert {c.id: c.status for c in whole.components}["payments"] == state


async def test_groups_name_their_children_and_hidden_components_are_absent(site: Site) -> None:
    components = (await document(site, "components")).components or []
    found = {c.id: c for c in components}
    assert "database" not in found
    assert found["api"].group and found["api"].components == ["rest-api", "graphql-api", "webhooks"]
    assert found["rest-api"].group_id == "api" and not found["rest-api"].group
    assert found["payments"].group_id is None and found["payments"].components is None
    assert [found[k].position for k in ("rest-api", "graphql-api", "webhooks")] == [1, 2, 3]


async def test_updates_say_what_changed_for_which_component(site: Site) -> None:
    await site.incident()
    await site.announce(severity="P2", components=("payments", "reporting"))
    await site.announce(
        severity="P1", moment="update", components=("payments",), stage="monitoring", later=MINUTE
    )
    await site.announce(moment="resolution", stage="resolved", later=MINUTE)
    whole = ((await document(site, "incidents")).incidents or [])[0]
    changes = [
        {(a.code, a.old_status, a.new_status) for a in u.affected_components}
        for u in reversed(whole.incident_updates)
    ]
    assert changes == [
        {("payments", "operational", "partial_outage"),
         ("reporting", "operational", "partial_outage")},
        {("payments", "partial_outage", "major_outage"),
         ("reporting", "partial_outage", "operational")},
        {("payments", "major_outage", "operational")},
    ]  # fmt: skip
    assert [u.status for u in whole.incident_updates] == ["resolved", "monitoring", "investigating"]
    assert whole.impact == "critical", "once over, the worst that was announced"
    assert whole.resolved_at == whole.updated_at == site.now
    assert whole.monitoring_at == site.now - MINUTE
    assert whole.started_at == site.now - 12 * MINUTE
    assert whole.shortlink == f"{URL}/incidents/inc_a"


@pytest.mark.parametrize("moment", ["resolution", "false_alarm", "correction"])
async def test_an_ended_incident_leaves_unresolved_and_its_state_behind(
    site: Site, moment: str
) -> None:
    await site.incident()
    await site.announce()
    assert [i.id for i in (await document(site, "incidents/unresolved")).incidents or []]
    await site.announce(moment=moment, stage="monitoring", later=MINUTE)
    whole = await document(site, "summary")
    assert whole.incidents == []
    assert {c.status for c in whole.components or []} == {"operational"}
    kept = (await document(site, "incidents")).incidents or []
    assert [(i.id, i.status) for i in kept] == [("inc_a", "resolved")]


async def test_a_published_report_makes_it_a_postmortem(site: Site) -> None:
    await site.incident(open=False, stage="closed", closed_at=site.now)
    await site.announce()
    await site.announce(moment="resolution", stage="resolved", later=MINUTE)
    await site.announce(text="Report.", moment="post_mortem", stage="closed", later=MINUTE)
    whole = ((await document(site, "incidents")).incidents or [])[0]
    assert whole.status == "postmortem"
    assert whole.incident_updates[0].status == "postmortem"
    assert whole.resolved_at == site.now - MINUTE


async def test_text_reaches_programs_as_it_was_written(site: Site) -> None:
    await site.incident()
    await site.announce(text=HOSTILE, subject=None)
    whole = ((await document(site, "incidents")).incidents or [])[0]
    assert whole.incident_updates[0].body == HOSTILE
    assert whole.name == "Problem with Payment processing"
