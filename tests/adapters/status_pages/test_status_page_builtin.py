"""Our own status page as a sender: all languages at once, and only once."""

from __future__ import annotations

from datetime import datetime

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.db.announcements import AnnouncementStore
from adapters.status_pages.builtin import BuiltinStatusPage
from domain.errors import Permanent
from domain.message import Channel
from domain.policy import Policy
from tests.adapters.announcing import announced, incident_on, message


async def test_a_broadcast_stands_in_every_language_even_when_sent_again(
    engine: AsyncEngine, policy: Policy, now: datetime
) -> None:
    incident = await incident_on(engine, policy, now)
    sender = BuiltinStatusPage(AnnouncementStore(engine), lambda: now)
    first = await sender.send(message(incident, Channel.STATUS_PAGE, "*"))
    again = await sender.send(message(incident, Channel.STATUS_PAGE, "*"))
    assert first == again
    assert await announced(engine) == [
        ("status_page", "de", "Zahlungen"),
        ("status_page", "en", "Payment processing"),
    ]


async def test_metadata_that_cannot_be_shown_is_a_permanent_failure(
    engine: AsyncEngine, policy: Policy, now: datetime
) -> None:
    incident = await incident_on(engine, policy, now)
    sender = BuiltinStatusPage(AnnouncementStore(engine), lambda: now)
    with pytest.raises(Permanent, match="stage"):
        await sender.send(message(incident, Channel.STATUS_PAGE, "*", stage="no such stage"))
    assert await announced(engine) == []
