"""One incident of a back-test: the real plan over virtual time, in a world that answers at once.

Targeting and drafting take no time, a waiting draft is approved after the assumed delay, and
humans are silent otherwise. Pure: the caller moves the clock and says who would be reached.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Literal

from domain.actions import Action, Broadcast, Note, OpenPostMortem, SettlePromise, Target
from domain.backtest_record import Crowd, HumanAct, Kept, Sent
from domain.classification import SignalClass, plausible_start
from domain.events import (
    AlertsReceived,
    BroadcastDone,
    Decided,
    Drafted,
    Event,
    ImpactConfirmed,
    PostMortemMoved,
    Targeted,
    TimerFired,
)
from domain.incident import Draft, Frozen, IncidentState, PostMortemState, Stage
from domain.message import FOR_ALL, Channel
from domain.plan import next_timer, open_incident, plan
from domain.policy import Policy
from domain.signal import AlertBatch, Signal, SignalStatus
from domain.step import STAFF_CHANNELS

# Whom the assumed decisions are signed with where the policy names too few people.
SOMEBODY = "somebody with the role"
# Notes that say how hard people were asked.
ASKED = frozenset({"asked", "reminded", "escalated", "promise_reminder"})

Gate = Literal["auto", "approved", "silence", "holding"]
Count = Callable[[IncidentState, Policy], Crowd]


class Assumptions(Frozen):
    """What people are assumed to do; None: nobody does it.

    `give_up_after`: an incident that the recording never ends is left so long after its last
    sign of life, because its holding lines would go on for ever.
    """

    approve_after: timedelta | None
    confirm_after: timedelta | None = None
    give_up_after: timedelta = timedelta(hours=24)


def batch_of(
    signal: Signal, known: SignalClass, at: datetime, watermark: int, firing: int
) -> AlertBatch:
    """One alert as the inbox would tell it; `firing` counts the incident's alerts that still do."""
    if signal.status is SignalStatus.RESOLVED:
        return AlertBatch(watermark=watermark, received=1, firing=firing, sources=(signal.source,))
    return AlertBatch(
        watermark=watermark,
        received=1,
        firing=firing,
        severity=known.severity,
        severity_stated=known.severity_stated,
        category=known.category,
        confirms=known.confirms,
        affected_share=signal.affected_share,
        components=known.components,
        regions=known.regions,
        started_at=plausible_start(signal.started_at, at),
        sources=(signal.source,),
        reasons=known.reasons,
    )


class Play:
    """An incident under a policy: its state, its clock, and what went out."""

    def __init__(
        self,
        incident_id: str,
        first: AlertBatch,
        now: datetime,
        policy: Policy,
        assumed: Assumptions,
        count: Count,
    ) -> None:
        self.policy = policy
        self.now = now
        self.sent: list[Sent] = []
        self.promises: list[Kept] = []
        self.asked: list[HumanAct] = []
        self.alive_at = now
        """Until when the recording speaks of it."""
        self.abandoned = False
        self._assumed = assumed
        self._count = count
        self._versions = 0
        self._numbers: dict[Channel, int | None] = {}
        self._post_mortem: tuple[datetime, bool] | None = None
        self.state = open_incident(incident_id, first, now, dry_run=True)
        self.opened_as = self.state.severity
        self.worst = self.state.severity
        self._tell(AlertsReceived(batch=first))

    @property
    def over(self) -> bool:
        """Whether nothing can happen any more."""
        return self.abandoned or self.state.over

    def alert(self, batch: AlertBatch, at: datetime) -> None:
        """Tell it of an alert; the clock must have been moved there before."""
        self.now = max(self.now, at)
        self.expect_until(at)
        self._tell(AlertsReceived(batch=batch))

    def expect_until(self, at: datetime) -> None:
        """The recording speaks of it until this instant: so long it is not given up."""
        self.alive_at = max(self.alive_at, at)

    @property
    def due(self) -> datetime | None:
        """When something happens next by itself; None when nothing will."""
        following = None if self.over else self._next()
        return following[0] if following else None

    def run_until(self, until: datetime | None) -> None:
        """Let happen what is due before an instant; None: everything that is to come."""
        while not self.over and (due := self._next()) is not None:
            at, what = due
            if until is not None and at >= until:
                return
            resolved = self.state.stage is Stage.RESOLVED
            if not resolved and at > self.alive_at + self._assumed.give_up_after:
                self.abandoned = True
                return
            self.now = max(self.now, at)
            self._tell(what)

    # ------------------------------------------------------------ what comes next

    def _next(self) -> tuple[datetime, Event] | None:
        """The earliest of the plan's own timer and what people are assumed to do."""
        found: list[tuple[datetime, int, Event]] = []
        timer = next_timer(self.state)
        if timer is not None:
            found.append((timer[1], 1, TimerFired(timer=timer[0])))
        state, assumed = self.state, self._assumed
        if state.stage is Stage.SUSPECTED and assumed.confirm_after is not None:
            by = next(iter(self.policy.people.roles.get("commander", ())), SOMEBODY)
            at = state.opened_at + assumed.confirm_after
            found.append((at, 0, ImpactConfirmed(by=by)))
        pending = state.pending
        # A suggestion asks nobody to decide: humans are silent, and the holding line goes.
        asked = pending is not None and not pending.suggested
        if pending is not None and asked and assumed.approve_after is not None:
            given = len(pending.approvals)
            at = pending.asked_at + assumed.approve_after * (given + 1)
            by = self._approver(given)
            found.append((at, 0, Decided(draft=pending.draft, decision="approve", by=by)))
        if self._post_mortem is not None:
            at, public = self._post_mortem
            ended = PostMortemState.PUBLISHED if public else PostMortemState.COMPLETED
            moved = PostMortemMoved(state=ended, version=self._versions + 1, hash="report")
            found.append((at, 2, moved))
        if not found:
            return None
        at, _, event = min(found, key=lambda one: (one[0], one[1]))
        return max(at, self.now), event

    def _approver(self, nth: int) -> str:
        role = self.policy.categories[self.state.category].approver_role
        people = self.policy.people.roles.get(role, ())
        return people[nth] if nth < len(people) else f"{SOMEBODY} {nth + 1}"

    # ------------------------------------------------------------ events → plan → answers

    def _tell(self, event: Event) -> None:
        queue = [event]
        while queue:
            one = queue.pop(0)
            gate = self._gate(one)
            if isinstance(one, PostMortemMoved):
                self._post_mortem = None
                self._versions += 1
            self.state, actions = plan(self.state, one, self.now, self.policy)
            self.worst = self.worst.worst(self.state.severity)
            for action in actions:
                answer = self._carry_out(action, gate)
                if answer is not None:
                    queue.append(answer)

    def _gate(self, event: Event) -> Gate:
        """Why a message that this event lets out may go out."""
        holding = self.state.holding
        match event:
            case Decided() | PostMortemMoved():
                return "approved"
            case TimerFired():
                return "silence"
            case Drafted() if holding is not None and event.request == holding.request:
                return "holding"
            case _:
                return "auto"

    def _carry_out(self, action: Action, gate: Gate) -> Event | None:
        match action:
            case Target():
                return Targeted(audience=self._crowd().audience)
            case Draft():
                self._versions += 1
                return Drafted(
                    request=action.request,
                    version=self._versions,
                    moment=action.moment,
                    number=action.number,
                    hash=f"v{self._versions}",
                    next_update_at=action.next_update_at,
                    audience=self._crowd().audience,
                )
            case Broadcast():
                self._note_sent(action, gate)
                return BroadcastDone(broadcast=action.n, moment=action.moment)
            case OpenPostMortem():
                self._post_mortem = (action.due or self.now, action.public)
            case SettlePromise():
                self._settle(action)
            case Note() if action.key in ASKED:
                who = action.data.get("who", "")
                self.asked.append(HumanAct(at=self.now, kind=action.key, who=who))
            case _:
                pass  # rows and cards, which a world without a database does not have
        return None

    def _crowd(self) -> Crowd:
        """Who would be reached now; nobody ever leaves an audience."""
        crowd = self._count(self.state, self.policy)
        for channel, number in crowd.channels.items():
            before = self._numbers.get(channel)
            both = [n for n in (before, number) if n is not None]
            self._numbers[channel] = max(both) if both else None
        return crowd

    def _note_sent(self, action: Broadcast, gate: Gate) -> None:
        numbers = {c: 1 if c in FOR_ALL else self._numbers.get(c) for c in action.channels}
        self.sent.append(
            Sent(
                at=self.now,
                moment=action.moment,
                number=action.number,
                severity=self.state.severity,
                stage=self.state.stage,
                channels=action.channels,
                recipients=numbers,
                gate=gate,
                by=action.by,
                to_customers=bool(set(action.channels) - STAFF_CHANNELS),
                next_update_at=action.next_update_at,
            )
        )

    def _settle(self, action: SettlePromise) -> None:
        if action.state == "open":
            return
        made = action.promise
        self.promises.append(
            Kept(made_at=made.made_at, due=made.due, state=action.state, settled_at=self.now)
        )
