"""The step that saves who is affected, with reasons and exclusions."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict
from temporalio import activity

from domain.events import Targeted
from domain.facts import audience_rule
from domain.incident import IncidentState
from domain.policy import Policy
from domain.ports import Audiences, Clock, Policies, TrustRecords
from domain.trust import tightened


class TargetInput(BaseModel):
    model_config = ConfigDict(frozen=True)

    state: IncidentState
    policy_hash: str


class TargetActivities:
    """Takes the audience snapshot of an incident; the same rule again only grows it."""

    def __init__(
        self, audiences: Audiences, policies: Policies, clock: Clock, trust: TrustRecords
    ) -> None:
        self._audiences = audiences
        self._trust = trust
        self._policies = policies
        self._clock = clock

    @activity.defn(name="take_audience")
    async def take_audience(self, target: TargetInput) -> Targeted:
        policy = await self._policies.by_hash(target.policy_hash)
        rule = audience_rule(target.state, policy)
        count = await self._audiences.snapshot(target.state.id, rule, policy, self._clock())
        return Targeted(
            audience=count, tightened=await self._tightened(target.state.category, policy)
        )

    async def _tightened(self, category: str, policy: Policy) -> bool:
        """Asked for relaxed categories alone: no other can lose what it never had."""
        if policy.trust is None or category not in policy.trust.accepted:
            return False
        return tightened(policy, category, await self._trust.last_bad_send(category))
