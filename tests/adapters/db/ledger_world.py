"""A small world for the ledger's tests: accounts, contacts, an incident and its audience."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from sqlalchemy import insert, text
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.db.models import (
    AccountRow,
    AudienceMemberRow,
    AudienceRow,
    ContactRow,
    IncidentRow,
    SuppressionRow,
)
from domain.message import Channel, Moment
from domain.ports import BroadcastSpec

INCIDENT = "inc_000000000001"
AUDIENCE = "aud_000000000001"
EVERYTHING = frozenset(Channel)


async def incident(
    engine: AsyncEngine, now: datetime, id: str = INCIDENT, stage: str = "investigating"
) -> None:
    async with engine.begin() as conn:
        await conn.execute(
            insert(IncidentRow).values(
                id=id,
                title="Payments fail",
                severity="P1",
                stage=stage,
                category="local_degradation",
                components=["payments"],
                regions=[],
                dry_run=False,
                started_at=now,
                opened_at=now,
                last_alert_at=now,
                policy_hash="p" * 16,
                correlation_id="corr-1",
                updated_at=now,
            )
        )


async def customers(
    engine: AsyncEngine,
    now: datetime,
    contacts: int,
    channels: Iterable[str] = ("email", "in_app", "sms"),
    segment: str = "enterprise",
    start: int = 0,
) -> None:
    """One account per contact: `acc_N`, `con_N`, `userN@example.com`."""
    numbers = range(start, start + contacts)
    async with engine.begin() as conn:
        await conn.execute(
            insert(AccountRow),
            [
                {
                    "id": f"acc_{i}",
                    "name": f"Company {i}",
                    "segment": segment,
                    "features": [],
                    "activity": {},
                    "regimes": [],
                    "imported_at": now,
                }
                for i in numbers
            ],
        )
        await conn.execute(
            insert(ContactRow),
            [
                {
                    "id": f"con_{i}",
                    "account_id": f"acc_{i}",
                    "email": f"user{i}@example.com",
                    "name": f"User {i}",
                    "phone": f"+1555{i:07d}",
                    "locale": "en",
                    "timezone": "UTC",
                    "channels": list(channels),
                    "imported_at": now,
                }
                for i in numbers
            ],
        )


async def audience(
    engine: AsyncEngine,
    now: datetime,
    contacts: Iterable[int],
    id: str = AUDIENCE,
    incident_id: str = INCIDENT,
) -> None:
    async with engine.begin() as conn:
        await conn.execute(
            insert(AudienceRow).values(
                id=id,
                incident_id=incident_id,
                rule="payments",
                created_at=now,
                accounts=0,
                recipients=0,
                active_accounts=0,
                choices={},
            )
        )
        members = [
            {
                "audience_id": id,
                "contact_id": f"con_{i}",
                "account_id": f"acc_{i}",
                "reason": "uses payments",
                "added_at": now,
            }
            for i in contacts
        ]
        if members:
            await conn.execute(insert(AudienceMemberRow), members)


async def suppress(engine: AsyncEngine, now: datetime, address: str, reason: str) -> None:
    async with engine.begin() as conn:
        await conn.execute(
            insert(SuppressionRow).values(channel="email", address=address, reason=reason, at=now)
        )


def spec(
    now: datetime,
    n: int = 1,
    moment: Moment = Moment.INITIAL,
    channels: Iterable[Channel] = (Channel.EMAIL,),
    **changes: object,
) -> BroadcastSpec:
    return BroadcastSpec.model_validate(
        {
            "incident_id": INCIDENT,
            "n": n,
            "version": n,
            "hash": f"hash{n}",
            "moment": moment,
            "number": 1,
            "severity": "P1",
            "stage": "investigating",
            "category": "local_degradation",
            "components": ("payments",),
            "channels": tuple(channels),
            "audience_id": AUDIENCE,
            "policy_hash": "p" * 16,
            "allowed_by": "alice",
            "expires_at": now + timedelta(hours=4),
        }
        | changes
    )


async def rows(engine: AsyncEngine, broadcast_id: int) -> dict[tuple[str, str], tuple[str, str]]:
    """(channel, recipient) → (state, reason) of a broadcast."""
    async with engine.connect() as conn:
        found = await conn.execute(
            text(
                "SELECT channel, recipient, state, coalesce(reason, '') AS reason"
                " FROM deliveries WHERE broadcast_id = :id"
            ),
            {"id": broadcast_id},
        )
        return {(r.channel, r.recipient): (r.state, r.reason) for r in found}


async def run(engine: AsyncEngine, statement: str, **parameters: object) -> None:
    async with engine.begin() as conn:
        await conn.execute(text(statement), parameters)
