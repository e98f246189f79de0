"""An alert that belongs to two open incidents: where it goes, and what it says of the other."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.policy import Policy
from tests.adapters.db.intake_desk import MINUTE, Desk


@pytest.fixture
def desk(engine: AsyncEngine, policy: Policy, now: datetime) -> Desk:
    return Desk(engine, policy, now)


async def apart(desk: Desk) -> tuple[str, str]:
    """Two incidents that have nothing to do with each other."""
    payments = await desk.take("p", components=("payments",))
    graphql = await desk.take("g", components=("graphql-api",), after=MINUTE)
    assert payments.incident_id and graphql.incident_id
    assert payments.incident_id != graphql.incident_id
    return payments.incident_id, graphql.incident_id


async def test_it_goes_to_the_older_one_and_names_the_other(desk: Desk) -> None:
    payments, graphql = await apart(desk)
    both = await desk.take("d", components=("database",), after=2 * MINUTE)
    assert (both.disposition, both.incident_id) == ("folded", payments)
    assert both.relates == (graphql,)
    assert "relates" not in both.model_dump()  # no word of it to the monitor
    batch = await desk.intake.batch_after(payments, 0)
    assert batch is not None and batch.relates == (graphql,)
    # The same alert again is no news.
    again = await desk.take("d", components=("database",), after=3 * MINUTE)
    assert (again.incident_id, again.relates) == (payments, ())


async def test_what_customers_know_of_comes_before_what_is_older(desk: Desk) -> None:
    payments, graphql = await apart(desk)
    await desk.change(graphql, stage="investigating")
    both = await desk.take("d", components=("database",), after=2 * MINUTE)
    assert (both.incident_id, both.relates) == (graphql, (payments,))


async def test_what_was_set_apart_stays_apart(desk: Desk) -> None:
    payments, graphql = await apart(desk)
    await desk.change(graphql, separate=True)
    both = await desk.take("d", components=("database",), after=2 * MINUTE)
    assert (both.incident_id, both.relates) == (payments, ())


async def test_neither_does_one_out_of_time_or_in_another_region(desk: Desk) -> None:
    payments = await desk.take("p", components=("payments",), regions=("eu",))
    graphql = await desk.take("g", components=("graphql-api",), regions=("us",))
    both = await desk.take("d", components=("database",), regions=("eu",), after=MINUTE)
    assert (both.incident_id, both.relates) == (payments.incident_id, ())
    late = desk.policy.grouping.window + timedelta(minutes=2)
    later = await desk.take("d2", components=("database",), regions=("us",), after=late)
    assert later.incident_id not in (payments.incident_id, graphql.incident_id)


async def test_without_leave_of_the_policy_they_stay_two(desk: Desk) -> None:
    grouping = desk.policy.grouping.model_copy(update={"merge": False})
    desk.policy = desk.policy.model_copy(update={"grouping": grouping})
    _, graphql = await apart(desk)
    both = await desk.take("d", components=("database",), after=2 * MINUTE)
    # As before: the one that was alerted last.
    assert (both.incident_id, both.relates) == (graphql, ())
