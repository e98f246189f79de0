"""The door for alerts on a real PostgreSQL: once each, to the right incident."""

from __future__ import annotations

from datetime import datetime

import pytest
from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.db.models import AlertRow, IncidentRow, SignalRow
from domain.errors import BadInput
from domain.policy import Policy
from domain.signal import Severity
from tests.adapters.db.intake_desk import MINUTE, Desk


@pytest.fixture
def desk(engine: AsyncEngine, policy: Policy, now: datetime) -> Desk:
    return Desk(engine, policy, now)


async def test_suspected_and_started(desk: Desk) -> None:
    one = await desk.take(title="t" * 900, severity="P1")
    two = await desk.take("b", components=("dashboard",), customer_impact=True)
    assert (one.disposition, two.disposition) == ("suspected", "started")
    row = await desk.incident(one.incident_id)
    assert row.stage == "suspected"
    assert row.severity == "P1"
    assert row.components == ["payments"]
    assert row.correlation_id == "corr-1"
    assert row.opened_by == "monitoring"
    assert len(row.title) == 300
    assert row.policy_hash == desk.policy.hash


async def test_same_delivery_twice_changes_nothing(desk: Desk) -> None:
    first = await desk.take(external_id="x")
    again = await desk.take("other", external_id="x", title="Something else", components=())
    assert again == first.model_copy(update={"disposition": "duplicate"})
    assert await desk.how_many(SignalRow) == await desk.how_many(IncidentRow) == 1
    assert await desk.how_many(AlertRow) == 1
    elsewhere = await desk.take("c", external_id="x", source="pagerduty")
    assert elsewhere.disposition == "folded"


async def test_same_alert_folds_even_much_later_and_elsewhere(desk: Desk) -> None:
    first = await desk.take()
    later = await desk.take(after=MINUTE * 600, components=("dashboard",), regions=("us",))
    assert (later.disposition, later.incident_id) == ("folded", first.incident_id)


async def test_another_alert_on_a_related_component_folds(desk: Desk) -> None:
    first = await desk.take()
    near = await desk.take("b", components=("rest-api",))
    far = await desk.take("c", components=("dashboard",))
    late = await desk.take("d", after=MINUTE * 31)
    assert (near.disposition, near.incident_id) == ("folded", first.incident_id)
    assert far.incident_id != first.incident_id
    assert late.incident_id != first.incident_id


async def test_alerts_keep_the_window_open(desk: Desk) -> None:
    first = await desk.take()
    assert (await desk.take("b", after=MINUTE * 20)).incident_id == first.incident_id
    assert (await desk.take("c", after=MINUTE * 45)).incident_id == first.incident_id


async def test_regions_and_categories_keep_apart(desk: Desk) -> None:
    eu = await desk.take(regions=("eu",))
    us = await desk.take("b", regions=("us",))
    breach = await desk.take("c", labels={"category": "security"})
    assert len({eu.incident_id, us.incident_id, breach.incident_id}) == 3


async def test_resolved_is_told_to_its_incident_or_ignored(desk: Desk) -> None:
    first = await desk.take()
    over = await desk.take(status="resolved", after=MINUTE)
    stray = await desk.take("unknown", status="resolved")
    assert (over.disposition, over.incident_id) == ("resolved", first.incident_id)
    assert (stray.disposition, stray.incident_id) == ("ignored", None)
    batch = await desk.intake.batch_after(str(first.incident_id), 0)
    assert batch is not None
    assert (batch.received, batch.firing) == (2, 0)
    refire = await desk.take(after=MINUTE)
    assert refire.disposition == "folded"
    batch = await desk.intake.batch_after(str(first.incident_id), batch.watermark)
    assert batch is not None
    assert (batch.received, batch.firing) == (1, 1)


async def test_resolved_incident_reopens_for_a_while(desk: Desk) -> None:
    first = await desk.take()
    await desk.change(first.incident_id, stage="resolved", resolved_at=desk.now)
    soon = await desk.take(after=MINUTE * 29)
    assert soon.incident_id == first.incident_id
    late = await desk.take(after=MINUTE * 31)
    assert late.disposition == "suspected"
    assert late.incident_id != first.incident_id
    # The old alert belongs to the new incident from now on, and the old one fires no more.
    assert (await desk.take(after=MINUTE * 32)).incident_id == late.incident_id
    batch = await desk.intake.batch_after(str(first.incident_id), 0)
    assert batch is not None
    assert batch.firing == 0


async def test_another_alert_after_the_end_is_another_incident(desk: Desk) -> None:
    first = await desk.take()
    await desk.change(first.incident_id, stage="resolved", resolved_at=desk.now)
    another = await desk.take("b", after=MINUTE)
    assert another.disposition == "suspected"
    assert another.incident_id != first.incident_id


async def test_closed_incident_takes_nothing(desk: Desk) -> None:
    first = await desk.take()
    await desk.change(first.incident_id, stage="dismissed", open=False)
    again = await desk.take(after=MINUTE)
    stray = await desk.take("zz", status="resolved")
    assert again.disposition == "suspected"
    assert again.incident_id != first.incident_id
    assert stray.disposition == "ignored"


async def test_unknown_components_get_an_incident_each(desk: Desk) -> None:
    one = await desk.take("a", components=("mystery",))
    two = await desk.take("b", components=("mystery",))
    again = await desk.take("a", components=("mystery",))
    assert one.incident_id != two.incident_id
    assert again.incident_id == one.incident_id
    batch = await desk.intake.batch_after(str(one.incident_id), 0)
    assert batch is not None
    assert batch.components == ()
    assert "no component is known by these names" in batch.reasons
    assert "mystery" not in batch.model_dump_json()


async def test_a_batch_says_the_worst_of_what_fires(desk: Desk) -> None:
    start = desk.now - MINUTE * 5
    first = await desk.take("a", severity="P3", regions=("eu",), started_at=start)
    await desk.take("b", severity="P2", regions=("eu", "us"), affected_share=0.2, source="other")
    await desk.take("c", components=("rest-api",), regions=("eu",))
    await desk.take("a", severity="P1", status="resolved", regions=("apac",))
    batch = await desk.intake.batch_after(str(first.incident_id), 0)
    assert batch is not None
    assert batch.received == 4
    assert batch.firing == 2
    assert batch.severity is Severity.P2
    assert batch.severity_stated
    assert batch.confirms
    assert batch.affected_share == 0.2
    assert batch.components == ("payments", "rest-api")
    assert batch.regions == ("eu", "us")
    assert batch.category == "regional_outage"
    assert batch.started_at == start
    assert batch.sources == ("generic", "other")
    assert len(batch.reasons) <= 5
    assert "no rule confirms that customers feel it" not in batch.reasons
    assert await desk.intake.batch_after(str(first.incident_id), batch.watermark) is None


async def test_an_alert_without_region_speaks_of_all(desk: Desk) -> None:
    first = await desk.take("a", regions=("eu",))
    await desk.take("b")
    batch = await desk.intake.batch_after(str(first.incident_id), 0)
    assert batch is not None
    assert batch.regions == ()


async def test_a_start_years_ago_is_not_believed(desk: Desk) -> None:
    taken = await desk.take(started_at="2021-06-04T13:35:29Z")
    assert (await desk.incident(taken.incident_id)).started_at == desk.now
    batch = await desk.intake.batch_after(str(taken.incident_id), 0)
    assert batch is not None
    assert batch.started_at == desk.now


async def test_human_start(desk: Desk) -> None:
    first = await desk.human("k1", components=("payments",), customer_impact=True, severity="P1")
    again = await desk.human("k1", components=("dashboard",))
    folded = await desk.human("k2", components=("payments",))
    separate = await desk.human("k3", components=("payments",), separate=True)
    assert first.disposition == "started"
    assert (again.disposition, again.incident_id) == ("duplicate", first.incident_id)
    assert (folded.disposition, folded.incident_id) == ("folded", first.incident_id)
    assert separate.incident_id != first.incident_id
    assert (await desk.incident(first.incident_id)).opened_by == "dana"
    # An alert never lands in what was opened apart on purpose, even when it is the newer one.
    assert (await desk.take("x", after=MINUTE)).incident_id == first.incident_id


async def test_human_names_are_checked(desk: Desk) -> None:
    with pytest.raises(BadInput) as caught:
        await desk.human("k", components=("payments", "paymnets"), regions=("mars",))
    assert [e.field for e in caught.value.errors] == ["components.1", "regions.0"]
    assert "payments" in caught.value.errors[0].allowed
    assert await desk.how_many(SignalRow) == 0


async def test_telling_marks_and_a_failure_does_not(desk: Desk) -> None:
    first = await desk.take()
    incident_id = str(first.incident_id)
    assert await desk.intake.unrelayed() == [incident_id]
    with pytest.raises(ConnectionError):
        async with desk.intake.telling(incident_id, desk.now):
            raise ConnectionError
    assert await desk.intake.unrelayed() == [incident_id]
    async with desk.intake.telling(incident_id, desk.now) as untold:
        assert untold is not None
        assert untold.batch.received == 1
        async with desk.intake.telling(incident_id, desk.now) as other:
            assert other is None, "another gateway told it at the same time"
    assert await desk.intake.unrelayed() == []
    async with desk.intake.telling(incident_id, desk.now) as nothing:
        assert nothing is None


async def test_a_late_commit_is_not_skipped_by_the_watermark(desk: Desk) -> None:
    """A row numbered before the watermark may be committed after it was reached."""
    first = await desk.take()
    await desk.take("b")
    incident_id = str(first.incident_id)
    async with desk.intake.telling(incident_id, desk.now) as untold:
        assert untold is not None
        reached = untold.batch.watermark
    late = await desk.take("c", severity="P1")
    async with desk.engine.begin() as conn:
        await conn.execute(
            update(SignalRow).where(SignalRow.id == late.signal_id).values(seq=reached - 1000)
        )
    async with desk.intake.telling(incident_id, desk.now) as more:
        assert more is not None
        assert more.batch.watermark > reached
        assert more.batch.received == 1
        assert more.batch.severity is Severity.P1


async def test_release_finds_alerts_another_home(desk: Desk) -> None:
    first = await desk.take()
    incident_id = str(first.incident_id)
    async with desk.intake.telling(incident_id, desk.now):
        pass
    await desk.take(after=MINUTE)
    await desk.take("b", after=MINUTE)
    await desk.take("gone", after=MINUTE)
    await desk.take("gone", after=MINUTE, status="resolved")
    (home,) = await desk.intake.release(incident_id, desk.policy, now=desk.now + MINUTE * 2)
    assert home != incident_id
    assert (await desk.incident(incident_id)).open is False
    assert await desk.intake.unrelayed() == [home]
    batch = await desk.intake.batch_after(home, 0)
    assert batch is not None
    assert (batch.received, batch.firing) == (4, 2)
