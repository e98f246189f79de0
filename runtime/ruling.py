"""Keeps a program at the policy in force: asked every few seconds, so that nobody restarts it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime

import structlog
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.db.policies_in_force import PoliciesInForce
from domain.errors import NotFound
from domain.policy import Policy

log = structlog.get_logger(__name__)

LOOK_SECONDS = 2.0
RETRY_SECONDS = 0.5


class Ruling:
    """Hands the policy in force to `adopt` whenever it is another one than before."""

    def __init__(
        self,
        engine: AsyncEngine,
        policy: Policy,
        adopt: Callable[[Policy], None],
        now: Callable[[], datetime],
    ) -> None:
        self._store = PoliciesInForce(engine)
        self._file = policy
        self._hash = policy.hash
        self._adopt = adopt
        self._now = now

    async def begin(self, source: str) -> None:
        """Put the file's policy in force if the file changed; take up what is in force."""
        self._take(await self._store.begin(self._file, source, self._now()))
        if self._hash != self._file.hash:
            log.warning("policy_file_not_in_force", file=self._file.hash, in_force=self._hash)

    async def look(self) -> bool:
        """Take up a policy that came into force since; says whether there was one."""
        ruling = await self._store.now()
        if ruling is None or ruling == self._hash:
            return False
        self._take(await self._store.policies.by_hash(ruling))
        return True

    async def run_forever(self, source: str | None = None) -> None:
        """Begin as soon as PostgreSQL answers (unless that is done), then follow until cancelled.

        Without `source` the program has begun already.
        """
        while source is not None:
            try:
                await self.begin(source)
            except (SQLAlchemyError, OSError) as error:
                log.warning("policy_not_stored_yet", error=type(error).__name__)
                await asyncio.sleep(RETRY_SECONDS)
            else:
                break
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                await self.look()
            except (SQLAlchemyError, OSError, NotFound) as error:
                # The next look tries again; until then the policy before goes on ruling.
                log.warning("policy_not_looked_up", error=type(error).__name__)
            except ValueError:
                # Written by a newer program, with what this one cannot read: it goes on as it is.
                log.exception("policy_not_understood")

    def _take(self, policy: Policy) -> None:
        if policy.hash == self._hash:
            return
        log.info("policy_taken_up", old=self._hash, new=policy.hash)
        self._hash = policy.hash
        self._adopt(policy)
