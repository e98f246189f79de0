"""The step that writes an incident which is split off another one."""

from __future__ import annotations

from typing import Protocol

from pydantic import BaseModel, ConfigDict
from temporalio import activity

from domain.cascade import Splitting
from domain.incident import IncidentState
from domain.policy import Policy
from domain.ports import Clock, Policies


class SplitOpening(BaseModel):
    """What is split off which incident; `state` is what is left of it."""

    model_config = ConfigDict(frozen=True)

    state: IncidentState
    split: Splitting
    policy_hash: str


class SplitResult(BaseModel):
    """The new incident as it begins, and the alerts: those it got, and those left behind."""

    model_config = ConfigDict(frozen=True)

    state: IncidentState
    alerts: int = 0
    left_firing: int = 0
    left_quiet: bool = False


class Splits(Protocol):
    """Where incidents are taken apart."""

    async def open(self, opening: SplitOpening, policy: Policy, clock: Clock) -> SplitResult:
        """Write the new incident with its alerts and its people; again changes nothing."""
        ...


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
