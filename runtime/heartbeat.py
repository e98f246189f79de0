"""The dead-man's switch: a sign of life to somebody outside, only while the whole chain works.

What watches Forewarn may die with it. So whoever offers FOREWARN_HEARTBEAT_URL waits for a call
each minute and raises the alarm when none comes: silence is the message.
"""

from __future__ import annotations

import asyncio

import httpx2
import structlog

from runtime.figures import Snapshot, Watch
from workflows.names import QUEUE_INCIDENTS

log = structlog.get_logger(__name__)

EVERY_SECONDS = 60.0
# After silence: what starts up, or comes back, is heard of soon.
AGAIN_SECONDS = 10.0
LONGEST_INBOX_LAG = 60.0
LONGEST_OVERDUE = 60.0
TIMEOUT_SECONDS = 10.0
# The policy of retry: three calls five seconds apart, all within the minute; then the next minute.
CALLS = 3
BETWEEN_CALLS = 5.0


class Heartbeat:
    """Calls an address once a minute, unless something is wrong; `silent` says what."""

    def __init__(self, url: str, watch: Watch, between_calls: float = BETWEEN_CALLS) -> None:
        self._url = url
        self._watch = watch
        self._between = between_calls
        self._silent: str | None = None

    @property
    def silent(self) -> str | None:
        """Why the last sign of life was withheld, or did not get through; None when it did."""
        return self._silent

    async def run_forever(self) -> None:
        """Give signs of life until cancelled."""
        while True:
            heard = False
            try:
                heard = await self.beat()
            except Exception:
                # The next look tries again; until then silence says that something is wrong.
                log.exception("heartbeat_failed")
            await asyncio.sleep(EVERY_SECONDS if heard else AGAIN_SECONDS)

    async def beat(self) -> bool:
        """One sign of life, if it is deserved; whether it was given and got through."""
        wrong = failing(await self._watch.snapshot(newest=True))
        if wrong is not None:
            log.error("heartbeat_withheld", reason=wrong)
        elif not await self._call():
            wrong = "nobody answered the heartbeat"
        self._silent = wrong
        return wrong is None

    async def _call(self) -> bool:
        for attempt in range(CALLS):
            if attempt:
                await asyncio.sleep(self._between)
            try:
                async with httpx2.AsyncClient(timeout=TIMEOUT_SECONDS) as client:
                    answer = await client.get(self._url)
            except httpx2.HTTPError as error:
                # Not its text: the address is a secret of whoever offers it.
                log.warning("heartbeat_not_heard", error=type(error).__name__)
                continue
            if answer.is_success:
                return True
            log.warning("heartbeat_not_heard", status=answer.status_code)
        return False


def failing(chain: Snapshot) -> str | None:
    """The first link of the chain that does not work; None when all do."""
    database, temporal = chain.database, chain.temporal
    if database is None:
        return "PostgreSQL does not answer"
    if temporal is None:
        return "Temporal does not answer"
    if not temporal.polling.get(QUEUE_INCIDENTS):
        return f"no worker asks the queue {QUEUE_INCIDENTS} for work"
    if database.inbox_lag_seconds > LONGEST_INBOX_LAG:
        return f"a signal has waited {database.inbox_lag_seconds:.0f} s for its workflow"
    if database.most_overdue_seconds > LONGEST_OVERDUE:
        return f"a promised update is {database.most_overdue_seconds:.0f} s overdue"
    return None
