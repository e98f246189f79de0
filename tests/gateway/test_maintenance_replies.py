"""Objections by reply: from a customer's mail to a task, and what is left alone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.message import Channel, OutboundMessage
from domain.policy import Policy
from tests.gateway.maintenance_kit import Doors, doors_on

PATH = "/api/maintenances/replies"
DAY = timedelta(days=1)


@pytest.fixture
async def doors(engine: AsyncEngine, policy: Policy) -> AsyncIterator[Doors]:
    async with doors_on(engine, policy) as made:
        yield made


def notice(doors: Doors) -> OutboundMessage:
    sent: OutboundMessage = doors.world.senders[Channel.EMAIL].sent[0]
    return sent


def answer_to(message: OutboundMessage, words: str = "Not then, please.", **headers: str) -> bytes:
    known = {
        "From": f"Reader <{(message.recipient.address or '').upper()}>",
        "In-Reply-To": f"<{message.key}@acme.example>",
    }
    given = known | {name.replace("_", "-"): value for name, value in headers.items()}
    head = "".join(f"{name}: {value}\r\n" for name, value in given.items())
    return f"{head}\r\n{words}\r\n\r\nOn Tuesday Acme wrote:\r\n> Maintenance notice".encode()


async def take(doors: Doors, mail: bytes) -> dict[str, Any]:
    headers = {"Content-Type": "message/rfc822"}
    answer = await doors.ask("POST", PATH, "responder", content=mail, headers=headers)
    assert answer.status_code == 200, answer.text
    taken: dict[str, Any] = answer.json()
    return taken


async def objections(doors: Doors, id_: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = (
        await doors.get(f"/api/maintenances/{id_}/objections", "viewer")
    )["items"]
    return items


async def test_a_reply_becomes_a_task_naming_the_account(doors: Doors) -> None:
    id_ = await doors.announced(starts_in=4 * DAY)
    message = notice(doors)
    taken = await take(doors, answer_to(message))
    account = message.recipient.account_id
    assert taken == {
        "disposition": "objection", "maintenance_id": id_, "account_id": account, "late": False,
    }  # fmt: skip
    (found,) = await objections(doors, id_)
    assert (found["account_id"], found["source"]) == (account, "reply")
    assert found["reason"] == "Not then, please."
    assert found["assignee"]
    await take(doors, answer_to(message))
    assert len(await objections(doors, id_)) == 1, "twice is once"


async def test_a_late_reply_is_recorded_as_late(doors: Doors) -> None:
    id_ = await doors.announced(starts_in=DAY)
    assert (await take(doors, answer_to(notice(doors))))["late"] is True
    (found,) = await objections(doors, id_)
    assert (found["late"], found["assignee"]) == (True, None)


async def test_programs_and_strangers_object_to_nothing(doors: Doors) -> None:
    id_ = await doors.announced(starts_in=4 * DAY)
    message = notice(doors)
    away = await take(doors, answer_to(message, Auto_Submitted="auto-replied"))
    assert away["disposition"] == "automatic"
    other = next(
        m for m in doors.world.senders[Channel.EMAIL].sent
        if m.recipient.contact_id != message.recipient.contact_id
    )  # fmt: skip
    for mail in (
        answer_to(message, From="nobody@stranger.example"),
        answer_to(message, From=str(other.recipient.address)),
        answer_to(message, In_Reply_To="<another@acme.example>"),
        b"nonsense",
        b"",
    ):
        assert (await take(doors, mail))["disposition"] == "unrelated"
    assert await objections(doors, id_) == []


async def test_only_staff_may_hand_replies_over(doors: Doors) -> None:
    await doors.announced(starts_in=4 * DAY)
    mail = answer_to(notice(doors))
    for role, status in ((None, 401), ("viewer", 403)):
        assert (await doors.ask("POST", PATH, role, content=mail)).status_code == status
