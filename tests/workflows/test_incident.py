"""The incident workflow with its real activities, on a clock that is moved."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.client import WorkflowFailureError, WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError

from adapters.db.notes import Notes
from domain.incident import IncidentState
from domain.message import Channel
from domain.policy import Policy
from domain.signal import SignalStatus
from tests.workflows.world import World, skipping, storm, world_on
from workflows.messages import (
    CommandResult,
    ConfirmInput,
    DecideInput,
    FalseAlarmInput,
    HandOverInput,
    PostUpdateInput,
    ResolveInput,
    TimelineLine,
)

MINUTE = timedelta(minutes=1)


@pytest.fixture
async def world(engine: AsyncEngine, policy: Policy) -> AsyncIterator[World]:
    async with skipping() as environment, world_on(environment, engine, policy) as made:
        yield made


async def announced(world: World) -> str:
    """An incident whose first message was approved and sent."""
    incident = await world.signal()
    assert incident is not None
    await world.approve(incident, "initial")
    await world.until_sent(Channel.EMAIL, 1)
    await world.until_sent(Channel.STATUS_PAGE, 1)
    return incident


async def test_an_alert_becomes_mail_only_after_approval(world: World) -> None:
    incident = await world.signal()
    assert incident is not None
    version = await world.pending(incident, "initial")
    assert world.senders[Channel.EMAIL].sent == []
    await world.approve(incident, "initial")
    mails = await world.until_sent(Channel.EMAIL, 1)
    assert {m.subject for m in mails} <= {
        "Service alert: Payment processing",
        "Störungsmeldung: Zahlungsabwicklung",
    }
    assert all("[[" not in m.text and "P2" not in (m.subject or "") for m in mails)
    with pytest.raises(WorkflowUpdateFailedError) as refused:
        await world.handle(incident).execute_update(
            "decide", DecideInput(draft=version, decision="approve", by="bob")
        )
    assert isinstance(refused.value.cause, ApplicationError)
    assert refused.value.cause.type == "already_sent"


async def test_the_whole_life_of_an_incident(world: World) -> None:
    incident = await announced(world)
    start = await world.row(incident)
    assert start.stage == "investigating"
    assert start.next_update_due is not None

    await world.sleep(61 * MINUTE)  # nobody writes: the holding line keeps the promise
    mails = await world.until_sent(Channel.STATUS_PAGE, 2)
    assert mails[1].moment == "update"

    note = await Notes(world.engine).save(incident, "We found the cause.", "ada", await world.now())
    result = await world.handle(incident).execute_update(
        "post_update",
        PostUpdateInput(by="ada", note_id=note, stage="identified"),
        result_type=CommandResult,
    )
    assert result.stage == "identified"
    await world.approve(incident, "update")
    await world.until_sent(Channel.STATUS_PAGE, 3)

    await world.signal(status=SignalStatus.RESOLVED)
    await world.until_stage(incident, "monitoring")
    await world.sleep(11 * MINUTE)
    await world.approve(incident, "resolution")
    await world.until_sent(Channel.STATUS_PAGE, 4)
    await world.approve(incident, "post_mortem")
    await world.until_sent(Channel.STATUS_PAGE, 5)
    await world.sleep(31 * MINUTE)
    await world.until_stage(incident, "closed")

    final = await world.row(incident)
    assert (final.stage, final.post_mortem, final.open) == ("closed", "published", False)
    kinds = await world.timeline(incident)
    assert "promise_missed" not in kinds
    told_start = {
        m.recipient.contact_id for m in world.senders[Channel.EMAIL].sent if m.moment == "initial"
    }
    told_end = {
        m.recipient.contact_id
        for m in world.senders[Channel.EMAIL].sent
        if m.moment == "resolution"
    }
    assert told_start == told_end


async def test_decision_by_plain_signal(world: World) -> None:
    incident = await world.signal()
    assert incident is not None
    version = await world.pending(incident, "initial")
    decision = DecideInput(draft=version, decision="approve", by="temporal")
    await world.handle(incident).signal("approval", decision)
    await world.until_sent(Channel.EMAIL, 1)


async def test_a_plain_signal_for_an_old_draft_is_noted_and_sends_nothing(world: World) -> None:
    incident = await world.signal()
    assert incident is not None
    version = await world.pending(incident, "initial")
    await world.handle(incident).signal(
        "approval", DecideInput(draft=version + 5, decision="approve")
    )

    async def noted() -> bool:
        return "refused" in await world.timeline(incident)

    await world.until("the refusal", noted)
    assert world.senders[Channel.EMAIL].sent == []


async def test_suspected_until_a_human_confirms(world: World) -> None:
    incident = await world.signal(customer_impact=None)
    assert incident is not None
    await world.until_stage(incident, "suspected")
    await world.handle(incident).execute_update("confirm_impact", ConfirmInput(by="ada"))
    await world.pending(incident, "initial")
    assert (await world.row(incident)).confirmed_at is not None


async def test_suspected_that_resolves_by_itself_ends_silently(world: World) -> None:
    incident = await world.signal(customer_impact=None)
    assert incident is not None
    await world.signal(customer_impact=None, status=SignalStatus.RESOLVED)
    status = await world.handle(incident).result()
    assert status["stage"] == "closed"
    assert all(not s.sent for s in world.senders.values())


async def test_false_alarm_reaches_those_who_were_told(world: World) -> None:
    incident = await announced(world)
    await world.handle(incident).execute_update("mark_false_alarm", FalseAlarmInput(by="ada"))
    await world.approve(incident, "false_alarm")
    await world.handle(incident).result()
    moments = [m.moment for m in world.senders[Channel.STATUS_PAGE].sent]
    assert moments == ["initial", "false_alarm"]


async def test_a_resolved_untold_incident_says_nothing(world: World) -> None:
    incident = await world.signal()
    assert incident is not None
    await world.pending(incident, "initial")
    await world.handle(incident).execute_update("resolve", ResolveInput(by="ada"))
    await world.sleep(31 * MINUTE)
    await world.until_stage(incident, "closed")
    assert world.senders[Channel.EMAIL].sent == []


async def test_history_holds_no_personal_data(world: World) -> None:
    incident = await announced(world)
    addresses = {m.recipient.address for m in world.senders[Channel.EMAIL].sent}
    names_ = {m.recipient.name for m in world.senders[Channel.EMAIL].sent}
    for workflow_id in (f"incident/{incident}", f"incident/{incident}/broadcast/2"):
        history = await world.client.get_workflow_handle(workflow_id).fetch_history()
        text = history.to_json()
        assert not [a for a in addresses | names_ if a and a in text]


async def test_alerts_that_it_was_started_with_are_no_second_step(world: World) -> None:
    """The relay starts a run with its first alerts, and signals them too."""
    incident = await world.signal()
    assert incident is not None
    await world.pending(incident, "initial")
    assert (await world.timeline(incident)).count("signal_received") == 1
    recorded = [
        event.user_metadata.summary.data.decode()
        async for event in world.handle(incident).fetch_history_events()
        if event.activity_task_scheduled_event_attributes.activity_type.name == "record_step"
    ]
    # The only one without a note is that of the audience.
    assert recorded.count('"Record: state"') == 1, recorded


async def test_a_storm_continues_as_new_with_its_open_approval(world: World) -> None:
    incident = await world.signal()
    assert incident is not None
    version = await world.pending(incident, "initial")
    await storm(world, incident)
    assert await world.pending(incident, "initial") == version
    assert len(await world.handle(incident).query("timeline")) > 50
    await world.approve(incident, "initial")
    await world.until_sent(Channel.EMAIL, 1)
    due = (await world.status(incident)).next_update_due
    assert due is not None
    await world.sleep(due - await world.now())
    assert [m.moment for m in await world.until_sent(Channel.STATUS_PAGE, 2)] == [
        "initial",
        "update",
    ]


async def test_a_cancelled_run_says_so_on_the_timeline(world: World) -> None:
    incident = await announced(world)
    await world.handle(incident).cancel()
    with pytest.raises(WorkflowFailureError):
        await world.handle(incident).result()
    assert (await world.timeline(incident))[-1] == "cancelled"


async def test_staff_see_what_waits_and_what_became_of_it(world: World) -> None:
    incident = await world.signal(customer_impact=None)
    assert incident is not None
    await world.until_shown(incident, "suspected")
    await world.handle(incident).execute_update("confirm_impact", ConfirmInput(by="ada"))
    await world.pending(incident, "initial")
    await world.until_shown(incident, "initial waits")
    await world.approve(incident, "initial")
    await world.until_shown(incident, "investigating")


async def test_a_chat_that_is_away_holds_up_nothing(world: World) -> None:
    world.desk.away = True
    incident = await announced(world)
    await world.handle(incident).execute_update("mark_false_alarm", FalseAlarmInput(by="ada"))
    await world.approve(incident, "false_alarm")
    await world.until_stage(incident, "false_alarm")
    await world.sleep(25 * MINUTE)
    assert (await world.handle(incident).result())["stage"] == "false_alarm"
    assert world.desk.shown == []


async def test_handed_over_somebody_else_is_asked(world: World) -> None:
    incident = await world.signal()
    assert incident is not None
    await world.pending(incident, "initial")
    await world.handle(incident).execute_update(
        "hand_over", HandOverInput(by="ada", role="approver", to="grace")
    )
    await world.sleep(6 * MINUTE)
    lines = await world.handle(incident).query("timeline", result_type=list[TimelineLine])
    assert [line.data["who"] for line in lines if line.key == "reminded"] == ["grace"]
    state = await world.handle(incident).query("state", result_type=IncidentState)
    assert state.people == {"approver": "grace"}
    assert IncidentState.model_validate((await world.row(incident)).state) == state
