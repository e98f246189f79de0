"""A broadcast goes on, on the fallback channel, for those whom the first one could not reach."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.client import WorkflowHandle

from domain.errors import Permanent, Transient
from domain.message import Channel, Moment, OutboundMessage
from domain.policy import Policy
from tests.activities.delivery_world import Behaviour, Provider, unlimited
from tests.adapters.db.ledger_world import INCIDENT, run, spec, suppress
from tests.workflows.test_broadcast import Listener, World, start
from workflows import names
from workflows.broadcast import Broadcast, BroadcastResult

EMAIL, IN_APP, SMS, PAGE = Channel.EMAIL, Channel.IN_APP, Channel.SMS, Channel.STATUS_PAGE


def refuses(*contacts: str) -> Behaviour:
    def behaviour(message: OutboundMessage, attempt: int) -> Exception | None:
        return Permanent("refused") if message.recipient.contact_id in contacts else None

    return behaviour


async def steps_of(handle: WorkflowHandle[Broadcast, BroadcastResult]) -> Counter[str]:
    history = await handle.fetch_history()
    return Counter(
        e.activity_task_scheduled_event_attributes.activity_type.name
        for e in history.events
        if e.HasField("activity_task_scheduled_event_attributes")
    )


@pytest.fixture
def world(engine: AsyncEngine, policy: Policy) -> World:
    made = World(engine, policy)
    made.policy = unlimited(policy, fallback={EMAIL: (IN_APP, SMS)})
    return made


async def test_who_cannot_be_mailed_is_told_by_the_next_channels_in_turn(world: World) -> None:
    await world.customers(30)
    await suppress(world.engine, world.now, "user1@example.com", "bounced")
    mail = Provider(behaviour=refuses("con_0", "con_2"))
    banner = Provider(IN_APP, behaviour=refuses("con_2"))
    texts = Provider(SMS)
    senders = {EMAIL: mail, IN_APP: banner, SMS: texts}
    async with world.running(senders) as environment:
        listener = await environment.client.start_workflow(
            Listener.run,
            id=names.incident_workflow_id(INCIDENT),
            task_queue=names.QUEUE_INCIDENTS,
        )
        handle = await start(environment, spec(world.now))
        result = await handle.result()
        done = await listener.result()
        steps = await steps_of(handle)
    assert set(banner.received) == {"con_0", "con_1"} and set(texts.received) == {"con_2"}
    assert (result.channels[EMAIL].sent, result.channels[IN_APP].sent) == (27, 2)
    assert result.totals.settled and result.totals.total == 30 + 3 + 1
    assert done.instead == (IN_APP, SMS)
    assert steps == {
        "open_broadcast": 1, "deliver": 3, "fall_back": 3, "settle_broadcast": 1
    }  # fmt: skip


async def test_no_step_more_where_nobody_could_be_added(world: World) -> None:
    await world.customers(3)
    senders = {EMAIL: Provider(behaviour=refuses("con_0")), IN_APP: Provider(IN_APP)}
    given = spec(world.now, channels=[EMAIL, IN_APP])
    async with world.running(senders) as environment:
        handle = await start(environment, given)
        await handle.result()
        assert (await steps_of(handle))["fall_back"] == 0


async def test_a_broken_page_delays_nobodys_fallback(world: World) -> None:
    await world.customers(1)
    back = asyncio.Event()

    def out(message: OutboundMessage, attempt: int) -> Exception | None:
        return None if back.is_set() else Transient("connection refused")

    banner = Provider(IN_APP)
    senders = {
        EMAIL: Provider(behaviour=refuses("con_0")),
        IN_APP: banner,
        PAGE: Provider(PAGE, behaviour=out),
    }
    world.policy = unlimited(world.policy, max_attempts=100_000)
    given = spec(world.now, channels=[EMAIL, PAGE], expires_at=None)
    async with world.running(senders) as environment:
        handle = await start(environment, given)
        result_of = asyncio.create_task(handle.result())
        async with asyncio.timeout(20):
            while not banner.accepted:  # noqa: ASYNC110 - the worker changes it
                await asyncio.sleep(0.02)
        back.set()
        result = await result_of
    assert result.totals.sent == 2


async def test_what_a_human_must_approve_stands_in_for_nothing_automatic(world: World) -> None:
    await world.customers(1)
    gates = [
        {"channels": ["in_app"], "gate": "approve"},
        {"gate": "auto"},
    ]
    changed = world.policy.model_dump(mode="json") | {"gates": gates}
    world.policy = Policy.model_validate(changed)
    banner, texts = Provider(IN_APP), Provider(SMS)
    senders = {EMAIL: Provider(behaviour=refuses("con_0")), IN_APP: banner, SMS: texts}
    async with world.running(senders) as environment:
        await (await start(environment, spec(world.now))).result()
    assert not banner.accepted and len(texts.accepted) == 1


async def test_the_end_follows_who_was_told_by_the_fallback(world: World) -> None:
    await world.customers(2)
    banner = Provider(IN_APP)
    senders = {EMAIL: Provider(behaviour=refuses("con_0")), IN_APP: banner}
    async with world.running(senders) as environment:
        await (await start(environment, spec(world.now))).result()
        end = spec(world.now, n=2, moment=Moment.RESOLUTION)
        await run(world.engine, "UPDATE incidents SET stage = 'resolved'")
        await (await start(environment, end)).result()
    assert banner.received == {"con_0": 2}
    assert await world.ledger.closure_gaps(end.incident_id) == 0
