"""Keeps the policy's retention without anybody thinking of it: once a day, in the gateway."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from datetime import datetime, timedelta

import structlog
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.db.retention import RetentionRun
from domain.errors import Refused
from domain.policy import Policy

log = structlog.get_logger(__name__)

EVERY = timedelta(days=1)
# Not at the start: whoever restarts a gateway has other things in mind.
LOOK_SECONDS = 900.0
BY = "forewarn"


async def run_daily(
    engine: AsyncEngine, policy: Callable[[], Policy], now: Callable[[], datetime]
) -> None:
    """Run until cancelled, by the policy of the day; of several gateways one does it."""
    while True:
        await asyncio.sleep(LOOK_SECONDS * random.uniform(0.5, 1.0))
        try:
            await run_if_due(engine, policy(), now())
        except (SQLAlchemyError, OSError) as error:
            log.warning("retention_waits_for_postgresql", error=type(error).__name__)


async def run_if_due(engine: AsyncEngine, policy: Policy, now: datetime) -> bool:
    """Run it unless it ran, or runs, within the last day; says whether it did."""
    keeper = RetentionRun(engine)
    last = await keeper.last_run()
    if last is not None and now - last < EVERY:
        return False
    try:
        report = await keeper.run(policy.retention, now, BY)
    except Refused:
        return False
    log.info("retention_done", rows=sum(line.rows for line in report.lines))
    return True
