"""The step that writes an incident which is split off another one."""

from __future__ import annotations

from temporalio import activity

from domain.ports import Clock, Policies
from domain.split import SplitOpening, SplitResult, Splits


class SplitActivities:
    """Takes an incident apart in one transaction."""

    def __init__(self, splits: Splits, policies: Policies, clock: Clock) -> None:
        self._splits = splits
        self._policies = policies
        self._clock = clock

    @activity.defn(name="open_split")
    async def open_split(self, opening: SplitOpening) -> SplitResult:
        policy = await self._policies.by_hash(opening.policy_hash)
        return await self._splits.open(opening, policy, self._clock)
