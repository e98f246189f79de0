"""The shared bucket: never more than the rate, the worst incident first."""

from __future__ import annotations

import asyncio
import time
from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from adapters.db.rate_limits import RateLimits


async def test_concurrent_drawers_never_exceed_the_rate(engine: AsyncEngine) -> None:
    per_minute, limits = 6000, RateLimits(engine)
    # The bucket starts full; its first draw begins the clock.
    started = time.monotonic()

    async def drawer(broadcast: int) -> int:
        total = 0
        while time.monotonic() - started < 1:
            granted, wait = await limits.draw("email", per_minute, 25, broadcast, 1)
            total += granted
            if not granted:
                await asyncio.sleep(wait)
        return total

    drawn = sum(await asyncio.gather(drawer(1), drawer(2)))
    elapsed = time.monotonic() - started
    burst = per_minute / 60
    assert drawn <= per_minute / 60 * elapsed + burst
    # And it does let through what it may.
    assert drawn > per_minute / 60 * 0.5


async def test_a_worse_incident_waits_while_a_better_one_asks(
    engine: AsyncEngine, now: datetime
) -> None:
    limits = RateLimits(engine)

    async def draw(broadcast: int, priority: int, seconds: float, want: int = 50) -> int:
        at = now + timedelta(seconds=seconds)
        return (await limits.draw("email", 1200, want, broadcast, priority, at)).granted

    assert await draw(3, 3, 0) == 20
    assert await draw(1, 1, 0.5) == 10
    assert await draw(3, 3, 1.5) == 0
    assert await draw(1, 1, 1.5, want=5) == 5
    # The better one is done: its wish is forgotten two seconds later.
    assert await draw(3, 3, 3.4) == 0
    assert await draw(3, 3, 3.6) == 20


async def test_equals_share_and_names_do_not_mix(engine: AsyncEngine, now: datetime) -> None:
    limits = RateLimits(engine)
    assert (await limits.draw("email", 600, 4, 1, 1, now)).granted == 4
    assert (await limits.draw("email", 600, 50, 2, 1, now)).granted == 6
    assert (await limits.draw("sms", 600, 50, 2, 1, now)).granted == 10
    empty = await limits.draw("email", 600, 50, 1, 1, now)
    assert empty.granted == 0 and 0 < empty.wait_seconds <= 1


async def test_slow_limits_still_let_one_through(engine: AsyncEngine, now: datetime) -> None:
    limits = RateLimits(engine)
    assert (await limits.draw("sms", 1, 50, 1, 1, now)).granted == 1
    assert (await limits.draw("sms", 1, 50, 1, 1, now + timedelta(seconds=59))).granted == 0
    assert (await limits.draw("sms", 1, 50, 1, 1, now + timedelta(seconds=61))).granted == 1


async def test_returned_tokens_can_be_drawn_but_never_pile_up(
    engine: AsyncEngine, now: datetime
) -> None:
    limits = RateLimits(engine)
    await limits.draw("email", 600, 10, 1, 1, now)
    await limits.put_back("email", 600, 7)
    assert (await limits.draw("email", 600, 50, 1, 1, now)).granted == 7
    await limits.put_back("email", 600, 500)
    assert (await limits.draw("email", 600, 50, 1, 1, now)).granted == 10


async def test_a_changed_limit_holds_from_the_next_draw(engine: AsyncEngine, now: datetime) -> None:
    limits = RateLimits(engine)
    await limits.draw("email", 6000, 0, 1, 1, now)
    assert (await limits.draw("email", 60, 50, 1, 1, now)).granted == 1


async def test_no_limit_needs_no_database() -> None:
    nowhere = create_async_engine("postgresql+psycopg://nobody@127.0.0.1:1/none")
    assert await RateLimits(nowhere).draw("email", None, 50, 1, 1) == (50, 0.0)
