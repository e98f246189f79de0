"""The back-test's result: every incident, what it adds up to, and what was assumed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median
from typing import Any

from domain.backtest import Assumptions, Count
from domain.backtest_compare import beside_operator, difference, under_other
from domain.backtest_record import ActualMessage, Told
from domain.incident import Frozen
from domain.policy import Policy
from domain.policy_base import format_duration
from domain.signal import Severity
from runtime.backtest.signals import Recording
from runtime.backtest.world import Progress, World

ALL = "all"


class Total(Frozen):
    """Sums over incidents, of one severity or of all; None: there was nothing to measure.

    `operator_*` count only incidents of which the recording holds what the operator said;
    `*_in_rhythm` are pauses that kept the rhythm promised at their incident's severity,
    `*_in_shortest` those that kept the policy's shortest one, `unbroken_*` incidents in which all
    pauses did.
    """

    severity: str
    incidents: int
    never_confirmed: int
    messages: int
    promises_kept: int
    promises_missed: int
    longest_silence_median_seconds: int | None
    operator_incidents: int
    operator_messages: int
    operator_gaps: int
    operator_gaps_in_rhythm: int
    operator_gaps_with_rhythm: int
    operator_gaps_in_shortest: int
    operator_unbroken_in_rhythm: int
    operator_unbroken_in_shortest: int
    operator_longest_silence_median_seconds: int | None
    first_earlier: int
    first_later: int
    first_later_median_seconds: int | None

    @property
    def kept_share(self) -> float | None:
        """Share of our promises that would have been kept."""
        settled = self.promises_kept + self.promises_missed
        return self.promises_kept / settled if settled else None


class Plan(Frozen):
    """Which policy it was."""

    name: str
    hash: str


class Report(Frozen):
    """All that a back-test found; `remarks` are keys of the content with how often they apply."""

    policy: Plan
    against: Plan | None
    assumptions: dict[str, str]
    shortest_rhythm_seconds: int | None
    signals: int
    ignored_signals: int
    remarks: dict[str, int]
    totals: tuple[Total, ...]
    against_totals: tuple[Total, ...]
    incidents: tuple[Told, ...]

    def data(self) -> dict[str, Any]:
        """The same as plain JSON."""
        data = self.model_dump(mode="json")
        for key in ("totals", "against_totals"):
            for row, total in zip(data[key], getattr(self, key), strict=True):
                row["kept_share"] = total.kept_share
        return data


@dataclass(frozen=True)
class Test:
    """What a back-test is run with; `people` says how recipients were counted."""

    recording: Recording
    assumed: Assumptions
    count: Count
    people: str

    __test__ = False

    def run(
        self,
        policy: tuple[str, Policy],
        against: tuple[str, Policy] | None,
        progress: Progress = lambda done, of: None,
    ) -> Report:
        """Play everything under one policy, or under two that are compared."""
        name, rules = policy
        rounds = 2 if against else 1
        world, played = self._play(rules, lambda done, of: progress(done, of * rounds))
        others: list[Told] = []
        if against is not None:
            other_world, other = self._play(
                against[1], lambda done, of: progress(of + done, of * rounds)
            )
            others = list(other.values())
            played = _paired(world, played, other_world, other)
        shown = sorted(played.values(), key=lambda told: (-difference(told), told.opened_at))
        return Report(
            policy=Plan(name=name, hash=rules.hash),
            against=Plan(name=against[0], hash=against[1].hash) if against else None,
            assumptions=self._assumptions(),
            shortest_rhythm_seconds=shortest_rhythm(rules),
            signals=len(self.recording.signals),
            ignored_signals=len(world.ignored),
            remarks=self.recording.remarks,
            totals=totals(shown),
            against_totals=totals(others) if against else (),
            incidents=tuple(shown),
        )

    def _play(self, policy: Policy, progress: Progress) -> tuple[World, dict[str, Told]]:
        world = World(policy, self.assumed, self.count)
        played = world.play(self.recording.signals, self.recording.actual, progress)
        said: dict[str, list[ActualMessage]] = {}
        for message in self.recording.actual:
            said.setdefault(message.incident, []).append(message)
        shortest = shortest_rhythm(policy)
        return world, {
            home: beside_operator(
                told, [m for name in told.recorded for m in said.get(name, ())], shortest
            )
            for home, told in played.items()
        }

    def _assumptions(self) -> dict[str, str]:
        assumed = self.assumed
        return {
            "approve_after": _delay(assumed.approve_after),
            "confirm_after": _delay(assumed.confirm_after),
            "give_up_after": format_duration(assumed.give_up_after),
            "recipients": self.people,
        }


def totals(incidents: Iterable[Told]) -> tuple[Total, ...]:
    """One row for each severity that occurs, then one for all."""
    told = list(incidents)
    rows = [
        _total(severity.value, [t for t in told if t.worst is severity])
        for severity in Severity
        if any(t.worst is severity for t in told)
    ]
    return (*rows, _total(ALL, told))


def shortest_rhythm(policy: Policy) -> int | None:
    """The shortest pause between updates that the policy promises anywhere, in seconds."""
    every = [plan.update_every for plan in policy.severities.values() if plan.update_every]
    return round(min(every).total_seconds()) if every else None


def _paired(
    world: World, played: dict[str, Told], other_world: World, other: dict[str, Told]
) -> dict[str, Told]:
    """Each incident beside the one that holds its first alert under the other policy."""
    found = {}
    deliveries: dict[str, list[tuple[str, str]]] = {}
    for delivery, home in world.homes.items():
        deliveries.setdefault(home, []).append(delivery)
    sizes: dict[str, int] = {}
    for home in other_world.homes.values():
        sizes[home] = sizes.get(home, 0) + 1
    for home, told in played.items():
        mine = deliveries[home]
        twin = other_world.homes[mine[0]]
        alike = sizes[twin] == len(mine) and all(other_world.homes.get(d) == twin for d in mine)
        found[home] = under_other(told, other[twin], alike)
    return found


def _total(severity: str, told: list[Told]) -> Total:
    compared = [(t, t.operator) for t in told if t.operator is not None]
    first = [o.first_later_seconds for _, o in compared if o.first_later_seconds is not None]
    states = [promise.state for t in told for promise in t.promises]
    rhythm = [o for _, o in compared if o.gaps_in_rhythm is not None]
    return Total(
        severity=severity,
        incidents=len(told),
        never_confirmed=sum(t.confirmed_at is None for t in told),
        messages=sum(len(t.thread) for t in told),
        promises_kept=states.count("kept"),
        promises_missed=states.count("missed"),
        longest_silence_median_seconds=_middle(t.longest_silence_seconds for t in told if t.thread),
        operator_incidents=len(compared),
        operator_messages=sum(o.messages for _, o in compared),
        operator_gaps=sum(o.gaps for _, o in compared),
        operator_gaps_in_rhythm=sum(o.gaps_in_rhythm or 0 for o in rhythm),
        operator_gaps_with_rhythm=sum(o.gaps for o in rhythm),
        operator_gaps_in_shortest=sum(o.gaps_in_shortest or 0 for _, o in compared),
        operator_unbroken_in_rhythm=sum(o.gaps_in_rhythm == o.gaps for o in rhythm),
        operator_unbroken_in_shortest=sum(o.gaps_in_shortest == o.gaps for _, o in compared),
        operator_longest_silence_median_seconds=_middle(
            o.longest_silence_seconds for _, o in compared
        ),
        first_earlier=sum(later < 0 for later in first),
        first_later=sum(later > 0 for later in first),
        first_later_median_seconds=_middle(first),
    )


def _middle(values: Iterable[int]) -> int | None:
    listed = list(values)
    return round(median(listed)) if listed else None


def _delay(after: Any) -> str:
    return "never" if after is None else format_duration(after)
