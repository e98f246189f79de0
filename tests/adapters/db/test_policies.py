from __future__ import annotations

from datetime import datetime

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.db.policies import PolicyStore
from domain.errors import NotFound
from domain.policy import Policy


async def test_a_policy_comes_back_under_its_hash_unchanged(
    engine: AsyncEngine, policy: Policy, now: datetime
) -> None:
    assert await PolicyStore(engine).save(policy, "default.yaml", now)
    assert not await PolicyStore(engine).save(policy, "again", now)
    # A store that has not seen it reads it from the database, whose JSONB reorders keys.
    found = await PolicyStore(engine).by_hash(policy.hash)
    assert found == policy
    assert found.hash == policy.hash


async def test_an_unknown_hash_is_not_found(engine: AsyncEngine) -> None:
    with pytest.raises(NotFound, match="beef"):
        await PolicyStore(engine).by_hash("beef")
