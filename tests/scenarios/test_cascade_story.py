"""A database takes API, payments and reporting with it: one incident, as customers feel it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.message import Channel
from domain.policy import Policy
from domain.signal import SignalStatus
from tests.scenarios.town import gaps, links, mails, town, until_heard, until_settled
from tests.workflows.world import World

MINUTE = timedelta(minutes=1)
CHAIN = ("reporting", "payments", "rest-api", "database")
USERS = {"pam": ("payments",), "rita": ("reporting",), "all": ("payments", "reporting", "rest-api")}


async def cascade(world: World, order: tuple[str, ...]) -> set[str | None]:
    """An alert of its own for each component, minutes apart; the incidents they went to."""
    found: set[str | None] = set()
    for component in order:
        found.add(await world.signal(dedup_key=component, components=(component,)))
        await world.sleep(4 * MINUTE)
    return found


@pytest.mark.parametrize("order", [CHAIN, CHAIN[::-1]], ids=["cause last", "cause first"])
async def test_four_alerts_are_one_incident_and_one_thread(
    engine: AsyncEngine, policy: Policy, order: tuple[str, ...]
) -> None:
    async with town(engine, policy, **USERS) as world:
        (incident,) = await cascade(world, order)
        assert incident is not None

        async def whole() -> bool:
            return set((await world.status(incident)).components) == set(CHAIN)

        await world.until("all four components", whole)
        await world.approve(incident, "initial")
        for name in USERS:
            await until_heard(world, name, "initial")
        for mail in world.senders[Channel.EMAIL].sent:
            # What customers feel most comes first; what they don't see is never named.
            assert mail.subject is not None
            assert mail.subject.startswith("Service alert: Payment processing")
            assert "atabase" not in mail.text + (mail.html or "") + mail.subject

        issues = {i.component: i for i in (await links(world, incident)).sub_issues}
        assert set(issues) == set(CHAIN)
        assert [i.component for i in (await links(world, incident)).sub_issues] == list(order)
        assert all(issue.firing and issue.alerts == 1 for issue in issues.values())
        assert (await world.timeline(incident)).count("sub_issue") == 3

        # One of them recovers: the incident goes on until the last one has.
        await world.signal(dedup_key="reporting", status=SignalStatus.RESOLVED)
        quiet = {i.component: i.firing for i in (await links(world, incident)).sub_issues}
        assert quiet == {"reporting": False, "payments": True, "rest-api": True, "database": True}
        assert (await world.status(incident)).stage == "investigating"
        for component in CHAIN[1:]:
            await world.signal(dedup_key=component, status=SignalStatus.RESOLVED)
        await world.until_stage(incident, "monitoring")
        await world.sleep(11 * MINUTE)
        await world.approve(incident, "resolution")
        for name in USERS:
            await until_heard(world, name, "initial", "resolution")
            assert mails(world, name)[1].thread == mails(world, name)[0].key
        await until_settled(world)
        assert await gaps(world, incident) == 0


async def test_the_cause_found_after_the_first_mail_starts_no_second_thread(
    engine: AsyncEngine, policy: Policy
) -> None:
    async with town(engine, policy, **USERS) as world:
        incident = await world.signal(dedup_key="rep", components=("reporting",))
        assert incident is not None
        await world.approve(incident, "initial")
        await until_heard(world, "rita", "initial")
        assert await cascade(world, CHAIN[1:]) == {incident}
        await world.approve(incident, "update")
        await until_heard(world, "rita", "initial", "update")
        await until_heard(world, "pam", "update")  # affected since: told where it stands now
        last = mails(world, "pam")[-1]
        assert last.subject is not None and "Payment processing" in last.subject
        assert mails(world, "rita")[1].thread == mails(world, "rita")[0].key
