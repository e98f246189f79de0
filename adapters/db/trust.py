"""What people decided on drafts, by category, and when a message had to be taken back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import cast

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.message import Moment
from domain.policy import Policy
from domain.step import STAFF_CHANNELS
from domain.trust import BAD_SENDS, Decision, Standing, standing

# A post-mortem is reviewed, and what executives read is no message to customers.
_ASIDE = [Moment.POST_MORTEM.value, Moment.EXECUTIVE.value]
_DECIDED = text(
    """
    SELECT category, decided_at, kind FROM (
        SELECT i.category, d.decided_at,
               CASE WHEN d.decision = 'rejected' THEN 'rejected'
                    WHEN d.based_on IS NULL THEN 'unedited' ELSE 'edited' END AS kind,
               row_number() OVER (PARTITION BY i.category ORDER BY d.decided_at DESC) AS n
        FROM drafts d JOIN incidents i ON i.id = d.incident_id
        WHERE d.decision IN ('approved', 'rejected') AND d.decided_by IS NOT NULL
          AND d.decided_by NOT LIKE 'policy%' AND d.moment <> ALL (:aside) AND NOT i.dry_run
    ) decided
    WHERE n <= :window ORDER BY category, decided_at DESC
    """
)
_BAD = text(
    """
    SELECT i.category, max(b.created_at) AS at
    FROM broadcasts b JOIN incidents i ON i.id = b.incident_id
    WHERE b.moment = ANY (:moments) AND NOT b.dry_run AND NOT b.channels <@ cast(:staff AS text[])
      AND (cast(:category AS text) IS NULL OR i.category = :category)
    GROUP BY i.category
    """
)


class TrustStore:
    """Implements `domain.ports.TrustRecords` on PostgreSQL."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def last_bad_send(self, category: str) -> datetime | None:
        """When customers were last told that a message of this category was wrong."""
        return (await self._bad_sends(category)).get(category)

    async def standings(self, policy: Policy, now: datetime) -> list[Standing]:
        """How each category of the policy stands; none without a rule of trust."""
        if policy.trust is None:
            return []
        decided: dict[str, list[tuple[datetime, Decision]]] = {}
        async with self._engine.connect() as conn:
            rows = await conn.execute(_DECIDED, {"aside": _ASIDE, "window": policy.trust.window})
            for row in rows:
                kind = cast(Decision, row.kind)
                decided.setdefault(row.category, []).append((row.decided_at, kind))
        bad = await self._bad_sends(None)
        return _standings(policy, decided, bad, now)

    async def _bad_sends(self, category: str | None) -> dict[str, datetime]:
        given = {
            "moments": [moment.value for moment in BAD_SENDS],
            "staff": [channel.value for channel in STAFF_CHANNELS],
            "category": category,
        }
        async with self._engine.connect() as conn:
            return {row.category: row.at for row in await conn.execute(_BAD, given)}


def _standings(
    policy: Policy,
    decided: Mapping[str, Sequence[tuple[datetime, Decision]]],
    bad: Mapping[str, datetime],
    now: datetime,
) -> list[Standing]:
    found = (
        standing(policy, name, decided.get(name, ()), bad.get(name), now)
        for name in policy.categories
    )
    return [one for one in found if one is not None]
