"""Recorded alerts through the same rules as live ones: classified, grouped, planned, in their time.

No server and no database: grouping is the gateway's own (`adapters.db.placement.Scene`), only kept
in memory, and time is what the recording says.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from heapq import heappop, heappush

from adapters.db.placement import Arrival, Circumstances, Scene
from domain.backtest import Assumptions, Count, Play, batch_of
from domain.backtest_compare import longest_silence
from domain.backtest_record import ActualMessage, Told
from domain.classification import SignalClass, classify_signal
from domain.grouping import reach
from domain.incident import Stage
from domain.message import CLOSING, Moment
from domain.policy import Policy
from domain.signal import Signal

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Recorded:
    """A signal with the instant at which it came, and the name of the incident it was part of.

    `timed`: the recording says when it came, rather than when it began.
    """

    signal: Signal
    at: datetime
    incident: str
    timed: bool = True

    @property
    def alert(self) -> str:
        """What names the alert across sources."""
        return f"{self.signal.source}:{self.signal.dedup_key}"


@dataclass
class _Case:
    """An incident that is played, and what the recording calls it."""

    play: Play
    first: Recorded
    recorded: dict[str, None] = field(default_factory=dict)
    firing: set[str] = field(default_factory=set)
    signals: int = 0


class World:
    """Plays recorded signals under one policy."""

    def __init__(self, policy: Policy, assumed: Assumptions, count: Count) -> None:
        self._policy = policy
        self._assumed = assumed
        self._count = count
        self._scene = Scene(owners={}, incidents={}, over=set(), candidates=set(), locked=True)
        self._cases: dict[str, _Case] = {}
        self._due: list[tuple[datetime, str]] = []
        """A heap of what happens next; entries that were overtaken do no harm."""
        self._reaches: dict[tuple[str, ...], frozenset[str]] = {}
        self._deliveries: set[tuple[str, str]] = set()
        self.homes: dict[tuple[str, str], str] = {}
        """Delivery → incident, to compare how two policies group."""
        self.ignored: list[Recorded] = []
        """Ends of alerts that no incident knew."""

    def play(
        self,
        signals: Sequence[Recorded],
        actual: Sequence[ActualMessage],
        progress: Progress = lambda done, of: None,
    ) -> dict[str, Told]:
        """Every incident that the signals amount to, by id, in the order in which they opened."""
        ordered = sorted(signals, key=lambda one: one.at)
        last: dict[str, datetime] = {}
        for message in actual:
            last[message.incident] = max(message.at, last.get(message.incident, message.at))
        for one in ordered:
            for name in (one.alert, one.incident):
                last[name] = max(one.at, last.get(name, one.at))
        for done, one in enumerate(ordered):
            progress(done, len(ordered))
            self._advance(one.at)
            self._take(one, max(last[one.alert], last[one.incident]))
        self._advance(None)
        progress(len(ordered), len(ordered))
        names: dict[str, int] = {}
        found = {}
        for home, case in self._cases.items():
            name = next(iter(case.recorded))
            names[name] = names.get(name, 0) + 1
            nth = names[name]
            found[home] = self._told(name if nth == 1 else f"{name} #{nth}", case)
        return found

    def _take(self, one: Recorded, expected: datetime) -> None:
        signal = one.signal
        delivery = (signal.source, signal.external_id)
        if delivery in self._deliveries:
            return
        self._deliveries.add(delivery)
        arrival = self._arrival(one)
        self._forget_candidates(one.at)
        home = self._scene.place(arrival).incident_id
        if home is None:
            self.ignored.append(one)
            return
        self.homes[delivery] = home
        self._scene.candidates.add(home)
        case = self._cases.get(home)
        firing = case.firing if case else set()
        if arrival.fires:
            firing.add(one.alert)
        else:
            firing.discard(one.alert)
        batch = batch_of(signal, arrival.known, one.at, len(self._deliveries), len(firing))
        if case is None:
            play = Play(home, batch, one.at, self._policy, self._assumed, self._count)
            case = self._cases[home] = _Case(play, one, firing=firing)
        else:
            case.play.alert(batch, one.at)
        case.signals += 1
        case.recorded[one.incident] = None
        case.play.expect_until(expected)
        self._show(home, case)

    def _arrival(self, one: Recorded) -> Arrival:
        known: SignalClass = classify_signal(self._policy, one.signal)
        near = self._reaches.get(known.components)
        if near is None:
            near = self._reaches[known.components] = reach(self._policy, known.components)
        about = Circumstances(self._policy, one.at, "", True, "", False, "monitoring")
        return Arrival(one.signal, known, near, about)

    def _forget_candidates(self, now: datetime) -> None:
        """What was quiet for longer than the grouping window takes in no alert but its own."""
        window, scene = self._policy.grouping.window, self._scene
        scene.candidates = {
            key
            for key in scene.candidates
            if now - max(scene.incidents[key].opened_at, scene.incidents[key].last_alert_at)
            <= window
        }

    def _advance(self, until: datetime | None) -> None:
        while self._due and (until is None or self._due[0][0] < until):
            _, key = heappop(self._due)
            case = self._cases[key]
            case.play.run_until(until)
            self._show(key, case)

    def _show(self, key: str, case: _Case) -> None:
        """Let grouping know where the incident stands, as its row would."""
        state, scene = case.play.state, self._scene
        if case.play.over:
            # What is over takes no alert any more, so nothing of it has to be kept.
            scene.over.add(key)
            scene.candidates.discard(key)
            scene.owners = {a: o for a, o in scene.owners.items() if o.incident_id != key}
            return
        ended = state.resolved_at if state.ended or state.stage is Stage.RESOLVED else None
        scene.incidents[key] = scene.incidents[key].model_copy(
            update={
                "stage": state.stage,
                "components": state.components,
                "regions": state.regions,
                "resolved_at": ended,
            }
        )
        due = case.play.due
        if due is not None:
            heappush(self._due, (due, key))

    def _told(self, name: str, case: _Case) -> Told:
        play, state = case.play, case.play.state
        audience = state.audience
        every = self._policy.severities[play.worst].update_every
        times = [m.at for m in play.sent if m.to_customers and m.moment is not Moment.POST_MORTEM]
        return Told(
            key=name,
            title=case.first.signal.title,
            recorded=tuple(case.recorded),
            signals=case.signals,
            severity=state.severity,
            opened_as=play.opened_as,
            worst=play.worst,
            category=state.category,
            components=state.components,
            regions=state.regions,
            stage=state.stage,
            started_at=state.started_at,
            opened_at=state.opened_at,
            confirmed_at=state.confirmed_at,
            resolved_at=state.resolved_at,
            reasons=state.reasons,
            accounts=audience.accounts,
            recipients=audience.recipients,
            messages=tuple(play.sent),
            promises=tuple(play.promises),
            asked=tuple(play.asked),
            longest_silence_seconds=longest_silence(times),
            rhythm_seconds=round(every.total_seconds()) if every else None,
            post_mortem_due=state.post_mortem_due,
            remarks=_remarks(play),
        )


def _remarks(play: Play) -> tuple[str, ...]:
    """Keys of what a reader should know about how it ended; their words are in the content."""
    state, found = play.state, []
    if not state.components:
        found.append("no_component")
    if state.confirmed_at is None:
        found.append("never_confirmed")
    elif not any(m.to_customers for m in play.sent):
        found.append("nobody_told")
    if play.policy.categories[state.category].dry_run:
        found.append("dry_run")
    if play.abandoned:
        found.append("never_ended")
    ends = [m for m in play.sent if m.moment in CLOSING and m.to_customers]
    if len(ends) > 1:
        found.append("reopened")
    return tuple(found)
