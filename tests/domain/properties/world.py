"""A small world around the pure plan: it answers actions as the workflow would, late or in vain.

Drafts take time and may break rules, broadcasts reach simulated customers, timers fire in the order
of `next_timer`, and while every worker of ours is down nothing happens at all.
"""

from __future__ import annotations

import heapq
from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import count, cycle

from domain.actions import (
    AnswerPostMortem,
    Broadcast,
    Close,
    Decide,
    Note,
    OpenPostMortem,
    OpenWarRoom,
    ProposeCredits,
    SettlePromise,
    Target,
    TellStaff,
)
from domain.events import (
    AlertsReceived,
    BroadcastDone,
    CreditsProposed,
    Drafted,
    Event,
    PostMortemMoved,
    Targeted,
    TimerFired,
    WarRoomOpened,
)
from domain.incident import AudienceCount, Draft, IncidentState, PostMortemState
from domain.message import CLOSING, Facts, Moment
from domain.plan import next_timer, open_incident, plan
from domain.policy import Policy
from domain.refusals import refusal
from domain.resume import RecordsLost, mend, resume
from domain.signal import AlertBatch
from tests.domain.properties.listeners import Ledger
from tests.domain.properties.records import Taken, Version, Violation, narrate
from tests.domain.properties.telling import facts_of, owed

# Not on a full minute, so that what is cut to the minute shows.
START = datetime(2026, 3, 10, 14, 0, 7, 250_000, tzinfo=UTC)
NOTHING = timedelta(0)
SECOND = timedelta(seconds=1)
# What is under way in a run, and ends with it.
ENDS_WITH_ITS_RUN = (Drafted, Targeted, CreditsProposed, WarRoomOpened)
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
    proposed: dict[str, str] = field(default_factory=dict)
    """Credits that wait for a person, in percent by plan."""
    approved: dict[str, str] = field(default_factory=dict)
    answered_in_vain: list[int] = field(default_factory=list)
    """Steps that answer a post-mortem whose run has ended: nobody takes that answer."""

    def __post_init__(self) -> None:
        self._answers: list[tuple[datetime, int, Event]] = []
        self._numbers = count()
        self._delays = cycle(self.pace.answers)
        self._invalid = cycle(self.pace.invalid)
        self._literal = cycle(self.pace.literal)
        self._public = self._reviewed = False
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

    def lose_run(self, down: timedelta = NOTHING) -> None:
        """The running state is lost with all answers under way; it goes on from what is stored.

        `down` is how long nothing ran before it did.
        """
        if self.state.over:
            return
        self.now += down
        self.longest_outage = max(self.longest_outage, down)
        self._answers = [a for a in self._answers if not isinstance(a[2], ENDS_WITH_ITS_RUN)]
        heapq.heapify(self._answers)
        before = IncidentState.model_validate_json(self.state.model_dump_json())
        after, actions = resume(before, self.now, self.policy)
        self._take(Taken(self.now, None, before, after, tuple(actions)))
        self.pass_time(NOTHING)

    def lose_records(self, back: timedelta) -> None:
        """PostgreSQL comes back as it was so long ago, and the run hears what of it is gone.

        Texts and audiences from after then are; what is under way is asked for again by its
        activity, and saved as things are now.
        """
        if self.state.over:
            return
        since, before = self.now - back, self.state
        busy = {e.version for e in self.awaited() if isinstance(e, Drafted | PostMortemMoved)}
        gone = frozenset(n for n, v in self.versions.items() if v.at > since and n not in busy)
        nowhere = self.ledger.lose_audiences(since)
        self._answers = [(at, n, self._retried(event)) for at, n, event in self._answers]
        audience = before.audience
        if audience.audience_id is not None:
            audience = self._audience()
        for sent in (b for t in self.steps if t.at > since for b in t.broadcasts):
            self.ledger.doubt(sent, audience.audience_id)
        new = audience.audience_id != before.audience.audience_id
        lost = RecordsLost(
            since=max((t.after.steps for t in self.steps if t.at <= since), default=0),
            audience=audience if new else None,
            pending=before.pending is not None and before.pending.draft in gone,
            offer=before.offer is not None and before.offer.version in gone,
        )
        after, actions = mend(before, lost, self.now, self.policy)
        self._take(
            Taken(self.now, lost, before, after, tuple(actions), None, NOTHING, gone, nowhere)
        )

    def _retried(self, event: Event) -> Event:
        """An answer under way when the records were lost, with an audience that is there."""
        if isinstance(event, Targeted):
            return event.model_copy(update={"audience": self._audience()})
        if isinstance(event, Drafted):
            version = self.versions[event.version]
            draft = version.draft
            if draft is not None and not (draft.holding or draft.moment in CLOSING):
                audience = self._audience()
                moved = replace(version, audience_id=audience.audience_id)
                self.versions[event.version] = moved
                return event.model_copy(update={"audience": audience})
        return event

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
        self,
        moment: Moment,
        draft: Draft | None,
        audience_id: str | None,
        invalid: bool,
        facts: Facts | None = None,
    ) -> Version:
        """Keep a new version under the next number."""
        number = len(self.versions) + 1
        version = Version(number, moment, draft, audience_id, invalid, self.now, facts)
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
            case ProposeCredits():
                self.answer(self._credits())
            case OpenWarRoom():
                self.answer(WarRoomOpened(name=action.name))
            case Note() | Decide() | SettlePromise() | TellStaff() | Close():
                pass
            case _:
                self.ignored[type(action).__name__] += 1

    def _audience(self) -> AudienceCount:
        key = self.ledger.snapshot(self.state.components, self.state.regions, self.now)
        size = len(self.ledger.audiences[key])
        return AudienceCount(audience_id=key, accounts=size, recipients=size, share=self.pace.share)

    def _draft(self, draft: Draft) -> None:
        kept = draft.holding or draft.moment in CLOSING
        audience = self.state.audience if kept else self._audience()
        invalid = next(self._invalid)
        facts = facts_of(self.state, draft, audience, self.policy, self.now)
        version = self.write(draft.moment, draft, audience.audience_id, invalid, facts)
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

    def _credits(self) -> CreditsProposed:
        """Work out what each plan is owed; it waits for a person from now on."""
        self.proposed = owed(self.state, self.policy, self.now)
        return CreditsProposed(accounts=len(self.proposed), total=f"{len(self.proposed)}.00 USD")

    def _draft_post_mortem(self) -> None:
        version = self.write(Moment.POST_MORTEM, None, None, next(self._invalid))
        self._post_mortem(PostMortemState.DRAFTED, version.number)

    def _answer_post_mortem(self, action: AnswerPostMortem) -> None:
        if self._reviewed:
            self.answered_in_vain.append(len(self.steps) - 1)
            return
        self._reviewed = action.approved
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
