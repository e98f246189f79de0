"""One step of the plan under construction: the next state and the actions asked for so far."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Literal

from domain.actions import (
    Action,
    AnswerPostMortem,
    Broadcast,
    Close,
    Decide,
    Note,
    OpenPostMortem,
    SettlePromise,
    Target,
)
from domain.incident import (
    AudienceCount,
    Draft,
    IncidentState,
    Pending,
    PostMortemState,
    Promise,
    Stage,
    TimerKind,
)
from domain.message import CLOSING, Channel, Gate, Moment
from domain.policy import Policy
from domain.policy_sections import GateRule
from domain.signal import Severity

STAFF_CHANNELS = frozenset({Channel.INTERNAL, Channel.TICKET})
# Decisions on older versions are answered "superseded"; so many recent ones are told apart.
REMEMBERED = 50
# After one of these lines there is something new to say.
CHANGES = frozenset(
    {
        "confirmed", "severity_changed", "stage_changed", "facts_stated", "eta_passed", "reopened",
        "extended_entered", "extended_left", "update_posted", "alerts_resolved",
        "stability_broken",
    }
)  # fmt: skip
# Customers read a promise to the minute; below this rhythm (drills, demos) to the second.
MINUTE_RHYTHM = timedelta(minutes=5)


class Step:
    """Collects what one event changes; `state` and `actions` are the plan's answer."""

    def __init__(self, state: IncidentState, now: datetime, policy: Policy) -> None:
        self.state = state.model_copy(update={"steps": state.steps + 1})
        self.now = now
        self.policy = policy
        self.actions: list[Action] = []

    def set(self, **changes: Any) -> None:
        """Change fields of the state."""
        self.state = self.state.model_copy(update=changes)

    def note(self, key: str, actor: str = "forewarn", visible: bool = False, **data: Any) -> None:
        """Add a timeline line; its words are in the catalogs under `key`."""
        texts = {k: str(v) for k, v in data.items() if v is not None and v != ""}
        self.actions.append(Note(key=key, actor=actor, data=texts, customer_visible=visible))
        if key in CHANGES:
            self.set(changed_at=self.now)

    def stage(self, stage: Stage, visible: bool = False) -> None:
        if stage is not self.state.stage:
            self.note("stage_changed", visible=visible, old=self.state.stage, stage=stage)
            self.set(stage=stage)

    # Timers

    def arm(self, kind: TimerKind, at: datetime) -> None:
        self.set(timers={**self.state.timers, kind: at})

    def disarm(self, *kinds: TimerKind) -> None:
        self.set(timers={k: v for k, v in self.state.timers.items() if k not in kinds})

    # Audience and drafts

    def target(self) -> None:
        if not self.state.targeting:
            self.set(targeting=True)
            self.actions.append(Target())

    def draft(
        self,
        moment: Moment,
        note_id: str | None = None,
        stage: Stage | None = None,
        channels: tuple[Channel, ...] | None = None,
    ) -> None:
        """Ask for a moment's texts; whatever is pending or being written is superseded by it.

        Without `channels` they go where the moment is routed.
        """
        state = self.state
        channels = channels or self.channels(moment)
        if not channels:
            self.note("no_channels", moment=moment, severity=state.severity)
            return
        if moment not in CLOSING:
            note_id = note_id or self._unsaid()
        self.withdraw()
        numbers = {Moment.UPDATE: state.updates + 1, Moment.EXTENDED: max(1, state.extensions)}
        number = numbers.get(moment, 1)
        draft = self._request(moment, number, channels, note_id, stage or state.stage, False)
        self.set(drafting=draft)
        self.actions.append(draft)

    def _unsaid(self) -> str | None:
        """A human's words that wait to be sent: they go into whatever takes their place."""
        waiting = self.state.pending or self.state.drafting
        if waiting is None or waiting.moment in CLOSING:
            return None
        return waiting.note_id

    def channels(self, moment: Moment) -> tuple[Channel, ...]:
        """Where a moment goes: by its route, and where it is owed whatever the severity became."""
        routed = self.policy.channels(self.state.severity, moment)
        owed: tuple[Channel, ...] = ()
        if moment in CLOSING:
            owed = self.state.told
        elif moment in (Moment.UPDATE, Moment.EXTENDED) and self.state.promise is not None:
            owed = self.state.promise.channels
        return (*routed, *(c for c in owed if c not in routed))

    def draft_holding_line(self) -> None:
        """Ask for the fixed words that keep a promise; a pending draft stays as it is."""
        channels = self.channels(Moment.UPDATE)
        draft = self._request(
            Moment.UPDATE, self.state.updates, channels, None, self.state.stage, True
        )
        if self.policy.extended is not None:
            draft = draft.model_copy(update={"keeps": self.state.promises})
        self.set(holding=draft)
        self.actions.append(draft)

    def suggest_update(self) -> None:
        """Ask for an update that the commander may edit before the promise is due."""
        state = self.state
        draft = self._request(
            Moment.UPDATE, state.updates + 1, self.channels(Moment.UPDATE), None, state.stage, False
        ).model_copy(update={"beside": True, "keeps": state.promises})
        self.set(suggesting=draft)
        self.actions.append(draft)

    def executive_note(self, form: Literal["unchanged", "personal"] | None) -> None:
        """Ask for a note to executives, where the policy sends one; what waits stays as it is."""
        state = self.state
        channels = self.policy.channels(state.severity, Moment.EXECUTIVE)
        if not channels:
            return
        number = state.executives + 1
        draft = self._request(
            Moment.EXECUTIVE, number, channels, None, state.stage, False
        ).model_copy(update={"beside": True, "form": form, "next_update_at": state.next_update_due})
        self.set(executive=draft, executives=number, executive_at=self.now)
        self.actions.append(draft)

    @property
    def ending(self) -> bool:
        """Whether the words of the end are written or wait: the impact is over."""
        waiting = (self.state.pending, self.state.drafting)
        return any(d is not None and d.moment in CLOSING for d in waiting)

    def _request(
        self,
        moment: Moment,
        number: int,
        channels: tuple[Channel, ...],
        note_id: str | None,
        stage: Stage,
        holding: bool,
    ) -> Draft:
        request = self.state.draft_request + 1
        self.set(draft_request=request)
        promises = moment not in CLOSING and moment is not Moment.POST_MORTEM
        return Draft(
            request=request,
            moment=moment,
            number=number,
            channels=channels,
            stage=stage,
            holding=holding,
            note_id=note_id,
            next_update_at=self.next_due(self.now) if promises else None,
            promised=self.unkept(),
        )

    def overtaken(self, draft: Draft) -> bool:
        """Whether a promise passed while the words were being written, so that they hide it."""
        return draft.promised is None and self.unkept() is not None

    def ahead(self, due: datetime | None, literal: bool) -> datetime | None:
        """The next update that slow words promise: one that is still to come.

        Not by asking again: words that take longer than the rhythm would never be read.
        """
        if due is None or due > self.now or literal or self.state.edition < 4:
            return due
        return self.next_due(self.now)

    def again(self, draft: Draft) -> Draft:
        """Ask for the same words anew, as things stand now."""
        request = self.state.draft_request + 1
        self.set(draft_request=request)
        due = self.next_due(self.now) if draft.next_update_at is not None else None
        if draft.moment is Moment.EXECUTIVE:
            due = self.state.next_update_due
        told: dict[str, Any] = {
            "request": request,
            "next_update_at": due,
            "promised": self.unkept(),
        }
        if self.state.edition >= 4 and draft.moment not in CLOSING:
            told["stage"] = self.state.stage
        fresh = draft.model_copy(update=told)
        self.actions.append(fresh)
        return fresh

    def withdraw(self) -> None:
        """Take back the pending version and the draft being written."""
        pending = self.state.pending
        if pending is not None:
            self.actions.append(Decide(version=pending.draft, state="superseded"))
            self.remember_decided(pending.draft, as_sent=False, decided=False)
        self.set(pending=None, drafting=None)
        self.disarm(TimerKind.APPROVAL_REMINDER, TimerKind.APPROVAL_ESCALATION)

    def drop_suggestion(self) -> None:
        """Customers have heard: the update suggested for that is of no use any more."""
        pending = self.state.pending
        if pending is not None and pending.suggested:
            self.actions.append(Decide(version=pending.draft, state="superseded"))
            self.set(pending=None)
        self.set(suggesting=None)

    def remember_decided(self, version: int, *, as_sent: bool, decided: bool = True) -> None:
        if as_sent:
            self.set(sent=(*self.state.sent, version)[-REMEMBERED:])
        elif decided:
            self.set(decided=(*self.state.decided, version)[-REMEMBERED:])

    # Gates

    def gate_rule(self, moment: Moment, channel: Channel, holding: bool = False) -> GateRule:
        return self.policy.gate_rule(
            self.state.severity, moment, channel, self.state.category, holding
        )

    def over_cap(self, audience: AudienceCount) -> bool:
        """Whether so many customers would be reached that one person may not decide it."""
        cap, share = self.policy.approval.second_over, audience.share_of_customers
        return cap is not None and share is not None and share > cap

    def approvals_needed(self, audience: AudienceCount) -> int:
        return 2 if self.policy.approval.four_eyes or self.over_cap(audience) else 1

    def split(
        self,
        moment: Moment,
        channels: tuple[Channel, ...],
        holding: bool,
        audience: AudienceCount | None = None,
    ) -> tuple[tuple[Channel, ...], tuple[Channel, ...]]:
        """Channels that may go at once, and those that wait for a decision.

        What reaches customers over the cap, or is trusted no more, waits even where the gate
        would let it go.
        """
        gates = {
            c: self.policy.gate(self.state.severity, moment, c, self.state.category, holding)
            for c in channels
        }
        careful = self.state.tightened or (audience is not None and self.over_cap(audience))
        if careful and not holding:
            gates |= {c: Gate.APPROVE for c in channels if c not in STAFF_CHANNELS}
        auto = tuple(c for c in channels if gates[c] is Gate.AUTO)
        return auto, tuple(c for c in channels if gates[c] is Gate.APPROVE)

    def put_before_approvers(self, pending: Pending) -> None:
        self.set(pending=pending)
        self.note(
            "asked",
            version=pending.draft,
            moment=pending.moment,
            who=self.approver(0),
            channels=", ".join(pending.channels),
        )
        self.wait_for_answer()

    def wait_for_answer(self) -> None:
        """Count anew until silence is noticed."""
        self.arm(TimerKind.APPROVAL_REMINDER, self.now + self.policy.approval.remind_after)
        self.arm(TimerKind.APPROVAL_ESCALATION, self.now + self.policy.approval.escalate_after)

    def approver(self, level: int) -> str | None:
        """Who is asked at an escalation level; None past the end of the chain."""
        role = self.policy.categories[self.state.category].approver_role
        chain = self._asked("approver", role)
        return chain[level] if level < len(chain) else None

    def commander(self) -> str:
        """Whoever leads the incident, by name."""
        return ", ".join(self._asked("commander", "commander")[:1])

    def responders(self) -> tuple[str, ...]:
        """Who is asked to respond, one after the other: commanders, then those who decide."""
        role = self.policy.categories[self.state.category].approver_role
        chain = (*self._asked("commander", "commander"), *self._asked("approver", role))
        return tuple(dict.fromkeys(chain))

    def _asked(self, duty: str, role: str) -> tuple[str, ...]:
        """The chain of a role, led by whoever took it over."""
        chain = self.policy.people.roles.get(role, ())
        taken = self.state.people.get(duty)
        return chain if taken is None else (taken, *(name for name in chain if name != taken))

    # Sending

    def broadcast(self, pending: Pending, channels: tuple[Channel, ...], by: str) -> None:
        """Send a version on channels; customers hearing it moves stage, promise and closure."""
        state = self.state
        for_customers = bool(set(channels) - STAFF_CHANNELS)
        due = self.promised(pending) if for_customers else pending.next_update_at
        if for_customers and not self._keeps(pending, channels) and state.promise is not None:
            # The rest of its readers still wait for what they were promised: so do these.
            due = state.promise.due
        n = state.broadcasts + 1
        self.set(broadcasts=n)
        self.actions.append(
            Broadcast(
                n=n,
                version=pending.draft,
                hash=pending.hash,
                moment=pending.moment,
                number=pending.number,
                channels=channels,
                audience_id=pending.audience.audience_id,
                by=by,
                next_update_at=due,
                expires_at=self.now + self.policy.delivery.expires_after,
            )
        )
        self.note(
            "broadcast_started",
            visible=for_customers,
            version=pending.draft,
            moment=pending.moment,
            number=pending.number,
            n=n,
            channels=", ".join(channels),
            by=by,
        )
        if for_customers:
            self.actions.append(Decide(version=pending.draft, state="sent", by=by))
            self.remember_decided(pending.draft, as_sent=True)
            kept = self._keeps(pending, channels)
            told = (*state.told, *channels)
            self.set(told=tuple(c for c in Channel if c in told and c not in STAFF_CHANNELS))
            self._told_customers(pending, due, kept)

    def _keeps(self, pending: Pending, channels: tuple[Channel, ...]) -> bool:
        """Whether this message goes to all who were promised one, or is the end, or too late.

        A version may go out in parts: each then says the time that the others were told.
        """
        promise = self.state.promise
        if promise is None or self.state.edition < 4 or pending.moment in CLOSING:
            return True
        waiting = set(promise.channels) & set(self.state.told)
        return waiting <= set(channels) or promise.due <= self.now

    def _told_customers(
        self,
        pending: Pending,
        due: datetime | None,
        kept: bool,
    ) -> None:
        self.set(audience=pending.audience)
        if pending.moment is Moment.POST_MORTEM:
            return
        self.set(announced=True, last_sent_at=self.now, told_stage=pending.stage)
        self.drop_suggestion()
        if pending.note_id is not None or pending.edited:
            self.set(human_wrote_at=self.now)
        if pending.moment is Moment.UPDATE:
            self.set(updates=max(self.state.updates, pending.number))
        if not kept:
            return
        self.keep_promise()
        if pending.moment in CLOSING:
            self.end(pending)
        else:
            self.promise(due)
            self.set(ended=False)

    def end(self, pending: Pending) -> None:
        """Customers are told the end: no promise is open any more."""
        self.set(ended=True, holding=None)
        self.disarm(TimerKind.PROMISE, TimerKind.PROMISE_REMINDER, TimerKind.STABILITY)
        if pending.moment is Moment.RESOLUTION:
            self.settle_resolution()
        else:
            self.close(Stage.FALSE_ALARM)

    def close(self, stage: Stage) -> None:
        """Nothing more can happen: no timer, no draft, no decision."""
        if self.state.post_mortem is PostMortemState.NONE:
            self.set(post_mortem=PostMortemState.NOT_REQUIRED)
        self.stage(stage)
        self.set(timers={}, pending=None, drafting=None, holding=None)
        self.actions.append(Close())

    def settle_resolution(self) -> None:
        """The incident is over for customers; the post-mortem duty and the re-open window begin."""
        state, severity = self.state, self.policy.severities[self.state.severity]
        self.set(resolved_at=state.resolved_at or self.now)
        self.stage(Stage.RESOLVED, visible=True)
        self.arm(TimerKind.REOPEN_WINDOW, self.now + self.policy.grouping.reopen_within)
        if state.post_mortem is not PostMortemState.NONE:
            self.rework_post_mortem()
            return
        duty = severity.post_mortem
        if duty.kind == "none" or not state.announced:
            self.set(post_mortem=PostMortemState.NOT_REQUIRED)
            return
        due = self.now + duty.within if duty.within else None
        self.set(post_mortem=PostMortemState.DUE, post_mortem_due=due)
        self.actions.append(OpenPostMortem(due=due, public=duty.kind == "public"))
        self.note("post_mortem_due", due=due.isoformat() if due else None)

    def rework_post_mortem(self) -> None:
        """Have the report written anew once the incident that went on is over again."""
        state = self.state
        if not state.report_outdated or state.stage is not Stage.RESOLVED or state.offer is None:
            return
        if state.post_mortem is PostMortemState.PUBLISHED:
            # Its writer has ended: what was published before the second end is announced as it is.
            self.set(report_outdated=False)
            return
        self.set(report_outdated=False, offer=None, post_mortem=PostMortemState.DUE)
        self.actions.append(
            AnswerPostMortem(approved=False, version=state.offer.version, by="forewarn")
        )

    # Promises

    @property
    def every(self) -> timedelta | None:
        """The rhythm of updates now."""
        every = self.policy.severities[self.state.severity].update_every
        extended = self.policy.extended
        if every is None or extended is None or self.state.extended_since is None:
            return every
        return min(every, extended.update_every)

    def next_due(self, since: datetime) -> datetime | None:
        """When the next update is due after one sent at `since`; None without a rhythm."""
        every = self.every
        if every is None:
            return None
        due = since + every
        if every >= MINUTE_RHYTHM:
            return due.replace(second=0, microsecond=0)
        return due.replace(microsecond=0)

    def promised(self, pending: Pending) -> datetime | None:
        """The due time a message states: as the approver saw it, unless the decision came late."""
        shown = pending.next_update_at
        every = self.every
        passed = shown is not None and shown <= self.now and self.state.edition >= 4
        if shown is None or every is None:
            return None if passed and not pending.promise_is_literal else shown
        prompt = self.now - pending.asked_at <= every / 6
        if passed:
            prompt = False
        return shown if pending.promise_is_literal or prompt else self.next_due(self.now)

    def promise(self, due: datetime | None) -> None:
        """Make a promise and set its timers; None makes none."""
        self.disarm(TimerKind.PROMISE, TimerKind.PROMISE_REMINDER)
        if due is None:
            return
        routed = self.policy.channels(self.state.severity, Moment.UPDATE)
        made = Promise(
            number=self.state.promises + 1,
            channels=tuple(c for c in routed if c not in STAFF_CHANNELS),
            made_at=self.now,
            due=due,
        )
        self.set(promise=made, promises=made.number)
        self.actions.append(SettlePromise(promise=made, state="open"))
        self.note("promise_made", visible=False, due=due.isoformat())
        self.arm(TimerKind.PROMISE, max(self.now, due - self.policy.promises.holding_lead))
        remind = due - self.policy.promises.remind_before
        if remind > self.now:
            self.arm(TimerKind.PROMISE_REMINDER, remind)

    def unkept(self) -> datetime | None:
        """The promised time that has passed without a message, if there is one."""
        promise = self.state.promise
        return promise.due if promise is not None and self.now > promise.due else None

    def keep_promise(self) -> None:
        """A message goes out: the open promise is kept, or was missed."""
        open_promise = self.state.promise
        if open_promise is None:
            return
        kept = self.now <= open_promise.due
        self.actions.append(
            SettlePromise(
                promise=open_promise,
                state="kept" if kept else "missed",
                kept_at=self.now,
            )
        )
        self.note("promise_kept" if kept else "promise_missed", due=open_promise.due.isoformat())
        self.set(promise=None)
        self.disarm(TimerKind.PROMISE, TimerKind.PROMISE_REMINDER)

    def recompute_promise(self) -> None:
        """A new rhythm counts from the last update sent, never past what customers were told."""
        told, sent = self.state.promise, self.state.last_sent_at
        if told is None or sent is None:
            return
        due = self.next_due(sent)
        if due is None or due >= told.due:
            return
        if self.policy.extended is not None and due <= self.now:
            # Customers were told the later time: they hear sooner, and nothing was missed.
            self.disarm(TimerKind.PROMISE_REMINDER)
            self.arm(TimerKind.PROMISE, self.now + self.policy.promises.holding_lead)
            return
        self.actions.append(SettlePromise(promise=told, state="superseded"))
        self.set(promise=None)
        self.promise(due)

    # Severity

    def worsen(self, severity: Severity, reason: str, by: str = "forewarn") -> None:
        """Set a severity and let rhythm and gates follow."""
        self.note(
            "severity_changed",
            actor=by,
            visible=False,
            old=self.state.severity,
            severity=severity,
            reason=reason,
        )
        self.set(severity=severity)
        self.recompute_promise()


def audience_or(state: IncidentState, audience: AudienceCount | None) -> AudienceCount:
    """The audience a draft was made for, else the one the incident already has."""
    return audience if audience is not None else state.audience
