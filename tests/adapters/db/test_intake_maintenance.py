"""Alerts inside a window of planned work: what it explains folds, everything else does not."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.db.maintenances import MaintenanceStore, NewMaintenance, maintenance_id
from adapters.db.models import AlertRow, IncidentRow
from domain.incident import Stage
from domain.maintenance import Impact
from domain.plan_maintenance import open_maintenance
from domain.policy import Policy
from tests.adapters.db.intake_desk import MINUTE, Desk


@pytest.fixture
def desk(engine: AsyncEngine, policy: Policy, now: datetime) -> Desk:
    return Desk(engine, policy, now)


async def window(desk: Desk, name: str = "work", under_way: bool = True, **changes: Any) -> str:
    """Planned work on payments that began ten minutes ago and lasts two hours."""
    id_, start = maintenance_id(name), desk.now - 10 * MINUTE
    values: dict[str, Any] = {
        "starts_at": start,
        "ends_at": start + timedelta(hours=2),
        "impact": Impact.DEGRADED,
        "components": ("payments",),
        "regions": (),
        "objections_until": None,
        "opened_at": start - timedelta(days=1),
        "dry_run": False,
    }
    new = NewMaintenance(
        state=open_maintenance(id_, **(values | changes)),
        title="Faster storage",
        description="",
        advice="",
        by="ada",
        policy_hash=desk.policy.hash,
        correlation_id="corr",
        request=name,
    )
    await MaintenanceStore(desk.engine).create(new, desk.now)
    if under_way:
        await desk.change(id_, stage=Stage.IN_PROGRESS.value)
    return id_


async def test_what_the_work_explains_folds_into_it(desk: Desk) -> None:
    work = await window(desk)
    answer = await desk.take(severity="P3")
    assert (answer.disposition, answer.incident_id) == ("folded", work)
    assert await desk.how_many(IncidentRow) == 1, "no incident was opened"
    again = await desk.take(severity="P3")
    assert again.incident_id == work
    over = await desk.take(status="resolved")
    assert (over.disposition, over.incident_id) == ("resolved", work)


@pytest.mark.parametrize(
    ("impact", "severity", "folds"),
    [
        ("unavailable", "P1", True),
        ("degraded", "P3", True),
        ("degraded", "P2", False),
        ("degraded", "P1", False),
        ("none", "P4", True),
        ("none", "P3", False),
    ],
)
async def test_an_alert_worse_than_the_declared_impact_opens_an_incident(
    desk: Desk, impact: str, severity: str, folds: bool
) -> None:
    work = await window(desk, impact=Impact(impact))
    answer = await desk.take(severity=severity)
    assert (answer.incident_id == work) is folds
    assert (answer.disposition == "folded") is folds


async def test_security_is_never_explained(desk: Desk) -> None:
    work = await window(desk, impact=Impact.UNAVAILABLE)
    answer = await desk.take(labels={"category": "security"})
    assert answer.incident_id != work


async def test_another_component_opens_an_incident(desk: Desk) -> None:
    work = await window(desk)
    answer = await desk.take(components=("dashboard",), severity="P3")
    assert answer.incident_id != work
    both = await desk.take("b", components=("payments", "webhooks"), severity="P3")
    assert both.incident_id != work


async def test_a_part_of_a_component_belongs_to_it(desk: Desk) -> None:
    work = await window(desk, components=("web-application",))
    assert (await desk.take(components=("dashboard",), severity="P3")).incident_id == work


@pytest.mark.parametrize(("regions", "folds"), [(("eu",), True), (("us",), False), ((), False)])
async def test_another_region_opens_an_incident(
    desk: Desk, regions: tuple[str, ...], folds: bool
) -> None:
    work = await window(desk, regions=("eu",))
    answer = await desk.take(severity="P3", regions=regions)
    assert (answer.incident_id == work) is folds


async def test_before_it_begins_and_after_it_is_over_alerts_open_incidents(desk: Desk) -> None:
    early = await window(desk, "early", under_way=False, starts_at=desk.now + MINUTE)
    assert (await desk.take("a", severity="P3")).incident_id != early
    over = await window(desk, "over", components=("webhooks",))
    await desk.change(over, open=False, stage=Stage.COMPLETED.value)
    assert (await desk.take("b", severity="P3", components=("webhooks",))).incident_id != over


async def test_its_own_start_may_be_seconds_late(desk: Desk) -> None:
    work = await window(desk, under_way=False)
    assert (await desk.take(severity="P3")).incident_id == work


async def test_work_that_overruns_still_explains_its_alerts(desk: Desk) -> None:
    work = await window(desk)
    answer = await desk.take(severity="P3", after=timedelta(hours=4))
    assert answer.incident_id == work


async def test_an_alert_that_gets_worse_leaves_the_window(desk: Desk) -> None:
    work = await window(desk)
    assert (await desk.take("x", severity="P3")).incident_id == work
    assert (await desk.take("y", severity="P3")).incident_id == work
    worse = await desk.take("x", severity="P1")
    assert worse.incident_id != work
    assert worse.disposition in ("started", "suspected")
    async with desk.engine.connect() as conn:
        rows = await conn.execute(select(AlertRow.fingerprint, AlertRow.incident_id))
        assert {tuple(row) for row in rows} == {
            ("generic:x", worse.incident_id),
            ("generic:y", work),
        }


async def test_an_alert_of_an_open_incident_stays_with_it(desk: Desk) -> None:
    """Planned work never takes over what customers are being told of already."""
    before = await desk.take(severity="P3")
    await window(desk)
    again = await desk.take(severity="P3", after=MINUTE)
    assert again.incident_id == before.incident_id


async def test_a_humans_report_is_never_folded(desk: Desk) -> None:
    work = await window(desk, impact=Impact.UNAVAILABLE)
    report = await desk.human("k", components=("payments",))
    assert report.incident_id != work


async def test_a_rehearsal_swallows_no_real_alert(desk: Desk) -> None:
    work = await window(desk, dry_run=True)
    assert (await desk.take(severity="P3")).incident_id != work


async def test_alerts_after_its_end_open_an_incident_of_their_own(desk: Desk) -> None:
    work = await window(desk)
    await desk.take(severity="P3")
    async with desk.engine.begin() as conn:
        await conn.execute(update(AlertRow).values(open=False))
    await desk.change(work, open=False, stage=Stage.COMPLETED.value)
    later = await desk.take(severity="P3", after=5 * MINUTE)
    assert later.incident_id != work
