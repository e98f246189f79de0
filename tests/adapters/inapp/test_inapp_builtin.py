"""Our own banner as a sender: a row per contact, one announcement per broadcast."""

from __future__ import annotations

import asyncio
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.db.announcements import AnnouncementStore
from adapters.inapp.builtin import BuiltinBanner
from domain.message import Channel
from domain.policy import Policy
from tests.adapters.announcing import announced, incident_on, message


async def test_many_contacts_at_once_make_one_announcement(
    engine: AsyncEngine, policy: Policy, now: datetime
) -> None:
    incident = await incident_on(engine, policy, now)
    sender = BuiltinBanner(AnnouncementStore(engine), lambda: now)
    receipts = await asyncio.gather(
        *(sender.send(message(incident, Channel.IN_APP, f"c{n}")) for n in range(20))
    )
    assert {r.provider_id for r in receipts} == {"banner:7"}
    assert [(channel, locale) for channel, locale, _ in await announced(engine)] == [
        ("in_app", "de"),
        ("in_app", "en"),
    ]


async def test_the_next_broadcast_is_announced_too(
    engine: AsyncEngine, policy: Policy, now: datetime
) -> None:
    incident = await incident_on(engine, policy, now)
    sender = BuiltinBanner(AnnouncementStore(engine), lambda: now)
    await sender.send(message(incident, Channel.IN_APP, "c1"))
    await sender.send(message(incident, Channel.IN_APP, "c1", broadcast_id=8))
    assert len(await announced(engine)) == 4
