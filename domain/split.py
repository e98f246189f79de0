"""What it takes to open an incident that is split off another one, and what comes of it."""

from __future__ import annotations

from typing import Protocol

from domain.cascade import Splitting
from domain.incident import IncidentState
from domain.policy import Policy
from domain.ports import Clock, Model


class SplitOpening(Model):
    """What is split off which incident; `state` is what is left of it."""

    state: IncidentState
    split: Splitting
    policy_hash: str


class SplitResult(Model):
    """The new incident as it begins, and the alerts: those it got, and those left behind."""

    state: IncidentState
    alerts: int = 0
    left_firing: int = 0
    left_quiet: bool = False


class Splits(Protocol):
    """Where incidents are taken apart."""

    async def open(self, opening: SplitOpening, policy: Policy, clock: Clock) -> SplitResult:
        """Write the new incident with its alerts and its people; again changes nothing."""
        ...
