"""Where alerts belong: what is open as far as they are concerned, and what each of them changes.

Pure: `placement_sql` reads a scene from the database and writes what became of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from adapters.db.ids import new_id
from domain.classification import SignalClass
from domain.grouping import OpenIncident, accepts_refire, choose, joins
from domain.incident import Stage
from domain.maintenance import is_maintenance
from domain.maintenance_window import Window, window_for
from domain.policy import Policy
from domain.signal import Signal, SignalStatus

HUMAN = "human"
# A storm must not write the same row a thousand times; grouping counts in minutes.
TOUCH_EVERY = timedelta(seconds=5)
# Incidents that one alert makes one; what is left is related by the next.
MOST_RELATED = 10


@dataclass(frozen=True)
class Circumstances:
    """What is true of a signal's arrival, apart from the signal."""

    policy: Policy
    now: datetime
    correlation_id: str
    dry_run: bool
    policy_hash: str
    separate: bool
    opened_by: str


@dataclass(frozen=True)
class Arrival:
    """A signal that wants a place; `near` are the components whose incidents it may join."""

    signal: Signal
    known: SignalClass
    near: frozenset[str]
    about: Circumstances

    @property
    def fingerprint(self) -> str:
        """What names the alert across sources."""
        return f"{self.signal.source}:{self.signal.dedup_key}"

    @property
    def delivery(self) -> tuple[str, str]:
        """What names the delivery across sources."""
        return self.signal.source, self.signal.external_id

    @property
    def dry_run(self) -> bool:
        """Whether nothing may leave of an incident that it opens: so the stack, the delivery or
        the policy of its category says."""
        return self.about.dry_run or self.about.policy.categories[self.known.category].dry_run

    @property
    def fires(self) -> bool:
        return self.signal.status is SignalStatus.FIRING


@dataclass(frozen=True)
class Owner:
    """The alert row of a fingerprint; `alert_id` is None while it is not written yet."""

    alert_id: int | None
    incident_id: str
    firing: bool
    last_seen_at: datetime


@dataclass(frozen=True)
class Place:
    """Where a signal goes."""

    disposition: str
    incident_id: str | None = None
    relates: tuple[str, ...] = ()
    """Other open incidents that the alert belongs to just as well."""


class MustLock(Exception):
    """An incident has to be opened, and another process may be opening it at this moment."""


@dataclass
class Scene:
    """What is open, and the changes to it since it was read.

    `owners` by fingerprint and the incidents they name, open or over; `candidates` are what
    alerts without an owner may join. `locked`: nobody else can open an incident now.
    """

    owners: dict[str, Owner]
    incidents: dict[str, OpenIncident]
    over: set[str]
    candidates: set[str]
    locked: bool = False
    windows: tuple[Window, ...] = ()
    # Changes: what `placement_sql.write` has to write.
    opened: dict[str, Arrival] = field(default_factory=dict)
    stale: set[str] = field(default_factory=set)
    added: dict[str, Owner] = field(default_factory=dict)
    seen: dict[int, Owner] = field(default_factory=dict)
    touched: dict[str, datetime] = field(default_factory=dict)

    def place(self, arrival: Arrival) -> Place:
        """Fold, resolve, ignore or open, and remember it. Raises MustLock before any change."""
        known, about = arrival.known, arrival.about
        owner = self.owners.get(arrival.fingerprint)
        is_open = owner is not None and owner.incident_id not in self.over
        if not arrival.fires:
            if owner is None or not is_open:
                return Place("ignored")
            self._take(arrival, owner.incident_id)
            return Place("resolved", owner.incident_id)
        window = self._window(arrival)
        if window is not None and not (owner and is_open and not is_maintenance(owner.incident_id)):
            self._take(arrival, window.id)
            return Place("folded", window.id)
        if owner and is_open and not is_maintenance(owner.incident_id):
            home = self.incidents[owner.incident_id]
            if accepts_refire(home, about.policy, about.now):
                self._take(arrival, home.id)
                return Place("folded", home.id)
        if not about.separate:
            others = self._candidates(arrival, but=owner)
            joined = choose(others, known, about.policy, about.now, arrival.near)
            if joined:
                home, apart = self._together(arrival, others, joined)
                self._leave(owner)
                self._take(arrival, home.id)
                return Place("folded", home.id, apart)
        if not self.locked:
            raise MustLock
        self._leave(owner)
        opened = self._open(arrival)
        return Place("started" if known.confirms else "suspected", opened)

    def _together(
        self, arrival: Arrival, others: Iterable[OpenIncident], joined: OpenIncident
    ) -> tuple[OpenIncident, tuple[str, ...]]:
        """Where the alert goes, and the incidents that go on there because of it.

        Those that were apart become one in the oldest of them that customers may know of.
        """
        about = arrival.about
        if not about.policy.grouping.merge:
            return joined, ()
        fitting = [
            one
            for one in others
            if joins(one, arrival.known, about.policy, about.now, arrival.near)
        ]
        fitting.sort(key=lambda i: (i.stage is Stage.SUSPECTED, i.opened_at, i.id))
        return fitting[0], tuple(one.id for one in fitting[1:][:MOST_RELATED])

    def _window(self, arrival: Arrival) -> Window | None:
        """The planned work that explains the alert; a human's own report stands for itself."""
        about = arrival.about
        if not self.windows or about.separate or arrival.signal.source == HUMAN:
            return None
        open_ = [w for w in self.windows if not w.dry_run or about.dry_run]
        return window_for(open_, arrival.known, about.policy, about.now)

    def homeless(self, arrivals: Iterable[Arrival]) -> list[Arrival]:
        """Those whose home has to be looked for among the open incidents."""
        return [a for a in arrivals if a.fires and not a.about.separate and not self._has_home(a)]

    def _has_home(self, arrival: Arrival) -> bool:
        owner = self.owners.get(arrival.fingerprint)
        if owner is None or owner.incident_id in self.over:
            return False
        if is_maintenance(owner.incident_id):
            return False
        home = self.incidents[owner.incident_id]
        return accepts_refire(home, arrival.about.policy, arrival.about.now)

    def _candidates(self, arrival: Arrival, but: Owner | None) -> list[OpenIncident]:
        """What it may join: a real alert no dry run, or customers would never hear of it."""
        left, dry_run = but.incident_id if but else None, arrival.dry_run
        there = (self.incidents[i] for i in self.candidates if i != left and i not in self.over)
        return [incident for incident in there if incident.dry_run is dry_run]

    def _leave(self, owner: Owner | None) -> None:
        """The alert's incident is over: none of its fingerprints belongs to it any more.

        Planned work keeps the others: this alert alone is worse than what it explains.
        """
        if owner is None or is_maintenance(owner.incident_id):
            return
        self.stale.add(owner.incident_id)
        left = {p: o for p, o in self.owners.items() if o.incident_id == owner.incident_id}
        for fingerprint, one in left.items():
            del self.owners[fingerprint]
            if one.alert_id is not None:
                self.seen.pop(one.alert_id, None)

    def _open(self, arrival: Arrival) -> str:
        known, about = arrival.known, arrival.about
        incident = OpenIncident(
            id=new_id("inc"),
            stage=Stage.SUSPECTED,
            category=known.category,
            components=known.components,
            regions=known.regions,
            separate=about.separate,
            dry_run=arrival.dry_run,
            opened_at=about.now,
            last_alert_at=about.now,
            resolved_at=None,
        )
        self.incidents[incident.id] = incident
        self.candidates.add(incident.id)
        self.opened[incident.id] = arrival
        self._take(arrival, incident.id)
        return incident.id

    def _take(self, arrival: Arrival, incident_id: str) -> None:
        """The alert belongs to the incident: remember its state and that it was heard of."""
        now, incident = arrival.about.now, self.incidents[incident_id]
        if arrival.fires and now - incident.last_alert_at >= TOUCH_EVERY:
            self.incidents[incident_id] = incident.model_copy(update={"last_alert_at": now})
            self.touched[incident_id] = now
        owner = self.owners.get(arrival.fingerprint)
        if owner is None:
            new = Owner(None, incident_id, arrival.fires, now)
            self.owners[arrival.fingerprint] = self.added[arrival.fingerprint] = new
            return
        same = owner.firing == arrival.fires and owner.incident_id == incident_id
        if same and now - owner.last_seen_at < TOUCH_EVERY:
            return
        changed = replace(owner, incident_id=incident_id, firing=arrival.fires, last_seen_at=now)
        self.owners[arrival.fingerprint] = changed
        if changed.alert_id is None:
            self.added[arrival.fingerprint] = changed
        else:
            self.seen[changed.alert_id] = changed
