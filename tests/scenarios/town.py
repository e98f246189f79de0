"""Customers who use one thing each, and what a scenario asks about the mails they got."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import insert, text
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.db.audit_verify import verify_log
from adapters.db.ledger import Ledger
from adapters.db.links import IncidentLinks, LinksRead
from adapters.db.models import AccountRow, ContactRow
from domain.message import Channel, OutboundMessage
from domain.policy import Policy
from tests.workflows.world import World, skipping, world_on


async def customer(
    engine: AsyncEngine, name: str, *features: str, region: str | None = None
) -> None:
    """One account with one contact `name`, who uses these components; none means all."""
    now = datetime.now(UTC)
    async with engine.begin() as conn:
        account: dict[str, Any] = {
            "id": f"acc_{name}",
            "name": f"{name.title()} Ltd",
            "features": list(features),
            "region": region,
            "activity": {},
            "regimes": [],
            "imported_at": now,
        }
        contact = {
            "id": name,
            "account_id": f"acc_{name}",
            "email": f"{name}@example.com",
            "locale": "en",
            "timezone": "UTC",
            "channels": ["email"],
            "imported_at": now,
        }
        await conn.execute(insert(AccountRow), [account])
        await conn.execute(insert(ContactRow), [contact])


@asynccontextmanager
async def town(
    engine: AsyncEngine, policy: Policy, **users: tuple[str, ...]
) -> AsyncIterator[World]:
    """A world whose customers are named with what they use."""
    async with skipping() as environment, world_on(environment, engine, policy, 0) as world:
        for name, features in users.items():
            await customer(engine, name, *features)
        yield world


def mails(world: World, name: str) -> list[OutboundMessage]:
    """The mails of a customer, oldest first."""
    sent = world.senders[Channel.EMAIL].sent
    return [m for m in sent if m.recipient.contact_id == name]


def moments(world: World, name: str) -> list[str]:
    return [m.moment.value for m in mails(world, name)]


async def until_heard(world: World, name: str, *expected: str) -> None:
    """A customer heard exactly these moments, in this order."""

    async def look() -> bool:
        return len(moments(world, name)) >= len(expected)

    await world.until(f"{name} hears {', '.join(expected)}", look)
    assert moments(world, name) == list(expected)


async def links(world: World, incident: str) -> IncidentLinks:
    return await LinksRead(world.engine).of(incident)


async def gaps(world: World, incident: str) -> int:
    """Recipients who were told a start and miss the end."""
    return await Ledger(world.engine).closure_gaps(incident)


async def proven(world: World) -> tuple[str, ...]:
    """What `audit verify` complains of."""
    report = await verify_log(world.engine)
    assert report.first_bad is None
    return report.gaps


async def until_settled(world: World) -> None:
    """No message is on its way any more."""

    async def look() -> bool:
        async with world.engine.connect() as conn:
            query = text("SELECT count(*) FROM broadcasts WHERE finished_at IS NULL")
            return not await conn.scalar(query)

    await world.until("every broadcast is finished", look)
