"""Plays an incident on the pure plan: answers its actions at once and moves the clock."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from domain.actions import Action, Broadcast, Note, SettlePromise, Target, TellStaff
from domain.events import (
    AlertsReceived,
    BroadcastDone,
    Decided,
    Drafted,
    Event,
    Targeted,
    TimerFired,
)
from domain.incident import AudienceCount, Draft, IncidentState, Promise, Stage
from domain.message import Channel
from domain.plan import next_timer, open_incident, plan
from domain.policy import Policy
from domain.refusals import refusal
from domain.signal import AlertBatch, Severity

CUSTOMERS = frozenset({Channel.EMAIL, Channel.IN_APP, Channel.STATUS_PAGE, Channel.SMS})


def batch(watermark: int = 1, firing: int = 1, **changes: Any) -> AlertBatch:
    """A confirming P2 alert on payments unless told otherwise."""
    values: dict[str, Any] = {
        "watermark": watermark,
        "received": 1,
        "firing": firing,
        "severity": Severity.P2,
        "severity_stated": True,
        "category": "local_degradation",
        "confirms": True,
        "components": ("payments",),
        "sources": ("generic",),
        "reasons": ("stated",),
    }
    return AlertBatch(**(values | changes))


class Story:
    """An incident, its clock, and everything the plan asked for."""

    def __init__(
        self,
        policy: Policy,
        now: datetime,
        first: AlertBatch | None = None,
        share: float | None = None,
    ) -> None:
        self.policy = policy
        self.now = now
        self.share = share
        self.actions: list[tuple[datetime, Action]] = []
        self.versions = 0
        self.silent = False
        """Nothing answers what the plan asks for."""
        first = first or batch()
        self.state: IncidentState = open_incident("inc_story", first, now, False)
        self.tell(AlertsReceived(batch=first))

    def tell(self, event: Event) -> None:
        """Hand an event to the plan, and answer what it asks for."""
        self.state, actions = plan(self.state, event, self.now, self.policy)
        self.actions += [(self.now, a) for a in actions]
        for action in actions:
            if not self.silent:
                self.answer(action)

    def command(self, event: Event) -> str | None:
        """A human's command as the workflow takes it: the kind of refusal, None when taken."""
        refused = refusal(self.state, event, self.now)
        if refused is not None:
            return refused.kind
        self.tell(event)
        return None

    def approve(self, by: str = "ada") -> str | None:
        assert self.state.pending is not None, "nothing waits for approval"
        return self.command(Decided(draft=self.state.pending.draft, decision="approve", by=by))

    def pass_time(self, delta: timedelta) -> None:
        """Move the clock; timers fire at their due time, in order."""
        until = self.now + delta
        while (due := next_timer(self.state)) is not None and due[1] <= until:
            self.now = max(self.now, due[1])
            self.tell(TimerFired(timer=due[0]))
        self.now = until

    def answer(self, action: Action) -> None:
        """Carry out an action and tell the plan what came of it."""
        answer = self._answer(action)
        if answer is not None:
            self.tell(answer)

    def _answer(self, action: Action) -> Event | None:
        match action:
            case Target():
                return Targeted(audience=self._audience())
            case Draft():
                self.versions += 1
                return Drafted(
                    request=action.request,
                    version=self.versions,
                    moment=action.moment,
                    number=action.number,
                    hash=f"h{self.versions}",
                    next_update_at=action.next_update_at,
                    audience=self._audience(),
                )
            case Broadcast():
                return BroadcastDone(broadcast=action.n, moment=action.moment, counts={"sent": 3})
        return None

    def _audience(self) -> AudienceCount:
        return AudienceCount(audience_id="aud_1", accounts=3, recipients=3, share=self.share)

    # What is and what happened. Methods, because a type checker would take an attribute for
    # unchanged after a call.

    def stage(self) -> Stage:
        return self.state.stage

    def severity(self) -> Severity:
        return self.state.severity

    def broadcasts(self, customers: bool = True) -> list[Broadcast]:
        found = [a for _, a in self.actions if isinstance(a, Broadcast)]
        return [b for b in found if bool(CUSTOMERS & set(b.channels)) == customers]

    def moments(self) -> list[str]:
        """The moments that customers were sent, in order."""
        return [b.moment.value for b in self.broadcasts()]

    def notes(self) -> list[str]:
        return [a.key for _, a in self.actions if isinstance(a, Note)]

    def noted(self, key: str) -> list[Note]:
        return [a for _, a in self.actions if isinstance(a, Note) and a.key == key]

    def asked(self) -> list[str]:
        """Who was reminded or asked next since the first question, in order."""
        notes = [a for _, a in self.actions if isinstance(a, Note)]
        return [n.data["who"] for n in notes if n.key in ("reminded", "escalated")][1:]

    def drafts(self) -> list[Draft]:
        return [a for _, a in self.actions if isinstance(a, Draft)]

    def told_staff(self) -> int:
        return sum(isinstance(a, TellStaff) for _, a in self.actions)

    def promises(self, state: str) -> Sequence[Promise]:
        return [
            a.promise for _, a in self.actions if isinstance(a, SettlePromise) and a.state == state
        ]
