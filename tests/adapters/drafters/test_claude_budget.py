"""An incident's budget and its alerts' titles in PostgreSQL, as every worker sees them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import datetime

import pytest
from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.db.alert_titles import AlertTitles
from adapters.db.model_drafts import ModelDraftRow, ModelDrafts
from adapters.db.models import IncidentRow, SignalRow
from domain.message import Channel, Finding
from domain.policy import Policy
from tests.adapters.drafters.claude_world import INCIDENT, Desk
from tests.adapters.drafters.fake_claude import FakeClaude, Say, claude_server

MODEL = "claude-sonnet-5-5"
FINDING = Finding(rule="number", where="email/en/text:3", found="14:30", suggestion="leave it out")


@pytest.fixture
def api() -> Iterator[FakeClaude]:
    with claude_server() as fake:
        yield fake


@pytest.fixture
async def budget(engine: AsyncEngine, now: datetime) -> ModelDrafts:
    async with engine.begin() as conn:
        for incident in (INCIDENT, "inc_another"):
            await conn.execute(
                insert(IncidentRow).values(
                    id=incident, title="x", severity="P2", stage="suspected", components=[],
                    category="local_degradation", regions=[], dry_run=False, started_at=now,
                    opened_at=now, last_alert_at=now, policy_hash="x", correlation_id="c",
                    updated_at=now,
                )
            )  # fmt: skip
    return ModelDrafts(engine)


async def rows(engine: AsyncEngine) -> list[ModelDraftRow]:
    async with engine.connect() as conn:
        found = await conn.execute(select(ModelDraftRow.__table__).order_by(ModelDraftRow.request))
        return [ModelDraftRow(**row) for row in found.mappings()]


async def end(budget: ModelDrafts, request: str, unused: int, now: datetime) -> None:
    await budget.record(
        INCIDENT, request, MODEL, outcome="written", attempts=2, unused=unused,
        findings=(FINDING,), now=now,
    )  # fmt: skip


async def test_a_budget_is_the_incidents_and_outlives_the_worker(
    engine: AsyncEngine, budget: ModelDrafts, now: datetime
) -> None:
    assert await budget.reserve(INCIDENT, "draft-1", MODEL, 600, 1000, now)
    # Another worker, or this one after a restart.
    another = ModelDrafts(engine)
    assert not await another.reserve(INCIDENT, "draft-2", MODEL, 600, 1000, now)
    assert await another.reserve("inc_another", "draft-1", MODEL, 600, 1000, now)
    await end(budget, "draft-1", 500, now)
    assert await another.spent(INCIDENT) == 100
    assert await another.reserve(INCIDENT, "draft-2", MODEL, 900, 1000, now)
    assert not await another.reserve(INCIDENT, "draft-3", MODEL, 1, 1000, now)


async def test_what_nobody_gives_back_stays_spent(budget: ModelDrafts, now: datetime) -> None:
    await budget.reserve(INCIDENT, "draft-1", MODEL, 600, 1000, now)
    assert await budget.spent(INCIDENT) == 600


async def test_workers_at_the_same_time_do_not_overdraw(
    engine: AsyncEngine, budget: ModelDrafts, now: datetime
) -> None:
    granted = await asyncio.gather(
        *(budget.reserve(INCIDENT, f"draft-{n}", MODEL, 100, 500, now) for n in range(12))
    )
    assert sum(granted) == 5
    assert await budget.spent(INCIDENT) == 500


async def test_how_a_draft_ended_is_kept_with_its_request(
    engine: AsyncEngine, budget: ModelDrafts, now: datetime
) -> None:
    await budget.reserve(INCIDENT, "draft-1", MODEL, 600, 1000, now)
    await budget.reserve(INCIDENT, "draft-1", MODEL, 300, 1000, now)
    await end(budget, "draft-1", 850, now)
    [row] = await rows(engine)
    assert (row.request, row.model, row.outcome, row.attempts, row.tokens) == (
        "draft-1", MODEL, "written", 2, 50,
    )  # fmt: skip
    assert row.findings == [FINDING.model_dump()]


async def test_a_refused_reservation_is_recorded_too(
    engine: AsyncEngine, budget: ModelDrafts, now: datetime
) -> None:
    await budget.record(
        INCIDENT, "draft-9", MODEL, outcome="budget", attempts=0, unused=0, findings=(), now=now
    )
    [row] = await rows(engine)
    assert (row.outcome, row.tokens, row.attempts) == ("budget", 0, 0)


async def test_the_drafter_spends_it(
    api: FakeClaude, engine: AsyncEngine, budget: ModelDrafts, policy: Policy
) -> None:
    few = (Channel.EMAIL, Channel.SMS)
    first = await Desk(api, policy).write(channels=few, budget=budget)
    assert first.outcome == "written"
    spent = await budget.spent(INCIDENT)
    assert spent == 2 * (900 + 1200 + 2000)
    second = await Desk(api, policy, budget_per_incident=spent + 100).write(
        channels=few, budget=budget
    )
    assert second.outcome == "budget"
    assert len(api.asked) == 2
    assert await budget.spent(INCIDENT) == spent


async def test_a_failing_model_costs_nothing_and_is_written_down(
    api: FakeClaude, engine: AsyncEngine, budget: ModelDrafts, policy: Policy
) -> None:
    api.answer = lambda asked: Say(raw="busy", status=503)
    writing = await Desk(api, policy).write(channels=(Channel.SMS,), budget=budget)
    [row] = await rows(engine)
    assert (writing.outcome, row.outcome, row.tokens) == ("transient", "transient", 0)


async def test_titles_come_from_the_inbox_the_newest_first(
    engine: AsyncEngine, budget: ModelDrafts, now: datetime
) -> None:
    titles = ["Errors", "Errors", "Slow", "A" * 3000, "Down", "Late", "Gone"]
    async with engine.begin() as conn:
        for n, title in enumerate(titles):
            await conn.execute(
                insert(SignalRow).values(
                    id=f"sig_{n}", source="generic", external_id=str(n), dedup_key="k",
                    status="firing", signal={"title": title}, category="local_degradation",
                    severity="P2", severity_stated=False, confirms=True, components=[],
                    regions=[], reasons=[], correlation_id="c", disposition="folded",
                    incident_id=INCIDENT if title != "Gone" else "inc_another", received_at=now,
                )
            )  # fmt: skip
    assert await AlertTitles(engine).of(INCIDENT) == ("Late", "Down", "A" * 1000, "Slow", "Errors")
    assert await AlertTitles(engine).of("inc_nobody") == ()
