"""What planned work is advised: room for surprises, and the hours in which fewest are at work."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from domain.incident import Frozen
from domain.maintenance_policy import MaintenancePlan

HOURS = 24
HOUR = timedelta(hours=1)
SUGGESTED = 3


class QuietWindow(Frozen):
    """A window, and the share of the day's activity that falls into it."""

    starts_at: datetime
    ends_at: datetime
    share: float


class Advice(Frozen):
    """`lasts` is the estimate with its buffer, in minutes; no `windows` without enough readings.

    `readings` is how many times of activity were found.
    """

    estimate: int
    lasts: int
    readings: int
    enough_data: bool
    windows: tuple[QuietWindow, ...] = ()


def advise(
    figures: MaintenancePlan, estimate: timedelta, readings: Sequence[int], now: datetime
) -> Advice:
    """Advice from an estimate and the readings of each hour of the day in UTC (24 numbers)."""
    lasts = buffered(figures, estimate)
    total, enough = sum(readings), sum(readings) >= figures.least_activity
    return Advice(
        estimate=minutes(estimate),
        lasts=minutes(lasts),
        readings=total,
        enough_data=enough,
        windows=_quietest(readings, lasts, now) if enough else (),
    )


def buffered(figures: MaintenancePlan, estimate: timedelta) -> timedelta:
    """The estimate with the policy's buffer on top, in whole minutes."""
    return timedelta(minutes=math.ceil(estimate.total_seconds() * (1 + figures.buffer) / 60))


def minutes(length: timedelta) -> int:
    return math.ceil(length.total_seconds() / 60)


def _quietest(readings: Sequence[int], lasts: timedelta, now: datetime) -> tuple[QuietWindow, ...]:
    """The hours of the day with the least activity, each at its next occurrence."""
    length, total = max(1, math.ceil(lasts / HOUR)), sum(readings)

    def activity(first: int) -> int:
        # A window of more than a day holds every hour at least once.
        return sum(readings[(first + step) % HOURS] for step in range(length))

    midnight = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    found = []
    for hour in sorted(range(HOURS), key=lambda first: (activity(first), first))[:SUGGESTED]:
        starts = midnight + hour * HOUR
        if starts <= now:
            starts += timedelta(days=1)
        share = min(1.0, activity(hour) / total) if total else 0.0
        found.append(QuietWindow(starts_at=starts, ends_at=starts + lasts, share=round(share, 4)))
    return tuple(found)
