"""Which policy new incidents begin under: chosen by a person, or read from the programs' file."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import insert, select, text
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from adapters.db.chain import append_in
from adapters.db.models import PolicyRow
from adapters.db.policies import PolicyStore
from adapters.db.policy_models import PolicyInForceRow
from domain.policy import Policy
from domain.policy_change import PolicyChange, changes
from domain.ports import Model

# One decides about the policy in force at a time: programs start together.
_LOCK = text("SELECT pg_advisory_xact_lock(hashtextextended('policy in force', 0))")
# An entry of the audit log that grew without bound could not be read by people any more.
LOGGED_CHANGES = 200
FOREWARN = "forewarn"


class InForce(Model):
    """A policy that rules, or ruled, new incidents; `until` is None for the present one."""

    hash: str
    since: datetime
    until: datetime | None = None
    by: str
    source: str


class Applied(Model):
    """What became of a policy that was to be put in force."""

    hash: str
    previous: str | None
    changed: bool
    changes: tuple[PolicyChange, ...] = ()


class PoliciesInForce:
    """Keeps the order in which policies came into force; every change is in the audit log."""

    def __init__(self, engine: AsyncEngine) -> None:
        self.engine = engine
        self.policies = PolicyStore(engine)

    async def now(self) -> str | None:
        """The hash of the policy in force; None before the first start."""
        async with self.engine.connect() as conn:
            return await _newest(conn)

    async def begin(self, policy: Policy, source: str, now: datetime) -> Policy:
        """A program starts with its file: the policy in force from here on.

        A file that changed since it was last read is put in force. One that did not leaves in
        force what a person applied meanwhile.
        """
        async with self.engine.begin() as conn:
            await conn.execute(_LOCK)
            read = select(PolicyInForceRow.hash).where(PolicyInForceRow.from_file)
            last = await conn.scalar(read.order_by(PolicyInForceRow.seq.desc()).limit(1))
            ruling = await _newest(conn)
            if ruling is None or last != policy.hash:
                await self._put(conn, policy, ruling, FOREWARN, source, now, from_file=True)
                ruling = policy.hash
        return policy if ruling == policy.hash else await self.policies.by_hash(ruling)

    async def apply(self, policy: Policy, by: str, source: str, now: datetime) -> Applied:
        """Put a policy in force for the incidents that begin from now on."""
        async with self.engine.begin() as conn:
            await conn.execute(_LOCK)
            ruling = await _newest(conn)
            if ruling == policy.hash:
                return Applied(hash=policy.hash, previous=ruling, changed=False)
            return await self._put(conn, policy, ruling, by, source, now, from_file=False)

    async def history(self, limit: int = 100) -> tuple[InForce, ...]:
        """The policies that ruled, newest first; one that was only read again is no entry."""
        query = select(PolicyInForceRow.__table__).order_by(PolicyInForceRow.seq)
        async with self.engine.connect() as conn:
            rows = (await conn.execute(query)).all()
        found: list[InForce] = []
        for row in rows:
            if found and found[-1].hash == row.hash:
                continue
            if found:
                found[-1] = found[-1].model_copy(update={"until": row.since})
            found.append(InForce(hash=row.hash, since=row.since, by=row.by, source=row.source))
        return tuple(reversed(found))[:limit]

    async def _put(
        self,
        conn: AsyncConnection,
        policy: Policy,
        ruling: str | None,
        by: str,
        source: str,
        now: datetime,
        *,
        from_file: bool,
    ) -> Applied:
        content = policy.model_dump(mode="json")
        kept = {"hash": policy.hash, "content": content, "source": source, "loaded_at": now}
        await conn.execute(upsert(PolicyRow).values(kept).on_conflict_do_nothing())
        row = {
            "hash": policy.hash,
            "since": now,
            "by": by,
            "source": source,
            "from_file": from_file,
        }
        await conn.execute(insert(PolicyInForceRow).values(row))
        if ruling == policy.hash:
            return Applied(hash=policy.hash, previous=ruling, changed=False)
        old = await self.policies.by_hash(ruling) if ruling else None
        different = changes(old, policy) if old else ()
        body: dict[str, object] = {
            "old": ruling,
            "new": policy.hash,
            "source": source,
            "changed": len(different),
            "changes": [change.model_dump() for change in different[:LOGGED_CHANGES]],
        }
        await append_in(conn, "policy_changed", by, body, now)
        return Applied(hash=policy.hash, previous=ruling, changed=True, changes=different)


async def _newest(conn: AsyncConnection) -> str | None:
    query = select(PolicyInForceRow.hash).order_by(PolicyInForceRow.seq.desc()).limit(1)
    return await conn.scalar(query)
