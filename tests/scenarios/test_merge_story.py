"""Two announced incidents turn out to be one: one thread and one all-clear for each person."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.client import WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError

from domain.message import Channel
from domain.policy import Policy
from domain.signal import Severity, SignalStatus
from tests.scenarios.town import gaps, links, mails, proven, town, until_heard, until_settled
from tests.workflows.world import World
from workflows.messages import CommandResult, MergeInput, ResolveInput

MINUTE = timedelta(minutes=1)


async def announced(world: World, key: str, component: str, **more: object) -> str:
    incident = await world.signal(dedup_key=key, components=(component,), **more)
    assert incident is not None
    await world.approve(incident, "initial")
    return incident


async def merge(world: World, one: str, into: str) -> CommandResult:
    result: CommandResult = await world.handle(one).execute_update(
        "merge_into", MergeInput(by="ada", into=into), result_type=CommandResult
    )
    return result


async def test_everybody_who_heard_either_one_hears_one_end_in_the_thread_they_know(
    engine: AsyncEngine, policy: Policy
) -> None:
    users = {"rita": ("reporting",), "walt": ("webhooks",), "bo": ("reporting", "webhooks")}
    async with town(engine, policy, **users) as world:
        reports = await announced(world, "reports", "reporting")
        await until_heard(world, "rita", "initial")
        due_first = (await world.status(reports)).next_update_due
        await world.sleep(5 * MINUTE)
        hooks = await announced(world, "hooks", "webhooks")
        await until_heard(world, "walt", "initial")
        await until_heard(world, "bo", "initial", "initial")  # two incidents so far
        assert reports != hooks

        assert (await merge(world, reports, hooks)).stage == "closed"

        # What was promised first is still promised; the scope is that of both.
        status = await world.status(hooks)
        assert status.next_update_due == due_first
        assert set(status.components) == {"reporting", "webhooks"}
        assert (await links(world, reports)).merged_into == hooks
        assert (await links(world, hooks)).merged == (reports,)

        # The next message goes to all of them, once each, in the thread that each knows.
        await world.approve(hooks, "update")
        await until_heard(world, "rita", "initial", "update")
        await until_heard(world, "walt", "initial", "update")
        await until_heard(world, "bo", "initial", "initial", "update")
        for name in ("rita", "walt"):
            first, second = mails(world, name)
            assert second.thread == first.key

        # Its alert belongs to the incident that goes on, and holds back the end.
        assert await world.signal(dedup_key="hooks", status=SignalStatus.RESOLVED) == hooks
        assert (await world.status(hooks)).stage == "investigating"
        assert await world.signal(dedup_key="reports", status=SignalStatus.RESOLVED) == hooks
        await world.until_stage(hooks, "monitoring")
        await world.sleep(11 * MINUTE)
        await world.approve(hooks, "resolution")
        for name in ("rita", "walt"):
            await until_heard(world, name, "initial", "update", "resolution")
        await until_heard(world, "bo", "initial", "initial", "update", "resolution")
        assert mails(world, "rita")[2].thread == mails(world, "rita")[1].thread
        await until_settled(world)
        assert (await gaps(world, reports), await gaps(world, hooks)) == (0, 0)
        assert await proven(world) == ()


async def test_until_the_end_of_the_other_one_its_listeners_are_open(
    engine: AsyncEngine, policy: Policy
) -> None:
    async with town(engine, policy, rita=("reporting",), walt=("webhooks",)) as world:
        reports = await announced(world, "reports", "reporting")
        hooks = await announced(world, "hooks", "webhooks")
        await until_heard(world, "rita", "initial")
        await until_heard(world, "walt", "initial")
        await until_settled(world)
        await merge(world, reports, hooks)
        # mail, page and banner of both: the page's one reader counts once
        assert await gaps(world, reports) == 0
        assert await gaps(world, hooks) >= 2
        await world.handle(hooks).execute_update("resolve", ResolveInput(by="ada"))
        await world.approve(hooks, "resolution")
        await until_heard(world, "rita", "initial", "resolution")
        await until_heard(world, "walt", "initial", "resolution")
        await until_settled(world)
        assert await gaps(world, hooks) == 0


async def test_an_untold_incident_that_takes_in_a_told_one_tells_no_second_start(
    engine: AsyncEngine, policy: Policy
) -> None:
    async with town(engine, policy, rita=("reporting",), walt=("webhooks",)) as world:
        reports = await announced(world, "reports", "reporting")
        await until_heard(world, "rita", "initial")
        hooks = await world.signal(
            dedup_key="hooks", components=("webhooks",), severity=Severity.P3, customer_impact=None
        )
        assert hooks is not None
        assert (await world.status(hooks)).stage == "suspected"
        await merge(world, reports, hooks)
        status = await world.status(hooks)
        assert (status.stage, status.severity) == ("investigating", "P2")
        await world.approve(hooks, "update")
        await until_heard(world, "rita", "initial", "update")
        await until_heard(world, "walt", "update")


async def test_what_cannot_be_taken_in_goes_on_as_it_was(
    engine: AsyncEngine, policy: Policy
) -> None:
    async with town(engine, policy, rita=("reporting",)) as world:
        reports = await announced(world, "reports", "reporting")
        gone = await world.signal(dedup_key="hooks", components=("webhooks",), customer_impact=None)
        assert gone is not None
        await world.signal(dedup_key="hooks", status=SignalStatus.RESOLVED, customer_impact=None)
        await world.handle(gone).result()
        for other, kind in ((gone, "not_merged"), (reports, "same_incident")):
            with pytest.raises(WorkflowUpdateFailedError) as refused:
                await merge(world, reports, other)
            assert isinstance(refused.value.cause, ApplicationError)
            assert refused.value.cause.type == kind
        assert "merge_failed" in await world.timeline(reports)
        await world.sleep(61 * MINUTE)
        await until_heard(world, "rita", "initial", "update")


async def test_an_alert_that_belongs_to_both_makes_them_one(
    engine: AsyncEngine, policy: Policy
) -> None:
    """GraphQL and payments have nothing to do with each other, until the database speaks."""
    async with town(engine, policy, pam=("payments",), gus=("graphql-api",)) as world:
        payments = await announced(world, "pay", "payments")
        await world.sleep(2 * MINUTE)
        graphql = await announced(world, "graph", "graphql-api")
        assert payments != graphql
        await until_heard(world, "pam", "initial")
        await until_heard(world, "gus", "initial")
        assert await world.signal(dedup_key="db", components=("database",)) == payments
        await world.until_stage(graphql, "closed")
        status = await world.status(payments)
        assert set(status.components) == {"payments", "graphql-api", "database"}
        assert (await links(world, payments)).merged == (graphql,)
        await world.approve(payments, "update")
        await until_heard(world, "pam", "initial", "update")
        await until_heard(world, "gus", "initial", "update")
        assert all("atabase" not in m.text for m in world.senders[Channel.EMAIL].sent)
