"""A drill: one recorded incident through the live stack, faster, and with nothing leaving."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from domain.errors import BadInput, FieldError, Refused
from runtime.backtest.signals import Recording
from runtime.backtest.world import Recorded

LOOK_SECONDS = 1.0
TITLE_LENGTH = 300

Say = Callable[[str], None]


class Gateway(Protocol):
    """What the drill asks of the running stack."""

    def takes_drills(self) -> bool:
        """Whether it knows what `dry_run` in a webhook's address means."""

    def deliver(self, body: dict[str, Any], speed: int) -> dict[str, Any]:
        """Hand over a signal as an exercise; the webhook's answer."""

    def incident(self, incident_id: str) -> dict[str, Any]:
        """The incident as staff see it."""

    def timeline(self, incident_id: str) -> list[dict[str, Any]]:
        """Its timeline, oldest first."""


def one_incident(recording: Recording, name: str | None) -> list[Recorded]:
    """The signals of the incident to play; raises BadInput when it is not clear which."""
    names = list(dict.fromkeys(one.incident for one in recording.signals))
    if name is None and len(names) > 1:
        shown = ", ".join(names[:20]) + (" …" if len(names) > 20 else "")
        allowed = f"one of {len(names)}: {shown}"
        fault = FieldError(field="--incident", value=None, allowed=allowed)
        raise BadInput("the recording holds several incidents", [fault])
    if name is not None and name not in names:
        fault = FieldError(field="--incident", value=name[:80], allowed=", ".join(names[:20]))
        raise BadInput("the recording does not hold this incident", [fault])
    chosen = [one for one in recording.signals if name in (None, one.incident)]
    return sorted(chosen, key=lambda one: one.at)


@dataclass(frozen=True)
class Scheduled:
    """A signal with how many seconds after the drill's start it comes."""

    after: float
    signal: Recorded


def schedule(signals: Sequence[Recorded], speed: int) -> list[Scheduled]:
    """When each signal comes in the drill, with the pauses of the recording divided by `speed`."""
    first = signals[0].at
    return [Scheduled((one.at - first).total_seconds() / speed, one) for one in signals]


def body_of(one: Recorded, run: str, mark: str, speed: int, now: datetime) -> dict[str, Any]:
    """The generic signal to deliver, marked in its title; what was before it shrinks as well."""
    signal = one.signal
    ago = one.at - (signal.started_at or one.at)
    return {
        "id": f"{run}-{signal.external_id}"[:190],
        "dedup_key": f"{run}-{signal.dedup_key}"[:190],
        "status": signal.status.value,
        "title": f"{mark}: {signal.title}"[:TITLE_LENGTH],
        "description": signal.description,
        "components": [*signal.components, *signal.services],
        "regions": list(signal.regions),
        "severity": signal.severity.value if signal.severity else None,
        "affected_share": signal.affected_share,
        "customer_impact": signal.customer_impact,
        "metrics": signal.metrics,
        "started_at": (now - max(ago, timedelta()) / speed).isoformat(),
        "labels": signal.labels,
    }


class Drill:
    """Plays the signals in their time and shows what the stack makes of them."""

    def __init__(self, gateway: Gateway, mark: str, say: Say) -> None:
        self._gateway = gateway
        self._mark = mark
        self._say = say
        self._incidents: dict[str, None] = {}
        self._lines: set[str] = set()

    def play(self, signals: Sequence[Recorded], speed: int) -> list[str]:
        """Play all signals; the ids of the incidents. Raises Refused before anything real happens.

        A stack that does not know of exercises would take the alert for real, so it is asked first.
        """
        if not self._gateway.takes_drills():
            raise Refused("no_dry_run", "this stack takes no alerts in dry run: update it first")
        run, began = f"{time.time():.0f}", time.monotonic()
        for due in schedule(signals, speed):
            self._wait(began + due.after)
            body = body_of(due.signal, run, self._mark, speed, datetime.now(UTC))
            answer = self._gateway.deliver(body, speed)
            self._say(f"{body['status']}: {body['title']} → {answer['disposition']}")
            self._watch(answer.get("incident_id"))
        self._look()
        return list(self._incidents)

    def _watch(self, incident_id: str | None) -> None:
        if incident_id is None or incident_id in self._incidents:
            return
        if not self._gateway.incident(incident_id)["dry_run"]:
            raise Refused("not_a_dry_run", f"{incident_id} is no dry run: the drill is broken off")
        self._incidents[incident_id] = None

    def _wait(self, until: float) -> None:
        while (left := until - time.monotonic()) > 0:
            time.sleep(min(left, LOOK_SECONDS))
            self._look()

    def _look(self) -> None:
        """Show the lines of the timelines that were not shown yet."""
        for incident_id in self._incidents:
            for line in self._new(self._gateway.timeline(incident_id)):
                self._say(f"  {line['at'][11:19]}  {line['text']}")

    def _new(self, lines: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        for line in lines:
            key = f"{line['at']}{line['kind']}{line['text']}"
            if key not in self._lines:
                self._lines.add(key)
                yield line
