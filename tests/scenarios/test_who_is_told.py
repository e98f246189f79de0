"""Nobody affected, the same person twice, and two incidents on one component at once."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.db.models import ContactRow
from domain.message import Channel
from domain.policy import Policy
from domain.signal import SignalStatus
from tests.adapters.db.intake_desk import Desk
from tests.scenarios.town import customer, gaps, moments, proven, town, until_heard, until_settled
from workflows.messages import ResolveInput

MINUTE = timedelta(minutes=1)


async def test_an_incident_that_no_customer_feels_is_on_the_page_and_in_no_mail(
    engine: AsyncEngine, policy: Policy
) -> None:
    async with town(engine, policy, walt=("webhooks",)) as world:
        incident = await world.signal(components=("slack-integration",))
        assert incident is not None
        await world.approve(incident, "initial")
        await world.until_sent(Channel.STATUS_PAGE, 1)
        row = await world.row(incident)
        assert (row.audience_accounts, row.audience_recipients) == (0, 0)
        await world.handle(incident).execute_update("resolve", ResolveInput(by="ada"))
        await world.approve(incident, "resolution")
        await world.until_sent(Channel.STATUS_PAGE, 2)
        await until_settled(world)
        assert world.senders[Channel.EMAIL].sent == []
        assert await gaps(world, incident) == 0
        assert await proven(world) == ()


async def test_whoever_is_meant_twice_hears_once(engine: AsyncEngine, policy: Policy) -> None:
    users = {"pat": ("payments", "reporting"), "sam": ("payments",), "kim": ("reporting",)}
    async with town(engine, policy, **users) as world:
        # Sam and Kim read the same mailbox.
        async with engine.begin() as conn:
            await conn.execute(
                update(ContactRow)
                .where(ContactRow.id.in_(("sam", "kim")))
                .values(email="team@example.com")
            )
        incident = await world.signal(components=("payments", "reporting"))
        assert incident is not None
        await world.approve(incident, "initial")
        await until_heard(world, "pat", "initial")
        await until_settled(world)
        assert len(moments(world, "sam")) + len(moments(world, "kim")) == 1
        await world.handle(incident).execute_update("resolve", ResolveInput(by="ada"))
        await world.approve(incident, "resolution")
        await until_heard(world, "pat", "initial", "resolution")
        await until_settled(world)
        assert len(moments(world, "sam")) + len(moments(world, "kim")) == 2
        assert await gaps(world, incident) == 0


async def test_a_customer_of_two_incidents_hears_of_each_to_its_end(
    engine: AsyncEngine, policy: Policy
) -> None:
    async with town(engine, policy) as world:
        await customer(engine, "pat", "payments", "webhooks")
        one = await world.signal(dedup_key="a", components=("payments",))
        other = await world.signal(dedup_key="b", components=("webhooks",))
        assert one is not None and other is not None and one != other
        for incident in (one, other):
            await world.approve(incident, "initial")
        await until_heard(world, "pat", "initial", "initial")
        threads = {m.thread for m in world.senders[Channel.EMAIL].sent}
        assert len(threads) == 2
        await world.signal(dedup_key="a", status=SignalStatus.RESOLVED)
        await world.until_stage(one, "monitoring")
        await world.sleep(11 * MINUTE)
        await world.approve(one, "resolution")
        await until_heard(world, "pat", "initial", "initial", "resolution")
        assert (await world.status(other)).stage == "investigating"


async def test_two_incidents_on_one_component_stay_two(
    engine: AsyncEngine, policy: Policy, now: datetime
) -> None:
    desk = Desk(engine, policy, now)
    first = await desk.take("a")
    second = await desk.human("h1", components=("payments",), separate=True)
    assert second.disposition in ("started", "suspected")
    assert second.incident_id != first.incident_id
    # New alerts on the component go to the one that monitoring opened; each keeps its own.
    third = await desk.take("c", after=MINUTE)
    assert (third.disposition, third.incident_id) == ("folded", first.incident_id)
    assert third.relates == ()
    again = await desk.take("a", status="resolved", after=2 * MINUTE)
    assert again.incident_id == first.incident_id
