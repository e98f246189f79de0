"""What may happen to an incident, and stories drawn from it: every happening fits any state.

A happening that makes no sense where it stands (an approval while nothing waits) does nothing, so
that stories shrink to what matters.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal, Protocol

from domain.events import (
    Acknowledged,
    AlertsReceived,
    BroadcastDone,
    Decided,
    Dismissed,
    Edited,
    Event,
    FalseAlarmMarked,
    HandedOver,
    ImpactConfirmed,
    PostMortemMoved,
    ResolveRequested,
    SeverityChanged,
    TimerFired,
    UpdatePosted,
)
from domain.incident import PostMortemState, Stage, TimerKind
from domain.message import Channel
from domain.policy import Policy
from domain.signal import AlertBatch, Severity
from tests.domain.properties.world import SECOND, World

PEOPLE = ("ada", "bob", "cleo")


class Happening(Protocol):
    def happen(self, world: World) -> None: ...


@dataclass(frozen=True)
class Alerts:
    """What monitoring says; `old` repeats a watermark that was folded in before."""

    firing: int = 1
    severity: Severity = Severity.P2
    stated: bool = True
    confirms: bool = True
    components: tuple[str, ...] = ("payments",)
    regions: tuple[str, ...] = ()
    category: str = "local_degradation"
    old: bool = False

    def batch(self, watermark: int) -> AlertBatch:
        """As the intake sums up stored signals: where none fires, nothing is said of the rest."""
        if not self.firing:
            return AlertBatch(watermark=watermark, received=1, firing=0)
        return AlertBatch(
            watermark=watermark,
            received=1,
            firing=self.firing,
            severity=self.severity,
            severity_stated=self.stated,
            category=self.category,
            confirms=self.confirms,
            components=self.components,
            regions=self.regions,
            sources=("generic",),
            reasons=("stated",),
        )

    def happen(self, world: World) -> None:
        known = world.state.watermark
        world.tell(AlertsReceived(batch=self.batch(known if self.old else known + 1)))


@dataclass(frozen=True)
class Command:
    """A human's command; `raced` past the validator, because the state changed behind it."""

    event: Event
    raced: bool = False

    def happen(self, world: World) -> None:
        if self.raced:
            world.tell(self.event)
        else:
            world.command(self.event)


@dataclass(frozen=True)
class Decide:
    """A decision on a draft: the one that waits, or by an old button on an earlier one.

    `signalled` comes without a validator before it, as from the Temporal UI.
    """

    decision: Literal["approve", "reject"] = "approve"
    by: str = "ada"
    role: str = "approver"
    back: int = 0
    signalled: bool = False

    def happen(self, world: World) -> None:
        pending = world.state.pending
        draft = (pending.draft if pending else len(world.versions)) - self.back
        if draft > 0:
            decided = Decided(draft=draft, decision=self.decision, by=self.by, role=self.role)
            Command(decided, raced=self.signalled).happen(world)


@dataclass(frozen=True)
class Edit:
    """Somebody rewrites a draft; `raced`, so that it may no longer wait when the plan hears."""

    by: str = "ada"
    back: int = 0
    invalid: bool = False
    literal: bool = False
    raced: bool = False

    def happen(self, world: World) -> None:
        pending = world.state.pending
        old = world.versions.get((pending.draft if pending else len(world.versions)) - self.back)
        if old is None:
            return
        # A version that waits goes to whom it is meant for by now.
        waits = pending is not None and pending.draft == old.number
        audience_id = pending.audience.audience_id if pending and waits else old.audience_id
        version = world.write(old.moment, old.draft, audience_id, self.invalid, old.facts)
        edited = Edited(
            draft=old.number,
            version=version.number,
            hash=f"h{version.number}",
            by=self.by,
            invalid=self.invalid,
            promise_is_literal=self.literal,
        )
        Command(edited, raced=self.raced).happen(world)


@dataclass(frozen=True)
class OldButton:
    """What waits is edited, and somebody who has not seen it approves the version before."""

    def happen(self, world: World) -> None:
        if world.state.pending is not None:
            Edit().happen(world)
            Decide(by="bob", back=1, signalled=True).happen(world)


@dataclass(frozen=True)
class LetOut:
    """People wait for what is being written and approve it, mended where it cannot go as it is."""

    def happen(self, world: World) -> None:
        for _ in range(4):
            if world.state.pending is None and world.awaited():
                Wait().happen(world)
        waits = world.state.pending
        for person in PEOPLE:
            Decide(by=person).happen(world)
        if waits is not None and world.state.pending == waits:
            Edit().happen(world)
            for person in PEOPLE:
                Decide(by=person).happen(world)


@dataclass(frozen=True)
class Resolve:
    """Somebody ends it and sees the end out: what comes then, comes after the end."""

    def happen(self, world: World) -> None:
        for _ in range(2):
            if world.state.pending is not None:
                LetOut().happen(world)
            world.command(RESOLVE)
            LetOut().happen(world)


# Spans that matter, in terms of the policy; `None` is until the next thing is due.
SPANS: dict[str, Callable[[Policy, World], timedelta | None]] = {
    "a second": lambda policy, world: SECOND,
    "until something is due": lambda policy, world: None,
    "until silence is noticed": lambda policy, world: policy.approval.escalate_after,
    "until stable": lambda policy, world: policy.resolution.stable_for,
    "half a rhythm": lambda policy, world: _rhythm(policy, world) / 2,
    "a rhythm": lambda policy, world: _rhythm(policy, world),
    "three rhythms": lambda policy, world: 3 * _rhythm(policy, world),
    "past the re-open window": lambda policy, world: policy.grouping.reopen_within,
}


def _rhythm(policy: Policy, world: World) -> timedelta:
    every = policy.severities[world.state.severity].update_every
    return every or policy.grouping.reopen_within


@dataclass(frozen=True)
class Wait:
    """Time passes; `down` means that no worker of ours runs meanwhile."""

    span: str = "until something is due"
    down: bool = False

    def happen(self, world: World) -> None:
        span = SPANS[self.span](world.policy, world)
        if span is None:
            due = world.next_due()
            span = max(due - world.now, timedelta(0)) if due else SECOND
        if self.down:
            world.outage(span)
        else:
            world.pass_time(span)


@dataclass(frozen=True)
class StrayTimer:
    """A timer that had fired before it was moved or taken back."""

    timer: TimerKind

    def happen(self, world: World) -> None:
        world.tell(TimerFired(timer=self.timer))


@dataclass(frozen=True)
class OptOut:
    """A customer wants nothing more on a channel."""

    who: str
    channel: Channel

    def happen(self, world: World) -> None:
        world.ledger.opted_out.add((self.who, self.channel))


@dataclass(frozen=True)
class ToldTwice:
    """The result of the last broadcast comes once more."""

    def happen(self, world: World) -> None:
        sent = [b for taken in world.steps for b in taken.broadcasts]
        if sent:
            world.answer(BroadcastDone(broadcast=sent[-1].n, moment=sent[-1].moment))


CONFIRM = ImpactConfirmed(by="ada")
ACKNOWLEDGE = Acknowledged(by="cleo")
DISMISS = Dismissed(by="ada")
RESOLVE = ResolveRequested(by="bob")
FALSE_ALARM = FalseAlarmMarked(by="bob")
POST_MORTEM_NUDGE = PostMortemMoved(state=PostMortemState.DUE)


def severity(to: Severity) -> SeverityChanged:
    return SeverityChanged(by="bob", severity=to)


def update(stage: Stage | None = None) -> UpdatePosted:
    return UpdatePosted(by="bob", note_id="note", stage=stage)


def handed_over(role: Literal["approver", "commander"]) -> HandedOver:
    return HandedOver(by="ada", role=role, to="grace")
