"""Comparing what would have gone out: with what the real operator said, and with another policy."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from itertools import pairwise

from domain.backtest_record import ActualMessage, Change, Operator, OtherPolicy, Sent, Told
from domain.message import Moment


def longest_silence(times: Sequence[datetime]) -> int:
    """The longest pause between two messages that follow each other, in seconds."""
    gaps = [later - earlier for earlier, later in pairwise(sorted(times))]
    return round(max(gaps, default=timedelta()).total_seconds())


def beside_operator(told: Told, actual: Iterable[ActualMessage], shortest: int | None) -> Told:
    """The incident with what the real operator said of it, and how that compares.

    `shortest` is the shortest rhythm of the policy in seconds, None where it has none.
    """
    theirs = tuple(sorted(actual, key=lambda m: m.at))
    if not theirs:
        return told
    times = [m.at for m in theirs]
    ours = [m.at for m in told.thread]
    gaps = [round((later - earlier).total_seconds()) for earlier, later in pairwise(times)]
    rhythm = told.rhythm_seconds
    operator = Operator(
        messages=len(theirs),
        first_at=times[0],
        last_at=times[-1],
        first_later_seconds=round((min(ours) - times[0]).total_seconds()) if ours else None,
        longest_silence_seconds=longest_silence(times),
        rhythm_seconds=rhythm,
        gaps=len(gaps),
        gaps_in_rhythm=_within(gaps, rhythm),
        gaps_in_shortest=_within(gaps, shortest),
    )
    return told.model_copy(update={"actual": theirs, "operator": operator})


def _within(gaps: Sequence[int], rhythm: int | None) -> int | None:
    return None if rhythm is None else sum(gap <= rhythm for gap in gaps)


def under_other(told: Told, other: Told, grouped_alike: bool) -> Told:
    """The incident with what another policy would have done with it."""
    return told.model_copy(
        update={
            "other": OtherPolicy(
                severity=other.worst,
                category=other.category,
                stage=other.stage,
                messages=other.messages,
                grouped_alike=grouped_alike,
                changes=changes(told.to_customers, other.to_customers),
            )
        }
    )


def changes(ours: Sequence[Sent], others: Sequence[Sent]) -> tuple[Change, ...]:
    """What the other policy adds, leaves out, moves in time or sends elsewhere.

    Messages are the same when they are the n-th of their moment.
    """
    here, there = _numbered(ours), _numbered(others)
    found = []
    for key in sorted(here.keys() | there.keys(), key=lambda k: _when(here, there, k)):
        one, two = here.get(key), there.get(key)
        moment, nth = key
        if one is None and two is not None:
            kind = "added"
        elif one is not None and two is None:
            kind = "missing"
        elif one is None or two is None:
            continue
        elif one.at != two.at:
            kind = "moved"
        elif set(one.channels) != set(two.channels):
            kind = "channels"
        else:
            continue
        found.append(
            Change.model_validate(
                {
                    "kind": kind,
                    "moment": moment,
                    "nth": nth,
                    "at": one and one.at,
                    "other_at": two and two.at,
                    "channels": one.channels if one else (),
                    "other_channels": two.channels if two else (),
                }
            )
        )
    return tuple(found)


def difference(told: Told) -> float:
    """How much there is to look at: changes of policy first, then distance from the operator."""
    if told.other is not None:
        changed = told.other.severity is not told.worst or told.other.category != told.category
        return len(told.other.changes) + 1000 * changed + 100 * (not told.other.grouped_alike)
    if told.operator is None:
        return 0
    silence = told.operator.longest_silence_seconds - told.longest_silence_seconds
    return abs(silence) + abs(told.operator.first_later_seconds or 0)


def _numbered(messages: Sequence[Sent]) -> dict[tuple[Moment, int], Sent]:
    counts: dict[Moment, int] = {}
    found = {}
    for message in messages:
        counts[message.moment] = counts.get(message.moment, 0) + 1
        found[message.moment, counts[message.moment]] = message
    return found


def _when(
    here: dict[tuple[Moment, int], Sent],
    there: dict[tuple[Moment, int], Sent],
    key: tuple[Moment, int],
) -> tuple[datetime, str]:
    one = here.get(key) or there[key]
    return one.at, key[0].value
