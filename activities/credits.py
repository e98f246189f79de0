"""The step that works out what accounts are owed for an outage."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from pydantic import BaseModel, ConfigDict
from temporalio import activity

from domain.events import CreditsProposed
from domain.incident import IncidentState
from domain.policy import Policy
from domain.ports import Clock, Policies


class CreditsInput(BaseModel):
    model_config = ConfigDict(frozen=True)

    state: IncidentState
    policy_hash: str


class CreditBook(Protocol):
    """Where credits are worked out and kept."""

    async def propose(
        self, state: IncidentState, policy: Policy, until: datetime, now: datetime
    ) -> CreditsProposed: ...


class CreditActivities:
    """Proposes; approving is for a person (PRODUCT 8)."""

    def __init__(self, book: CreditBook, policies: Policies, clock: Clock) -> None:
        self._book = book
        self._policies = policies
        self._clock = clock

    @activity.defn(name="propose_credits")
    async def propose_credits(self, asked: CreditsInput) -> CreditsProposed:
        """Work out the credits anew; what a person decided stays as it is."""
        policy = await self._policies.by_hash(asked.policy_hash)
        now = self._clock()
        return await self._book.propose(asked.state, policy, asked.state.resolved_at or now, now)
