"""One incident turns out to be two: nobody hears a second start, everybody hears an end."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.client import WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError

from domain.policy import Policy
from domain.signal import SignalStatus
from tests.scenarios.town import gaps, links, mails, proven, town, until_heard, until_settled
from tests.workflows.world import World
from workflows.messages import CommandResult, MergeInput, ResolveInput, SplitInput

NEW = "inc_splitsplitsp"
MINUTE = timedelta(minutes=1)
USERS = {"pam": ("payments",), "rita": ("reporting",), "bo": ("payments", "reporting")}


async def payments_and_reporting(world: World) -> str:
    """An announced incident on both, each with its own alert."""
    incident = await world.signal(dedup_key="pay", components=("payments",))
    assert incident is not None
    assert await world.signal(dedup_key="rep", components=("reporting",)) == incident
    await world.pending(incident, "initial")

    async def both() -> bool:
        return len((await world.status(incident)).components) == 2

    await world.until("both components", both)
    await world.approve(incident, "initial")
    for name in USERS:
        await until_heard(world, name, "initial")
    await until_settled(world)
    return incident


async def split(world: World, incident: str, *components: str) -> CommandResult:
    result: CommandResult = await world.handle(incident).execute_update(
        "split", SplitInput(by="ada", id=NEW, components=components), result_type=CommandResult
    )
    world.incidents[NEW] = None
    return result


async def test_those_who_use_only_what_was_split_off_go_along_with_it(
    engine: AsyncEngine, policy: Policy
) -> None:
    async with town(engine, policy, **USERS) as world:
        incident = await payments_and_reporting(world)
        due = (await world.status(incident)).next_update_due
        await split(world, incident, "reporting")

        new, old = await world.status(NEW), await world.status(incident)
        assert (new.components, old.components) == (("reporting",), ("payments",))
        assert new.next_update_due == old.next_update_due == due
        assert (await links(world, NEW)).split_from == incident
        assert (await links(world, incident)).split_off == (NEW,)
        assert [i.component for i in (await links(world, NEW)).sub_issues] == ["reporting"]

        # Reporting is said to have been told: what comes next is an update, in the same thread.
        await world.approve(NEW, "update")
        await until_heard(world, "rita", "initial", "update")
        assert mails(world, "rita")[1].thread == mails(world, "rita")[0].key

        # Its alert ends it, and nobody but its own people hears of that end.
        assert await world.signal(dedup_key="rep", status=SignalStatus.RESOLVED) == NEW
        await world.until_stage(NEW, "monitoring")
        await world.sleep(11 * MINUTE)
        await world.approve(NEW, "resolution")
        await until_heard(world, "rita", "initial", "update", "resolution")
        await until_heard(world, "bo", "initial", "update", "resolution")
        await until_heard(world, "pam", "initial")

        await world.handle(incident).execute_update("resolve", ResolveInput(by="ada"))
        await world.approve(incident, "resolution")
        await until_heard(world, "pam", "initial", "resolution")
        # Both parts concerned this one, so both ends do.
        await until_heard(world, "bo", "initial", "update", "resolution", "resolution")
        await until_heard(world, "rita", "initial", "update", "resolution")
        await until_settled(world)
        assert (await gaps(world, incident), await gaps(world, NEW)) == (0, 0)
        assert await proven(world) == ()


async def test_the_promise_is_kept_by_both_parts(engine: AsyncEngine, policy: Policy) -> None:
    async with town(engine, policy, **USERS) as world:
        incident = await payments_and_reporting(world)
        await split(world, incident, "reporting")
        await world.pending(NEW, "update")
        await world.sleep(61 * MINUTE)
        await until_heard(world, "pam", "initial", "update")
        await until_heard(world, "rita", "initial", "update")
        for one in (incident, NEW):
            assert "promise_missed" not in await world.timeline(one)


async def test_what_was_split_can_be_put_together_again(
    engine: AsyncEngine, policy: Policy
) -> None:
    async with town(engine, policy, **USERS) as world:
        incident = await payments_and_reporting(world)
        await split(world, incident, "reporting")
        await world.pending(NEW, "update")
        await world.handle(NEW).execute_update("merge_into", MergeInput(by="ada", into=incident))
        await world.handle(incident).execute_update("resolve", ResolveInput(by="ada"))
        await world.approve(incident, "resolution")
        for name in USERS:
            await until_heard(world, name, "initial", "resolution")
        await until_settled(world)
        assert (await gaps(world, incident), await gaps(world, NEW)) == (0, 0)


async def test_a_split_needs_something_on_both_sides(engine: AsyncEngine, policy: Policy) -> None:
    async with town(engine, policy, **USERS) as world:
        incident = await payments_and_reporting(world)
        for components, kind in (
            (("webhooks",), "unknown_component"),
            (("payments", "reporting"), "nothing_left"),
        ):
            with pytest.raises(WorkflowUpdateFailedError) as refused:
                await split(world, incident, *components)
            assert isinstance(refused.value.cause, ApplicationError)
            assert refused.value.cause.type == kind
        assert set((await world.status(incident)).components) == {"payments", "reporting"}
