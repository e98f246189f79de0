"""Erases a person: names and addresses go, counts and the audit chain stay."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from adapters.db.audit import append_in
from adapters.db.erased import CONTACT, EMAIL, PHONE, Marker, marker_for
from adapters.db.erasure_models import ErasureRow
from adapters.db.scrub import Scrubber, Words
from domain.errors import NotFound, Refused
from domain.ports import Model

KIND = "erasure"
REASON = "erased"
# A lease lasts a minute at most: then what is on its way has arrived, or nobody sends it any more.
PATIENCE_SECONDS = 75.0
_LOOK_SECONDS = 0.5

_CONTACTS = text(
    """
    SELECT id, account_id, email, phone, name FROM contacts
    WHERE id = ANY(:ids) OR lower(email) = ANY(:addresses)
    """
)
# What was sent to earlier addresses of the contact, and to contacts who are gone.
_LEDGER = text(
    """
    SELECT DISTINCT contact_id, account_id, address, name, channel FROM deliveries
    WHERE contact_id = ANY(:ids)
       OR (contact_id IS NOT NULL AND lower(address) = ANY(:addresses))
    """
)
# An address that somebody else has, too, is theirs: a colleague's telephone, a shared mailbox.
_SHARED = text(
    """
    SELECT lower(email) FROM contacts WHERE id <> ALL(:ids) AND lower(email) = ANY(:addresses)
    UNION SELECT lower(phone) FROM contacts WHERE id <> ALL(:ids) AND lower(phone) = ANY(:addresses)
    """
)
_REFUSED = text(
    "SELECT channel, lower(address) AS address, reason FROM suppressions"
    " WHERE lower(address) = ANY(:addresses)"
)
_LOCK_ROWS = text(
    """
    SELECT d.id, d.state = 'sending' AND d.lease_until > clock_timestamp() AS flying
    FROM deliveries d
    WHERE d.state IN ('pending', 'sending')
      AND (d.contact_id = ANY(:ids) OR lower(d.address) = ANY(:addresses))
    ORDER BY d.id FOR UPDATE
    """
)
# A settled row keeps everything that its digest is over. What was on its way when its worker died
# may have arrived.
_BLANK = text(
    """
    UPDATE deliveries d SET name = NULL, address = NULL,
        state = CASE d.state WHEN 'pending' THEN 'suppressed' WHEN 'sending' THEN 'unknown'
                             ELSE d.state END,
        reason = CASE d.state WHEN 'pending' THEN :reason WHEN 'sending' THEN 'lease_expired'
                              ELSE d.reason END,
        fence = d.fence + CASE WHEN d.state IN ('pending', 'sending') THEN 1 ELSE 0 END,
        lease_until = CASE WHEN d.state IN ('pending', 'sending') THEN NULL ELSE d.lease_until END,
        settled_at = CASE WHEN d.state IN ('pending', 'sending') THEN cast(:now AS timestamptz)
                          ELSE d.settled_at END
    WHERE (d.contact_id = ANY(:ids) OR lower(d.address) = ANY(:addresses))
      AND (d.name IS NOT NULL OR d.address IS NOT NULL OR d.state IN ('pending', 'sending'))
    """
)
# The customer's own people stand on the account, and one person may be an account.
_ACCOUNTS = text(
    """
    UPDATE accounts a SET
        name = CASE WHEN a.id = ANY(:accounts) AND lower(a.name) = ANY(:words) THEN NULL
                    ELSE a.name END,
        sponsor = CASE WHEN lower(a.sponsor) = ANY(:addresses)
                         OR (a.id = ANY(:accounts) AND lower(a.sponsor) = ANY(:words)) THEN NULL
                       ELSE a.sponsor END
    WHERE (a.id = ANY(:accounts)
           AND (lower(a.name) = ANY(:words) OR lower(a.sponsor) = ANY(:words)))
       OR lower(a.sponsor) = ANY(:addresses)
    """
)
_ACCOUNT_NAMES = text(
    "UPDATE deliveries SET name = NULL WHERE contact_id IS NULL AND account_id = ANY(:accounts)"
    " AND lower(name) = ANY(:words)"
)


class ErasureReport(Model):
    """What an erasure did, without saying to whom.

    `texts` are rows of free text that named the person; `left` is what could not be changed, by
    `table.column`: sealed ids that are addresses themselves, or drafts of an open incident.
    """

    contacts: int
    deliveries: int
    suppressed: int
    refusals: int
    texts: dict[str, int]
    left: dict[str, int]


class _Person:
    """Everything that is known of one person."""

    def __init__(self, who: str) -> None:
        self.known = False
        self.ids: set[str] = {who}
        self.accounts: set[str] = set()
        self.names: set[str] = set()
        self.emails: set[str] = {who.lower()} if "@" in who else set()
        self.phones: set[str] = set()

    @property
    def addresses(self) -> set[str]:
        return self.emails | self.phones

    @property
    def words(self) -> Words:
        return Words(addresses=frozenset(self.addresses), names=frozenset(self.names))

    def parameters(self) -> dict[str, object]:
        return {
            "ids": sorted(self.ids),
            "addresses": sorted(self.addresses),
            "accounts": sorted(self.accounts),
            "words": sorted(_lower(self.names) | self.addresses),
        }


class Erasure:
    """Erases one person at a time."""

    def __init__(self, engine: AsyncEngine, secret: str) -> None:
        self.engine = engine
        self._secret = secret

    async def contacts(self, who: str) -> int:
        """How many contacts this id or e-mail address means; raises NotFound for an unknown one.

        One person may be a contact of several accounts, under one address.
        """
        async with self.engine.connect() as conn:
            person = await self._find(conn, who, await self._marker(conn))
            rows = await conn.execute(_CONTACTS, person.parameters())
            return len(rows.all())

    async def erase(
        self, who: str, now: datetime, by: str, patience: float = PATIENCE_SECONDS
    ) -> ErasureReport:
        """Erase the person with this contact id or e-mail address.

        Waits up to `patience` seconds for a message that is being sent to them right now. Raises
        NotFound for an unknown person, Refused `busy` when the wait was in vain, BadInput when
        the key is not that of earlier erasures. Doing it again is harmless, and goes on where an
        interrupted one stopped.
        """
        async with self.engine.connect() as conn:
            person = await self._find(conn, who, await self._marker(conn))
        # First what takes long and can be done again; the person is known until all of it is done.
        scrubber = Scrubber(self.engine)
        texts = await scrubber.rewrite(person.words)
        deadline = asyncio.get_running_loop().time() + patience
        while (counts := await self._remove(who, person, now, by)) is None:
            if asyncio.get_running_loop().time() >= deadline:
                raise Refused("busy", "a message to this person is being sent right now; try again")
            await asyncio.sleep(_LOOK_SECONDS)
        # Written while the rest was done, by whoever had read it before.
        for table, rows in (await scrubber.rewrite(person.words)).items():
            texts[table] = texts.get(table, 0) + rows
        left = await scrubber.find(person.words)
        return ErasureReport(texts=texts, left=left, **counts)

    async def _remove(
        self, who: str, seen: _Person, now: datetime, by: str
    ) -> dict[str, int] | None:
        """Everything that must happen at once; None while a message is on its way."""
        async with self.engine.begin() as conn:
            await conn.execute(text("SET LOCAL lock_timeout = '30s'"))
            # An audience that is being frozen has read the contacts, and is waited for; the next
            # one and the next import wait for us.
            await conn.execute(text("LOCK TABLE contacts IN ACCESS EXCLUSIVE MODE"))
            marker = await self._marker(conn)
            person = await self._find(conn, who, marker)
            for known, added in ((seen.names, person.names), (seen.emails, person.emails),
                                 (seen.phones, person.phones), (seen.ids, person.ids)):  # fmt: skip
                known |= added
            parameters = person.parameters()
            open_rows = (await conn.execute(_LOCK_ROWS, parameters)).all()
            if any(row.flying for row in open_rows):
                return None
            blanked = await conn.execute(_BLANK, parameters | {"now": now, "reason": REASON})
            await conn.execute(_ACCOUNT_NAMES, parameters)
            await conn.execute(_ACCOUNTS, parameters)
            refused = await self._refusals(conn, person)
            gone = await conn.execute(
                text("DELETE FROM contacts WHERE id = ANY(:ids) RETURNING id"), parameters
            )
            contacts = len(gone.all())
            await self._mark(conn, person, marker, refused, now)
            counts = {
                "contacts": contacts,
                "deliveries": blanked.rowcount,
                "suppressed": len(open_rows),
                "refusals": sum(map(len, refused.values())),
            }
            await append_in(conn, KIND, by, dict(counts), now)
        return counts

    async def _find(self, conn: AsyncConnection, who: str, marker: Marker) -> _Person:
        person = _Person(who)
        # Twice: a contact leads to its address, and that to the same person's other contacts.
        for _ in range(2):
            for row in await conn.execute(_CONTACTS, person.parameters()):
                person.known = True
                person.ids.add(row.id)
                person.accounts.add(row.account_id)
                person.emails.add(row.email.lower())
                person.phones |= _lower([row.phone])
                person.names |= {row.name} - {None, ""}
        for row in await conn.execute(_LEDGER, person.parameters()):
            person.known = True
            person.ids.add(row.contact_id)
            person.accounts |= {row.account_id} - {None}
            person.names |= {row.name} - {None, ""}
            (person.phones if row.channel == "sms" else person.emails).update(_lower([row.address]))
        if not person.known:
            marks = [marker.mark(EMAIL, who), marker.mark(CONTACT, who)]
            person.known = bool(
                (await conn.execute(_REFUSED, person.parameters())).first()
                or await conn.scalar(select(ErasureRow.kind).where(ErasureRow.mark.in_(marks)))
            )
        if not person.known:
            raise NotFound("no contact with this id or e-mail address; nothing was changed")
        shared = set((await conn.scalars(_SHARED, person.parameters())).all())
        person.emails -= shared
        person.phones -= shared
        return person

    async def _refusals(self, conn: AsyncConnection, person: _Person) -> dict[str, dict[str, str]]:
        """Address → channel → reason of what this person had refused; the rows are gone."""
        parameters = {"addresses": sorted(person.addresses | _lower(person.ids))}
        refused: dict[str, dict[str, str]] = {}
        for row in await conn.execute(_REFUSED, parameters):
            refused.setdefault(row.address, {})[row.channel] = row.reason
        await conn.execute(
            text("DELETE FROM suppressions WHERE lower(address) = ANY(:addresses)"), parameters
        )
        return refused

    async def _mark(
        self,
        conn: AsyncConnection,
        person: _Person,
        marker: Marker,
        refused: dict[str, dict[str, str]],
        now: datetime,
    ) -> None:
        kinds = ((CONTACT, person.ids), (EMAIL, person.emails), (PHONE, person.phones))
        for kind, values in kinds:
            for value in sorted(values):
                kept = refused.get(value.lower(), {})
                row = insert(ErasureRow).values(
                    mark=marker.mark(kind, value),
                    kind=kind,
                    key_mark=marker.key_mark,
                    refused=kept,
                    at=now,
                )
                # Done again: what was refused the first time still is.
                changes = {"refused": ErasureRow.refused.op("||")(row.excluded.refused)}
                await conn.execute(row.on_conflict_do_update(index_elements=["mark"], set_=changes))

    async def _marker(self, conn: AsyncConnection) -> Marker:
        known = await conn.scalars(select(ErasureRow.key_mark).distinct())
        return marker_for(self._secret, [bytes(mark) for mark in known])


def _lower(values: Iterable[str | None]) -> set[str]:
    return {value.lower() for value in values if value}
