"""A small world around the pure plan: it answers actions as the workflow would, late or in vain.

Drafts take time and may break rules, broadcasts reach simulated customers, timers fire in the order
of `next_timer`, and while every worker of ours is down nothing happens at all.
"""

from __future__ import annotations

import heapq
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count, cycle

from domain.incident import (
    AlertsReceived,
    AnswerPostMortem,
    AudienceCount,
    Broadcast,
    BroadcastDone,
    Close,
    Decide,
    Draft,
    Drafted,
    Event,
    IncidentState,
    Note,
    OpenPostMortem,
    PostMortemMoved,
    PostMortemState,
    SettlePromise,
    Target,
    Targeted,
    TellStaff,
    TimerFired,
)
from domain.message import CLOSING, Moment
from domain.plan import next_timer, open_incident, plan
from domain.policy import Policy
from domain.refusals import refusal
from domain.resume import resume
from domain.signal import AlertBatch
from tests.domain.properties.listeners import Ledger
from tests.domain.properties.records import Taken, Version, Violation, narrate

# Not on a full minute, so that what is cut to the minute shows.
START = datetime(2026, 3, 10, 14, 0, 7, 250_000, tzinfo=UTC)
NOTHING = timedelta(0)
SECOND = timedelta(seconds=1)
# More events than this at one instant, and the plan goes in circles.
MOST_AT_ONCE = 300


@dataclass(frozen=True)
class Pace:
    """How long words and audiences take, which words break rules, which name a time in full.

    Each is gone through in turn. `share` is the affected share that an audience shows.
    """

    answers: tuple[timedelta, ...] = (SECOND,)
    invalid: tuple[bool, ...] = (False,)
    literal: tuple[bool, ...] = (False,)
    share: float | None = None


@dataclass
class World:
    """An incident, its clock, its customers, and all that the plan was told and asked for."""

    policy: Policy
    first: AlertBatch
    pace: Pace = Pace()
    now: datetime = START
    steps: list[Taken] = field(default_factory=list)
    versions: dict[int, Version] = field(default_factory=dict)
    ledger: Ledger = field(default_factory=Ledger)
    ignored: Counter[str] = field(default_factory=Counter)
    """Actions that this world does not know, by kind: they are left without an answer."""
    longest_outage: timedelta = NOTHING

    def __post_init__(self) -> None:
        self._answers: list[tuple[datetime, int, Event]] = []
        self._numbers = count()
        self._delays = cycle(self.pace.answers)
        self._invalid = cycle(self.pace.invalid)
        self._literal = cycle(self.pace.literal)
        self._public = False
        self.state = open_incident("inc_world", self.first, self.now, False)
        self.tell(AlertsReceived(batch=self.first))

    # Telling the plan

    def tell(self, event: Event, late: timedelta = NOTHING) -> None:
        """Hand an event to the plan and have what it asks for carried out."""
        before, refused = self.state, refusal(self.state, event, self.now)
        try:
            after, actions = plan(before, event, self.now, self.policy)
        except Exception as error:  # Raised again at once: a failure shall tell its story.
            error.add_note(f"{event!r} at {self.now}, after:\n{narrate(self.steps)}")
            raise
        kind = refused.kind if refused else None
        self._take(Taken(self.now, event, before, after, tuple(actions), kind, late))

    def command(self, event: Event) -> bool:
        """A human's command; what the workflow's validator refuses never reaches the plan."""
        allowed = refusal(self.state, event, self.now) is None
        if allowed:
            self.tell(event)
        return allowed

    def lose_run(self) -> None:
        """The running state is lost with all answers under way; it goes on from what is stored."""
        if self.state.over:
            return
        self._answers = [a for a in self._answers if not isinstance(a[2], Drafted | Targeted)]
        heapq.heapify(self._answers)
        before = IncidentState.model_validate_json(self.state.model_dump_json())
        after, actions = resume(before, self.now, self.policy)
        self._take(Taken(self.now, None, before, after, tuple(actions)))

    def _take(self, taken: Taken) -> None:
        self.steps.append(taken)
        self.state = taken.after
        for action in taken.actions:
            self._carry_out(action)

    # Time

    def pass_time(self, delta: timedelta) -> None:
        """Let the clock run; timers and answers come at their time, in order."""
        until, here = self.now + delta, 0
        while (due := self.next_due()) is not None and due <= until:
            here = here + 1 if due <= self.now else 0
            if here > MOST_AT_ONCE:
                raise Violation(f"the plan goes in circles:\n{narrate(self.steps[-20:])}")
            late, self.now = max(self.now - due, NOTHING), max(self.now, due)
            timer = next_timer(self.state)
            if timer is not None and timer[1] == due:
                self.tell(TimerFired(timer=timer[0]), late)
            else:
                self.tell(heapq.heappop(self._answers)[2], late)
        self.now = until

    def outage(self, delta: timedelta) -> None:
        """All our workers are down: the clock jumps, then everything comes late."""
        self.now += delta
        self.longest_outage = max(self.longest_outage, delta)
        self.pass_time(NOTHING)

    def next_due(self) -> datetime | None:
        """When the next timer fires or the next answer comes."""
        timer = next_timer(self.state)
        times = [timer[1]] if timer else []
        times += [self._answers[0][0]] if self._answers else []
        return min(times, default=None)

    # Answers

    def awaited(self) -> list[Event]:
        """The answers that are still to come."""
        return [event for _, _, event in self._answers]

    def answer(self, event: Event) -> None:
        """Have an event come later, at the pace of the world."""
        delay = next(self._delays)
        heapq.heappush(self._answers, (self.now + delay, next(self._numbers), event))

    def write(
        self, moment: Moment, draft: Draft | None, audience_id: str | None, invalid: bool
    ) -> Version:
        """Keep a new version under the next number."""
        version = Version(len(self.versions) + 1, moment, draft, audience_id, invalid)
        self.versions[version.number] = version
        return version

    def _carry_out(self, action: object) -> None:
        match action:
            case Target():
                self.answer(Targeted(audience=self._audience()))
            case Draft():
                self._draft(action)
            case Broadcast():
                counts = self.ledger.send(action, len(self.steps) - 1, self.now)
                self.answer(BroadcastDone(broadcast=action.n, moment=action.moment, counts=counts))
            case OpenPostMortem():
                self._public = action.public
                self._draft_post_mortem()
            case AnswerPostMortem():
                self._answer_post_mortem(action)
            case Note() | Decide() | SettlePromise() | TellStaff() | Close():
                pass
            case _:
                self.ignored[type(action).__name__] += 1

    def _audience(self) -> AudienceCount:
        key = self.ledger.snapshot(self.state.components, self.state.regions)
        size = len(self.ledger.audiences[key])
        return AudienceCount(audience_id=key, accounts=size, recipients=size, share=self.pace.share)

    def _draft(self, draft: Draft) -> None:
        kept = draft.holding or draft.moment in CLOSING
        audience = self.state.audience if kept else self._audience()
        invalid = next(self._invalid)
        version = self.write(draft.moment, draft, audience.audience_id, invalid)
        self.answer(
            Drafted(
                request=draft.request,
                version=version.number,
                moment=draft.moment,
                number=draft.number,
                hash=f"h{version.number}",
                invalid=invalid,
                next_update_at=draft.next_update_at,
                promise_is_literal=next(self._literal) and not draft.holding,
                audience=audience,
            )
        )

    def _draft_post_mortem(self) -> None:
        version = self.write(Moment.POST_MORTEM, None, None, next(self._invalid))
        self._post_mortem(PostMortemState.DRAFTED, version.number)

    def _answer_post_mortem(self, action: AnswerPostMortem) -> None:
        if action.approved:
            public = self._public
            done = PostMortemState.PUBLISHED if public else PostMortemState.COMPLETED
            self._post_mortem(done, action.version)
        else:
            self._draft_post_mortem()

    def _post_mortem(self, state: PostMortemState, number: int) -> None:
        version = self.versions[number]
        self.answer(
            PostMortemMoved(state=state, version=number, hash=f"h{number}", invalid=version.invalid)
        )
