"""A provider's rate limit, shared by all workers: one token bucket per name in PostgreSQL."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

# How long a wish for tokens counts without being repeated; waits are shorter, so it is repeated.
DEMAND_SECONDS = 2.0
LONGEST_WAIT = 1.0

_BUCKET = text(
    "INSERT INTO rate_limits (name, per_minute, tokens, refilled_at)"
    " VALUES (:name, :per_minute, :burst, coalesce(:now, clock_timestamp()))"
    " ON CONFLICT (name) DO NOTHING"
)
_LOCKED = text("SELECT tokens, refilled_at FROM rate_limits WHERE name = :name FOR UPDATE")
# The clock is read once the lock is held: time spent waiting for it has filled the bucket too.
_DEMAND = text(
    """
    WITH clock AS MATERIALIZED (SELECT coalesce(:now, clock_timestamp()) AS at),
    wish AS (
        INSERT INTO rate_demand (name, broadcast_id, priority, expires_at)
        SELECT :name, :broadcast, :priority, at + make_interval(secs => :fresh) FROM clock
        ON CONFLICT (name, broadcast_id)
        DO UPDATE SET priority = excluded.priority, expires_at = excluded.expires_at
    )
    SELECT at, EXISTS (
        SELECT 1 FROM rate_demand d
        WHERE d.name = :name AND d.broadcast_id <> :broadcast
          AND d.priority < :priority AND d.expires_at > clock.at
    ) AS outranked FROM clock
    """
)
_TAKE = text(
    "UPDATE rate_limits SET per_minute = :per_minute, tokens = :tokens, refilled_at = :at"
    " WHERE name = :name"
)
_RETURN = text(
    "UPDATE rate_limits SET tokens = least(tokens + :tokens, greatest(per_minute / 60.0, 1))"
    " WHERE name = :name"
)


class Draw(NamedTuple):
    """Tokens granted; with none, ask again after `wait_seconds`."""

    granted: int
    wait_seconds: float


class RateLimits:
    """Token buckets that refill continuously and hold one second's worth, at least one token."""

    def __init__(self, engine: AsyncEngine) -> None:
        self.engine = engine

    async def draw(
        self,
        name: str,
        per_minute: int | None,
        want: int,
        broadcast_id: int,
        priority: int,
        now: datetime | None = None,
    ) -> Draw:
        """Take up to `want` tokens; none while somebody of better (smaller) priority asks.

        `per_minute` None is no limit and costs no round trip. `now` replaces the database clock.
        """
        if per_minute is None:
            return Draw(want, 0.0)
        rate = per_minute / 60
        burst = max(rate, 1.0)
        async with self.engine.begin() as conn:
            await conn.execute(
                _BUCKET, {"name": name, "per_minute": per_minute, "burst": burst, "now": now}
            )
            bucket = (await conn.execute(_LOCKED, {"name": name})).one()
            asked = (
                await conn.execute(
                    _DEMAND,
                    {
                        "name": name,
                        "broadcast": broadcast_id,
                        "priority": priority,
                        "fresh": DEMAND_SECONDS,
                        "now": now,
                    },
                )
            ).one()
            elapsed = max((asked.at - bucket.refilled_at).total_seconds(), 0.0)
            tokens = min(bucket.tokens + elapsed * rate, burst)
            granted = 0 if asked.outranked else min(want, int(tokens))
            await conn.execute(
                _TAKE,
                {
                    "name": name,
                    "per_minute": per_minute,
                    "tokens": tokens - granted,
                    "at": max(asked.at, bucket.refilled_at),
                },
            )
        if granted:
            return Draw(granted, 0.0)
        # Half a bucket at a time: single tokens would cost a round trip for each message.
        enough = max(1.0, min(want, burst / 2))
        wait = LONGEST_WAIT if asked.outranked or not rate else (enough - tokens) / rate
        return Draw(0, min(max(wait, 0.01), LONGEST_WAIT))

    async def put_back(self, name: str, per_minute: int | None, tokens: int) -> None:
        """Return tokens that were drawn and not used."""
        if per_minute is None or tokens <= 0:
            return
        async with self.engine.begin() as conn:
            await conn.execute(_RETURN, {"name": name, "tokens": tokens})
