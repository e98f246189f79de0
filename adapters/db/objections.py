"""Customers' objections to planned work: each once, with the person whose task it is."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from datetime import datetime

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.db.audit import append_in
from adapters.db.incidents_read import Utc, View
from adapters.db.maintenance_models import MaintenanceRow, ObjectionRow
from adapters.db.models import AccountRow, BroadcastRow, ContactRow, IncidentRow
from domain.errors import BadInput, FieldError, NotFound
from domain.maintenance import ID_PREFIX
from domain.message import Channel, message_key


class Objection(View):
    """An objection with its account's name; `assignee` is whose task it is."""

    id: str
    maintenance_id: str
    account_id: str
    account_name: str | None
    contact_id: str | None
    reason: str
    source: str
    late: bool
    assignee: str | None
    at: Utc


class Answered(View):
    """The maintenance and the contact whose mail somebody answers."""

    maintenance_id: str
    contact_id: str


class Objections:
    """Writes objections and remembers which a timeline has."""

    def __init__(self, engine: AsyncEngine) -> None:
        self.engine = engine

    async def object(
        self,
        maintenance_id: str,
        *,
        account_id: str | None,
        contact_id: str | None,
        reason: str,
        source: str,
        fallback: str | None,
        now: datetime,
        actor: str,
    ) -> tuple[Objection, bool]:
        """Record an objection; the same account's again is the same, and the answer says so.

        It goes to the account's CSM, else to `fallback`. Raises NotFound for unknown work, BadInput
        for an unknown account or contact.
        """
        async with self.engine.begin() as conn:
            work = (
                await conn.execute(
                    select(MaintenanceRow.objections_until, IncidentRow.open)
                    .join(IncidentRow, IncidentRow.id == MaintenanceRow.id)
                    .where(MaintenanceRow.id == maintenance_id)
                )
            ).first()
            if work is None:
                raise NotFound("there is no maintenance with this id")
            if account_id is None and contact_id is not None:
                account_id = await conn.scalar(
                    select(ContactRow.account_id).where(ContactRow.id == contact_id)
                )
            account = (
                await conn.execute(
                    select(AccountRow.id, AccountRow.name, AccountRow.csm).where(
                        AccountRow.id == account_id
                    )
                )
            ).first()
            if account is None:
                raise BadInput(
                    "this account is not known",
                    [FieldError(field="account_id", value=account_id, allowed="a known account")],
                )
            late = not work.open or work.objections_until is None or now > work.objections_until
            values = {
                "id": _id(maintenance_id, account.id),
                "maintenance_id": maintenance_id,
                "account_id": account.id,
                "contact_id": contact_id,
                "reason": reason,
                "source": source,
                "late": late,
                "assignee": None if late else account.csm or fallback,
                "at": now,
            }
            made = await conn.scalar(
                insert(ObjectionRow)
                .values(values)
                .on_conflict_do_nothing()
                .returning(ObjectionRow.id)
            )
            if made is not None:
                facts = {"account_id": account.id, "late": late, "source": source}
                await append_in(conn, "maintenance_objection", actor, facts, now, maintenance_id)
            found = (
                await conn.execute(
                    select(ObjectionRow.__table__).where(ObjectionRow.id == values["id"])
                )
            ).one()
        view = Objection.model_validate(found._asdict() | {"account_name": account.name})
        return view, made is not None

    async def answered(self, sender: str, answers: Collection[str]) -> Answered | None:
        """What a sender (an address in lower case) answers, by the Message-IDs' local parts; None
        where that is no mail of ours about planned work to this sender."""
        if not sender or not answers:
            return None
        known = select(ContactRow.id).where(func.lower(ContactRow.email) == sender)
        sent = (
            select(BroadcastRow.incident_id, BroadcastRow.n)
            .where(BroadcastRow.incident_id.startswith(ID_PREFIX, autoescape=True))
            .order_by(BroadcastRow.id.desc())
        )
        async with self.engine.connect() as conn:
            contacts = (await conn.scalars(known)).all()
            broadcasts = (await conn.execute(sent)).all() if contacts else []
        for contact in contacts:
            for broadcast in broadcasts:
                key = message_key(broadcast.incident_id, broadcast.n, Channel.EMAIL, contact)
                if key in answers:
                    return Answered(maintenance_id=broadcast.incident_id, contact_id=contact)
        return None

    async def of(self, maintenance_id: str) -> list[Objection]:
        """All objections to a maintenance, oldest first."""
        async with self.engine.connect() as conn:
            rows = await conn.execute(
                select(ObjectionRow.__table__, AccountRow.name.label("account_name"))
                .outerjoin(AccountRow, AccountRow.id == ObjectionRow.account_id)
                .where(ObjectionRow.maintenance_id == maintenance_id)
                .order_by(ObjectionRow.at, ObjectionRow.id)
            )
            return [Objection.model_validate(row._asdict()) for row in rows]

    async def untold(self) -> list[Objection]:
        """Those that no timeline has yet, oldest first."""
        async with self.engine.connect() as conn:
            rows = await conn.execute(
                select(ObjectionRow.__table__, AccountRow.name.label("account_name"))
                .outerjoin(AccountRow, AccountRow.id == ObjectionRow.account_id)
                .where(ObjectionRow.told_at.is_(None))
                .order_by(ObjectionRow.at)
                .limit(100)
            )
            return [Objection.model_validate(row._asdict()) for row in rows]

    async def told(self, id_: str, now: datetime) -> None:
        """Remember that its timeline has it."""
        async with self.engine.begin() as conn:
            await conn.execute(
                update(ObjectionRow).where(ObjectionRow.id == id_).values(told_at=now)
            )


def _id(maintenance_id: str, account_id: str) -> str:
    digest = hashlib.sha256(f"{maintenance_id}\0{account_id}".encode()).hexdigest()
    return f"obj_{digest[:20]}"
