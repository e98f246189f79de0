"""Every policy that ever ruled, so that an incident is judged by the one it began under."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.db.models import PolicyRow
from domain.errors import NotFound
from domain.policy import Policy


class PolicyStore:
    """Implements `domain.ports.Policies`; a policy never changes under its hash, so it is kept."""

    def __init__(self, engine: AsyncEngine) -> None:
        self.engine = engine
        self._known: dict[str, Policy] = {}

    async def save(self, policy: Policy, source: str, now: datetime) -> bool:
        """Store a policy under its hash; True when it is new, False when it was there already."""
        row = {
            "hash": policy.hash,
            "content": policy.model_dump(mode="json"),
            "source": source,
            "loaded_at": now,
        }
        statement = insert(PolicyRow).values(row).on_conflict_do_nothing().returning(PolicyRow.hash)
        async with self.engine.begin() as connection:
            new = (await connection.execute(statement)).first() is not None
        self._known[policy.hash] = policy
        return new

    async def by_hash(self, policy_hash: str) -> Policy:
        """The policy with this hash; raises NotFound."""
        if policy_hash not in self._known:
            statement = select(PolicyRow.content).where(PolicyRow.hash == policy_hash)
            async with self.engine.connect() as connection:
                content = await connection.scalar(statement)
            if content is None:
                raise NotFound(f"no policy has the hash {policy_hash!r}")
            self._known[policy_hash] = Policy.model_validate(content)
        return self._known[policy_hash]
