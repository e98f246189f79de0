"""The delivery ledger: rows are frozen, claimed under a lease, settled once, sealed for audit.

A row is pending, sending (leased), then settled for good: sent, failed, suppressed or unknown.
Leases use the database clock, everything else the instant that the caller gives.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime

from psycopg.rows import dict_row
from sqlalchemy import select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from adapters.db import ledger_read
from adapters.db import ledger_sql as sql
from adapters.db.claims import claim_of
from adapters.db.driver import AWAY, passing, plain_connection
from adapters.db.fallback import fall_back, resting
from adapters.db.freeze import STAFF, freeze, supersede
from adapters.db.models import BroadcastRow, IncidentRow
from adapters.db.seal import seal_batch, seal_rest, sealed_settle
from domain.errors import NotFound, Refused, Transient
from domain.message import PER_CONTACT, Channel
from domain.policy import Policy
from domain.ports import BroadcastSpec, ChannelCounts, Claim, Outcome, Remaining

MOST_CLAIMED = 50
LONGEST_LEASE = 60.0


class Ledger:
    """The ledger in PostgreSQL. A lost or restarting database is raised as Transient."""

    def __init__(self, engine: AsyncEngine) -> None:
        self.engine = engine

    async def open(
        self,
        spec: BroadcastSpec,
        policy: Policy,
        now: datetime,
        configured: Collection[Channel],
        correlation_id: str | None = None,
        fallbacks: Mapping[Channel, Sequence[Channel]] | None = None,
    ) -> int:
        """Freeze the audience into rows and return the broadcast's id; again, only the id.

        `configured` are the channels that have a way out, `fallbacks` those that may stand in for
        one: whoever was told on such a channel hears the end there. Raises Refused when the
        incident has another message under this number.
        """
        async with self._begin() as conn:
            values = spec.model_dump(mode="python", exclude={"category", "components"}) | {
                "moment": spec.moment.value,
                "channels": [c.value for c in spec.channels],
                "now": now,
                "correlation_id": correlation_id or await _correlation(conn, spec.incident_id),
            }
            values.pop("audience_id")
            created: int | None = (await conn.execute(sql.OPEN, values)).scalar()
            if created is None:
                broadcast_id = await _existing(conn, spec)
            else:
                broadcast_id = created
                await supersede(conn, spec, now)
                instead = await resting(conn, spec, fallbacks or {})
                await freeze(conn, broadcast_id, spec, policy, configured, now, instead)
            older = (
                (
                    await conn.execute(
                        select(BroadcastRow.id).where(
                            BroadcastRow.incident_id == spec.incident_id, BroadcastRow.n < spec.n
                        )
                    )
                )
                .scalars()
                .all()
            )
        # Apart from the freezing: the chain is never locked for as long as a million rows take.
        for each in (*older, broadcast_id):
            await self._seal(each, now)
        return broadcast_id

    async def claim(
        self,
        broadcast_id: int,
        channel: Channel,
        limit: int,
        lease_seconds: float,
        now: datetime,
    ) -> Claim:
        """Lease up to `limit` (at most 50) rows that may go now, best priority first.

        Nothing is leased while sends are paused. Suppressed instead are the pending rows of a
        message that has expired, was superseded or contradicts the incident's stage, and rows of
        people who opted out since the audience was frozen.
        """
        parameters = self._gate(broadcast_id, channel, now, min(lease_seconds, LONGEST_LEASE))
        query = sql.CLAIM_CONTACT if channel in PER_CONTACT else sql.CLAIM_OTHER
        given = parameters | {"limit": min(limit, MOST_CLAIMED)}
        # In a pipeline, begin and commit are no round trips of their own.
        async with plain_connection(self.engine) as driver, driver.pipeline():
            found = await driver.cursor(row_factory=dict_row).execute(query, given)
            await driver.commit()
            row = await found.fetchone()
        if row is None:
            raise NotFound(f"broadcast {broadcast_id} does not exist")
        stale = row["stale"]
        if stale is not None:
            async with self._begin() as conn:
                await conn.execute(sql.DROP, parameters | {"reason": stale})
            await self._seal(broadcast_id, now)
        return claim_of(row["found"] or [], row["lease_until"], row["paused"] and stale is None)

    async def settle(self, outcomes: Sequence[Outcome], broadcast_id: int, now: datetime) -> int:
        """Write what became of claimed rows, and seal them; returns how many took effect.

        A row counts only under the fence it was claimed with, and only once.
        """
        if not outcomes:
            return 0
        async with plain_connection(self.engine) as conn:
            return await sealed_settle(conn, outcomes, broadcast_id, now)

    async def recover_expired(
        self, broadcast_id: int, channel: Channel, on_unknown: str, now: datetime
    ) -> int:
        """Settle leases that ran out by policy: `resend` puts them back, `hold` leaves unknown.

        Also decides rows of an end that waited for the fate of their start. Returns the number of
        leases recovered.
        """
        recovered = await self._recover(broadcast_id, channel, on_unknown, now)
        parameters = {"broadcast": broadcast_id, "channel": channel.value, "now": now}
        async with self._begin() as conn:
            older = (await conn.execute(sql.OLDER, parameters)).scalars().all()
        for each in older:
            await self._recover(each, channel, on_unknown, now)
        async with self._begin() as conn:
            doubts = (await conn.execute(sql.DOUBTS, parameters)).rowcount
        if doubts:
            await self._seal(broadcast_id, now)
        return recovered

    async def _recover(
        self, broadcast_id: int, channel: Channel, on_unknown: str, now: datetime
    ) -> int:
        parameters = self._gate(broadcast_id, channel, now, 0)
        async with self._begin() as conn:
            rows = (
                await conn.execute(sql.RECOVER, parameters | {"resend": on_unknown == "resend"})
            ).all()
            await seal_batch(conn, broadcast_id, [r.id for r in rows if r.state == "unknown"], now)
        return len(rows)

    async def fall_back(
        self,
        broadcast_id: int,
        spec: BroadcastSpec,
        policy: Policy,
        failed: Channel,
        order: Sequence[Channel],
        now: datetime,
    ) -> dict[Channel, int]:
        """Tell on the next channel of `order` whom `failed` cannot reach for good.

        Returns how many rows that stand in for `failed` are not settled yet, by channel.
        """
        async with self._begin() as conn:
            found = await fall_back(conn, broadcast_id, spec, policy, failed, order, now)
        await self._seal(broadcast_id, now)
        return found

    async def finish(self, broadcast_id: int, now: datetime) -> bool:
        """Seal what is left and mark the broadcast finished; False while rows are open."""
        await self._seal(broadcast_id, now)
        async with self._begin() as conn:
            parameters = {"broadcast": broadcast_id, "now": now}
            return (await conn.execute(sql.FINISH, parameters)).rowcount == 1

    # Reading

    async def remaining(self, broadcast_id: int, channel: Channel) -> Remaining:
        """Whether rows of a channel are still pending or being sent."""
        async with self._begin() as conn:
            return await ledger_read.remaining(conn, broadcast_id, channel)

    async def counts(self, broadcast_id: int) -> dict[Channel, ChannelCounts]:
        """Rows of a broadcast by channel and state."""
        async with self._begin() as conn:
            return await ledger_read.counts(conn, broadcast_id)

    async def incident_summary(self, incident_id: str) -> dict[Channel, ChannelCounts]:
        """Rows of all broadcasts of an incident by channel and state."""
        async with self._begin() as conn:
            return await ledger_read.incident_summary(conn, incident_id)

    async def page(
        self,
        incident_id: str,
        cursor: str | None = None,
        limit: int = 100,
        filters: Mapping[str, str] | None = None,
    ) -> ledger_read.DeliveryPage:
        """One page of an incident's rows; `filters` by broadcast, channel, moment or state."""
        async with self._begin() as conn:
            return await ledger_read.page(conn, incident_id, cursor, limit, filters or {})

    async def closure_gaps(self, incident_id: str) -> int:
        """How many recipients were told the start and have no end yet, over all channels."""
        async with self._begin() as conn:
            return await ledger_read.closure_gaps(conn, incident_id)

    async def told_channels(self, incident_id: str) -> tuple[Channel, ...]:
        """Channels on which customers were told: an end belongs on each of them."""
        async with self._begin() as conn:
            return await ledger_read.told_channels(conn, incident_id)

    # Helpers

    def _gate(
        self, broadcast_id: int, channel: Channel, now: datetime, lease: float
    ) -> dict[str, object]:
        return {
            "broadcast": broadcast_id,
            "channel": channel.value,
            "now": now,
            "lease": lease,
            "staff": STAFF,
            "ended": sql.ENDED,
            "lasting": sql.LASTING,
        }

    async def _seal(self, broadcast_id: int, now: datetime) -> None:
        last: int | None = 0
        while last is not None:
            async with self._begin() as conn:
                last = await seal_rest(conn, broadcast_id, last, now)

    @asynccontextmanager
    async def _begin(self) -> AsyncIterator[AsyncConnection]:
        try:
            async with self.engine.begin() as conn:
                yield conn
        except DBAPIError as error:
            if passing(error.orig, error.connection_invalidated):
                raise Transient(AWAY) from error
            raise


async def _correlation(conn: AsyncConnection, incident_id: str) -> str:
    query = select(IncidentRow.correlation_id).where(IncidentRow.id == incident_id)
    return (await conn.execute(query)).scalar() or incident_id


async def _existing(conn: AsyncConnection, spec: BroadcastSpec) -> int:
    query = select(BroadcastRow.id, BroadcastRow.version, BroadcastRow.hash).where(
        BroadcastRow.incident_id == spec.incident_id, BroadcastRow.n == spec.n
    )
    row = (await conn.execute(query)).one()
    if (row.version, row.hash) != (spec.version, spec.hash):
        raise Refused(
            "already_sent",
            f"broadcast {spec.n} of {spec.incident_id} carries version {row.version}, "
            f"not {spec.version}",
        )
    return int(row.id)
