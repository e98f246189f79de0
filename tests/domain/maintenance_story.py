"""Plays planned work on the pure plan: answers its actions at once and moves the clock."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from domain.actions import Action, Broadcast, Note, SettlePromise, Target, TellStaff
from domain.events import BroadcastDone, Decided, Drafted, Targeted, TimerFired
from domain.incident import AudienceCount, Draft
from domain.maintenance import Event, Impact, MaintenanceState, Scheduled
from domain.maintenance_facts import MaintenanceWords, maintenance_facts
from domain.maintenance_refusals import maintenance_refusal
from domain.message import Facts
from domain.plan import next_timer
from domain.plan_maintenance import open_maintenance, plan_maintenance
from domain.policy import Policy
from domain.step import STAFF_CHANNELS

HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)


class MaintenanceStory:
    """Planned work, its clock, and everything the plan asked for."""

    def __init__(
        self,
        policy: Policy,
        now: datetime,
        starts_in: timedelta = 10 * 24 * HOUR,
        lasts: timedelta = 2 * HOUR,
        **changes: Any,
    ) -> None:
        self.policy, self.now = policy, now
        self.actions: list[tuple[datetime, Action]] = []
        self.said: list[tuple[datetime, Facts]] = []
        self.versions = 0
        self.facts: dict[int, Facts] = {}
        values: dict[str, Any] = {
            "starts_at": now + starts_in,
            "ends_at": now + starts_in + lasts,
            "impact": Impact.DEGRADED,
            "components": ("payments",),
            "regions": (),
            "objections_until": now + starts_in - 48 * HOUR,
            "opened_at": now,
            "dry_run": False,
        }
        self.state: MaintenanceState = open_maintenance("mnt_story", **(values | changes))
        self.tell(Scheduled(by="ada"))

    def tell(self, event: Event) -> None:
        """Hand an event to the plan, and answer what it asks for."""
        self.state, actions = plan_maintenance(self.state, event, self.now, self.policy)
        # What is carried through Temporal must come back the same.
        assert MaintenanceState.model_validate_json(self.state.model_dump_json()) == self.state
        self.actions += [(self.now, a) for a in actions]
        for action in actions:
            answer = self._answer(action)
            if answer is not None:
                self.tell(answer)

    def command(self, event: Event) -> str | None:
        """A human's command: the kind of refusal, None when taken."""
        refused = maintenance_refusal(self.state, event, self.now)
        if refused is not None:
            return refused.kind
        self.tell(event)
        return None

    def approve(self, by: str = "grace") -> str | None:
        assert self.state.pending is not None, "nothing waits for approval"
        return self.command(Decided(draft=self.state.pending.draft, decision="approve", by=by))

    def reject(self, by: str = "grace") -> str | None:
        assert self.state.pending is not None, "nothing waits for approval"
        return self.command(Decided(draft=self.state.pending.draft, decision="reject", by=by))

    def until(self, at: datetime) -> None:
        """Move the clock; timers fire at their due time, in order."""
        while (due := next_timer(self.state)) is not None and due[1] <= at:
            self.now = max(self.now, due[1])
            self.tell(TimerFired(timer=due[0]))
        self.now = at

    def sleep(self, delta: timedelta) -> None:
        self.until(self.now + delta)

    def outage(self, delta: timedelta) -> None:
        """Every worker is down so long; then the timers that were due fire, all late."""
        self.now += delta
        while (due := next_timer(self.state)) is not None and due[1] <= self.now:
            self.tell(TimerFired(timer=due[0]))

    @property
    def told(self) -> list[str]:
        """Moments that customers were sent, in order."""
        return [facts.moment.value.removeprefix("maintenance_") for _, facts in self.said]

    @property
    def notes(self) -> list[str]:
        return [a.key for _, a in self.actions if isinstance(a, Note)]

    @property
    def promises(self) -> list[tuple[int, str]]:
        return [
            (a.promise.number, a.state) for _, a in self.actions if isinstance(a, SettlePromise)
        ]

    def _answer(self, action: Action) -> Event | None:
        match action:
            case Target():
                return Targeted(audience=AudienceCount(audience_id="a", accounts=3, recipients=5))
            case Draft():
                self.versions += 1
                words = MaintenanceWords(title="Database upgrade", note=action.note_id or "")
                self.facts[self.versions] = maintenance_facts(
                    self.state, action, self.state.audience, self.policy, words,
                    "https://status.example", self.now,
                )  # fmt: skip
                return Drafted(
                    request=action.request,
                    version=self.versions,
                    moment=action.moment,
                    number=action.number,
                    hash=f"h{self.versions}",
                )
            case Broadcast():
                if set(action.channels) - STAFF_CHANNELS:
                    self.said.append((self.now, self.facts[action.version]))
                return BroadcastDone(broadcast=action.n, moment=action.moment)
            case TellStaff():
                return None
            case _:
                return None
