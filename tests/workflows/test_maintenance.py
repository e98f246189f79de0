"""Planned work with its real activities, on a clock that is moved."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.client import WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError

from adapters.db.audit_verify import verify_log
from adapters.db.maintenances import MaintenanceStore, NewMaintenance, maintenance_id
from adapters.db.notes import Notes
from adapters.db.policies import PolicyStore
from adapters.db.switches import Switches
from domain.maintenance import Impact, Objected
from domain.message import Channel
from domain.plan_maintenance import open_maintenance
from domain.policy import Policy
from runtime.maintenances import start_run
from tests.workflows.world import World, skipping, storm, world_on
from workflows import names
from workflows.maintenance_messages import (
    ByInput,
    EndInput,
    ExtendInput,
    MaintenanceResult,
    MaintenanceStart,
    RescheduleInput,
)
from workflows.messages import AdoptPolicyInput

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


@pytest.fixture
async def world(engine: AsyncEngine, policy: Policy) -> AsyncIterator[World]:
    spoken = policy.model_copy(update={"locales": ("en", "de")})
    async with skipping() as environment, world_on(environment, engine, spoken) as made:
        yield made


async def scheduled(
    world: World, starts_in: timedelta = 3 * DAY, lasts: timedelta = 2 * HOUR, **changes: Any
) -> str:
    """Planned work whose notice waits for approval."""
    now = await world.now()
    work = maintenance_id(f"test {len(world.incidents)}")
    values: dict[str, Any] = {
        "starts_at": now + starts_in,
        "ends_at": now + starts_in + lasts,
        "impact": Impact.DEGRADED,
        "components": ("payments",),
        "regions": (),
        "objections_until": now + starts_in - DAY,
        "opened_at": now,
        "dry_run": False,
    }
    new = NewMaintenance(
        state=open_maintenance(work, **(values | changes)),
        title="Faster storage",
        description="We move to faster storage.",
        advice="",
        by="ada",
        policy_hash=world.policy.hash,
        correlation_id="test",
        request=work,
    )
    assert await MaintenanceStore(world.engine).create(new, now)
    world.incidents[work] = None
    await world.client.start_workflow(
        names.MAINTENANCE,
        MaintenanceStart(state=new.state, policy_hash=world.policy.hash, by="ada"),
        id=names.incident_workflow_id(work),
        task_queue=names.QUEUE_INCIDENTS,
    )
    await world.pending(work, "maintenance_notice")
    return work


async def announced(world: World, **changes: Any) -> str:
    work = await scheduled(world, **changes)
    await world.approve(work, "maintenance_notice")
    await world.until_sent(Channel.EMAIL, 1)
    await world.until_sent(Channel.STATUS_PAGE, 1)
    return work


async def tell(world: World, work: str, update: str, argument: BaseModel) -> MaintenanceResult:
    result: MaintenanceResult = await world.handle(work).execute_update(
        update, argument, result_type=MaintenanceResult
    )
    return result


async def said(world: World, number: int) -> list[str]:
    """The moments that stand on the status page, once so many do."""
    sent = await world.until_sent(Channel.STATUS_PAGE, number)
    return [m.moment.value.removeprefix("maintenance_") for m in sent]


async def test_the_whole_life_of_a_maintenance(world: World) -> None:
    work = await announced(world)
    assert names.incident_workflow_id(work) == f"maintenance/{work}"
    row = await world.row(work)
    assert (row.stage, row.category, row.open) == ("scheduled", "maintenance", True)
    await world.sleep(2 * DAY)
    assert await said(world, 2) == ["notice", "reminder"]
    await world.sleep(DAY)
    assert await said(world, 4) == ["notice", "reminder", "reminder", "start"]
    row = await world.row(work)
    assert row.stage == "in_progress"
    assert row.next_update_due is not None, "the end is a promise"
    await world.sleep(HOUR)
    await tell(world, work, "complete", EndInput(by="ada"))
    await said(world, 5)
    await world.handle(work).result()
    row = await world.row(work)
    assert (row.stage, row.open) == ("completed", False)
    mails = world.senders[Channel.EMAIL].sent
    told = [
        {m.recipient.contact_id for m in mails if m.moment.value == f"maintenance_{moment}"}
        for moment in ("notice", "done")
    ]
    assert told[0] == told[1] != set()
    assert (
        len({m.thread for m in mails if m.recipient.contact_id == mails[0].recipient.contact_id})
        == 1
    )
    assert (await verify_log(world.engine)).ok


async def test_it_goes_on_past_its_end_and_says_so(world: World) -> None:
    await announced(world, starts_in=2 * HOUR, lasts=HOUR)
    await world.sleep(3 * HOUR)
    assert (await said(world, 4))[-2:] == ["start", "overrun"]
    await world.sleep(HOUR)
    assert (await said(world, 5))[-1] == "overrun"


async def test_an_overrun_with_its_reason_is_approved_and_told(world: World) -> None:
    work = await announced(world, starts_in=2 * HOUR)
    await world.sleep(2 * HOUR)
    await said(world, 3)
    end = (await MaintenanceStore(world.engine).detail(work)).ends_at
    note = await Notes(world.engine).save(work, "Copying takes longer.", "ada", await world.now())
    await tell(world, work, "extend", ExtendInput(by="ada", ends_at=end + HOUR, note_id=note))
    await world.approve(work, "maintenance_overrun")
    assert (await said(world, 4))[-1] == "overrun"
    mails = [m for m in world.senders[Channel.EMAIL].sent if m.moment == "maintenance_overrun"]
    assert mails or await world.until_sent(Channel.EMAIL, 1)
    assert (await world.row(work)).next_update_due == end + HOUR


async def test_cancelling_tells_those_who_were_told(world: World) -> None:
    work = await announced(world)
    await tell(world, work, "cancel", EndInput(by="ada"))
    assert await said(world, 2) == ["notice", "done"]
    await world.handle(work).result()
    assert (await world.row(work)).stage == "cancelled"


async def test_rescheduling_tells_everybody_again(world: World) -> None:
    work = await announced(world)
    start = (await world.now()) + 5 * DAY
    await tell(
        world, work, "reschedule", RescheduleInput(by="ada", starts_at=start, ends_at=start + HOUR)
    )
    await world.approve(work, "maintenance_notice")
    assert await said(world, 2) == ["notice", "notice"]
    view = await MaintenanceStore(world.engine).detail(work)
    assert (view.told_start, view.told_end) == (start, start + HOUR)


async def test_what_is_not_allowed_is_refused_with_its_kind(world: World) -> None:
    work = await announced(world)
    with pytest.raises(WorkflowUpdateFailedError) as refused:
        await tell(world, work, "complete", EndInput(by="ada"))
    assert isinstance(refused.value.cause, ApplicationError)
    assert refused.value.cause.type == "not_started"
    await tell(world, work, "begin", ByInput(by="ada"))
    assert (await said(world, 2))[-1] == "start"


async def test_an_objection_stands_on_the_timeline(world: World) -> None:
    work = await announced(world)
    objection = Objected(account_id="acc_1", late=False, assignee="casey")
    await world.handle(work).signal("objected", objection)

    async def noted() -> bool:
        return "objection" in await world.timeline(work)

    await world.until("the objection", noted)


async def test_the_kill_switch_holds_it_back_and_nothing_stale_follows(world: World) -> None:
    work = await announced(world)
    switches = Switches(world.engine)
    await switches.pause("ada", await world.now())
    await tell(world, work, "begin", ByInput(by="ada"))

    async def begun() -> bool:
        return "maintenance_begun" in await world.timeline(work)

    await world.until("the start under way", begun)
    await tell(world, work, "complete", EndInput(by="ada"))

    async def over() -> bool:
        return bool((await world.row(work)).stage == "completed")

    await world.until("its end", over)
    assert len(world.senders[Channel.STATUS_PAGE].sent) == 1, "nothing leaves"
    await switches.resume("ada", await world.now())
    await world.sleep(MINUTE)
    assert await said(world, 2) == ["notice", "done"], "what is over is not said to begin"


async def test_a_dry_run_does_everything_but_send(world: World) -> None:
    work = await scheduled(world, dry_run=True)
    await world.approve(work, "maintenance_notice")
    await world.sleep(3 * DAY + 10 * MINUTE)
    assert all(not sender.sent for sender in world.senders.values())
    states = await world.states(work)
    assert {state for _, _, state in states} == {"suppressed"}
    await tell(world, work, "complete", EndInput(by="ada"))
    await world.handle(work).result()


async def test_a_lost_run_goes_on_from_postgresql(world: World) -> None:
    work = await announced(world, starts_in=2 * HOUR)
    await world.handle(work).terminate()
    store = MaintenanceStore(world.engine)
    await start_run(world.client, store, work, restored=True)
    await tell(world, work, "begin", ByInput(by="ada"))
    assert (await said(world, 2))[-1] == "start"
    assert "resumed" in await world.timeline(work)


async def test_a_lost_run_that_had_not_begun_announces_it_once(world: World) -> None:
    work = await scheduled(world)
    await world.handle(work).terminate()
    await start_run(world.client, MaintenanceStore(world.engine), work, restored=True)
    await world.approve(work, "maintenance_notice")
    assert await said(world, 1) == ["notice"]


async def test_a_storm_of_alerts_continues_as_new_with_its_timers(world: World) -> None:
    work = await announced(world, starts_in=2 * HOUR)
    await storm(world, work)
    await world.sleep(2 * HOUR + MINUTE)
    assert (await said(world, 3))[-1] == "start"
    await tell(world, work, "complete", EndInput(by="ada"))
    await world.handle(work).result()


async def test_it_goes_on_under_another_policy(world: World) -> None:
    work = await announced(world)
    content = world.policy.model_dump(mode="json")
    content["maintenance"]["remind_before"] = ["5h"]
    other = Policy.model_validate(content)
    await PolicyStore(world.engine).save(other, "test", await world.now())
    adopt = AdoptPolicyInput(by="ada", hash=other.hash)
    await world.handle(work).execute_update("adopt_policy", adopt)
    assert (await world.row(work)).policy_hash == other.hash
    assert "policy_changed" in await world.timeline(work)
    await world.sleep(3 * DAY - 6 * HOUR)
    assert await said(world, 1) == ["notice"], "the reminder of a day before is gone"
    await world.sleep(HOUR)
    assert await said(world, 2) == ["notice", "reminder"]
    with pytest.raises(WorkflowUpdateFailedError) as failed:
        await world.handle(work).execute_update("adopt_policy", adopt)
    assert isinstance(failed.value.cause, ApplicationError)
    assert failed.value.cause.type == "same_policy"
