"""What the staff's chat shows of duties: who is told, what is missing, what needs two people."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.war_room import WarRoomActivities, WarRoomInput
from adapters.chat.slack import Slack
from domain.actions import OpenWarRoom
from domain.events import Acknowledged, WarRoomOpened
from domain.policy import Policy
from domain.signal import Severity
from tests.activities.staff_world import URL, Office, policy_with, settings
from tests.adapters.chat.fake_slack import FakeSlack, Say, fake_slack

MINUTE = timedelta(minutes=1)


@pytest.fixture
def api() -> Iterator[FakeSlack]:
    with fake_slack() as slack:
        yield slack


@pytest.fixture
def office(engine: AsyncEngine, policy: Policy, now: datetime, api: FakeSlack) -> Office:
    return Office(engine, policy_with(policy, duties=True), now, api)


def texts(api: FakeSlack) -> str:
    return "\n".join(api.texts())


async def test_executives_are_told_and_the_room_is_named(office: Office, api: FakeSlack) -> None:
    await office.open(severity=Severity.P1)
    assert "<@U0EVE> (CEO, CTO): you are told because of how severe it is" in texts(api)
    await office.tell(WarRoomOpened(name="inc-1", url="https://chat.example/C1"))
    assert "the war room is open: <https://chat.example/C1|#inc-1>" in texts(api)


async def test_silence_asks_the_next_person_until_somebody_acts(
    office: Office, api: FakeSlack
) -> None:
    await office.open(severity=Severity.P1)
    await office.pass_time(15 * MINUTE)
    assert "<@U0ADA> (on-call manager): nobody has acted" in texts(api)
    assert "The target for the response was missed" in texts(api)
    assert "the first assessment still lacks the cause, an expected end" in texts(api)
    await office.tell(Acknowledged(by="on-call manager"))
    posted = len(api.messages)
    await office.pass_time(10 * MINUTE)
    assert "incident manager): nobody has acted" not in texts(api)
    assert len(api.messages) > posted, "approval is still asked for"


async def test_a_suggested_update_says_that_nobody_has_to_answer(
    office: Office, api: FakeSlack
) -> None:
    await office.open(severity=Severity.P1)
    await office.decide()
    await office.pass_time(26 * MINUTE)
    assert "a suggested update to edit or approve" in texts(api)
    assert "without one the fixed holding line goes out by 2026-03-10 14:30 UTC" in texts(api)


async def test_over_the_cap_the_card_says_why_two_people_are_asked(
    office: Office, api: FakeSlack
) -> None:
    await office.customers()
    await office.open(severity=Severity.P1)
    assert "0 of 2 approvals" in texts(api)
    assert "It reaches 100% of all customers, which is more than one person may decide" in texts(
        api
    )


# The war room itself


ROOM = WarRoomInput(
    incident_id="inc_1", room=OpenWarRoom(name="inc-1", people=("on-call commander", "nobody"))
)


async def test_a_war_room_is_opened_with_whom_the_policy_knows(
    policy: Policy, api: FakeSlack
) -> None:
    rooms = WarRoomActivities(Slack(settings(api)), policy_with(policy), URL)
    opened = await ActivityEnvironment().run(rooms.open_war_room, ROOM)
    assert opened.name == "inc-1"
    assert api.members == {api.rooms["inc-1"]: ["U0COM"]}
    assert f"{URL}/console/incidents/inc_1" in texts(api)


async def test_what_slack_refuses_for_good_is_left_to_a_human(
    policy: Policy, api: FakeSlack
) -> None:
    api.next = [Say(200, '{"ok": false, "error": "missing_scope"}')]
    rooms = WarRoomActivities(Slack(settings(api)), policy_with(policy), URL)
    opened = await ActivityEnvironment().run(rooms.open_war_room, ROOM)
    assert opened == WarRoomOpened(reason="Slack refused: missing_scope")
    alone = WarRoomActivities(None, policy, URL)
    assert (await ActivityEnvironment().run(alone.open_war_room, ROOM)).name is None


async def test_a_slack_that_is_away_is_tried_again(policy: Policy, api: FakeSlack) -> None:
    api.next = [Say(503)]
    rooms = WarRoomActivities(Slack(settings(api)), policy_with(policy), URL)
    with pytest.raises(ApplicationError) as caught:
        await ActivityEnvironment().run(rooms.open_war_room, ROOM)
    assert not caught.value.non_retryable
