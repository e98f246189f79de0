"""What happened in a simulated world, step by step, and how a failure tells it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from domain.actions import Action, Broadcast, Decide, Note, SettlePromise, TellStaff
from domain.events import AlertsReceived, BroadcastDone, Event, TimerFired
from domain.incident import Draft, IncidentState
from domain.message import Facts, Moment
from domain.resume import RecordsLost
from domain.step import STAFF_CHANNELS


class Violation(AssertionError):
    """What an invariant found wrong, with the story that led there."""


@dataclass(frozen=True)
class Version:
    """A draft version as the world wrote it; `draft` is what was asked, None for a post-mortem.

    `facts` are all that its words may state, from the state in which they were asked for.
    """

    number: int
    moment: Moment
    draft: Draft | None
    audience_id: str | None
    invalid: bool
    at: datetime
    facts: Facts | None = None


@dataclass(frozen=True)
class Taken:
    """One planned event, `late` how late it came; None where a lost run was resumed.

    Where records were lost, `gone` are the versions and `nowhere` the audiences that
    nobody has any more.
    """

    at: datetime
    event: Event | RecordsLost | None
    before: IncidentState
    after: IncidentState
    actions: tuple[Action, ...]
    refused: str | None = None
    late: timedelta = timedelta(0)
    gone: frozenset[int] = frozenset()
    nowhere: frozenset[str] = frozenset()

    @property
    def broadcasts(self) -> tuple[Broadcast, ...]:
        return tuple(a for a in self.actions if isinstance(a, Broadcast))

    @property
    def to_customers(self) -> tuple[Broadcast, ...]:
        return tuple(b for b in self.broadcasts if set(b.channels) - STAFF_CHANNELS)

    @property
    def settled(self) -> tuple[SettlePromise, ...]:
        return tuple(a for a in self.actions if isinstance(a, SettlePromise))


def narrate(steps: Iterable[Taken]) -> str:
    """The story of an incident, one line per event."""
    return "\n".join(_line(number, taken) for number, taken in enumerate(steps))


def _line(number: int, taken: Taken) -> str:
    late = f" ({taken.late} late)" if taken.late else ""
    refused = f" refused: {taken.refused}" if taken.refused else ""
    asked = "; ".join(_actions(taken))
    state = f"{taken.after.stage}/{taken.after.severity}"
    head = f"{number:3} {taken.at:%d %H:%M:%S.%f} {_event(taken.event)}{late}{refused}"
    return f"{head} [{state}] {'→ ' + asked if asked else ''}".rstrip()


def _event(event: Event | RecordsLost | None) -> str:
    if event is None:
        return "the run was lost and resumed"
    if isinstance(event, RecordsLost):
        said = event.model_dump(exclude={"since"}, exclude_defaults=True)
        return f"the records after step {event.since} were lost {said or ''}".rstrip()
    if isinstance(event, AlertsReceived):
        batch = event.batch
        confirms = " confirms" if batch.confirms else ""
        return f"alerts: {batch.firing} firing {batch.severity or ''}{confirms} {batch.components}"
    if isinstance(event, TimerFired):
        return f"timer {event.timer}"
    if isinstance(event, BroadcastDone):
        return f"broadcast {event.broadcast} done"
    said = event.model_dump(exclude={"kind", "hash", "audience", "by"}, exclude_defaults=True)
    return f"{event.kind} " + " ".join(f"{k}={v}" for k, v in said.items())


def _actions(taken: Taken) -> Iterator[str]:
    for action in taken.actions:
        match action:
            case Draft():
                line = "holding line" if action.holding else action.moment
                admits = " admitting the gap" if action.promised else ""
                yield f"draft {line}#{action.number} (request {action.request}){admits}"
            case Broadcast():
                to = ",".join(c for c in action.channels if c not in STAFF_CHANNELS) or "staff"
                due = f" next by {action.next_update_at:%H:%M:%S}" if action.next_update_at else ""
                yield f"SEND {action.moment}#{action.number} v{action.version} to {to}{due}"
            case SettlePromise():
                promise = action.promise
                yield f"promise {promise.number} by {promise.due:%H:%M:%S} {action.state}"
            case Decide():
                yield f"v{action.version} {action.state}"
            case Note() | TellStaff():
                pass
            case _:
                yield action.kind
