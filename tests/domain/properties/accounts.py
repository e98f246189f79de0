"""What must hold of promises, approvals and numbers; each check yields a sentence per breach."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from pydantic import TypeAdapter

from domain.events import Decided, Event, TimerFired
from domain.incident import IncidentState, Promise, TimerKind
from domain.message import CLOSING, Channel, Gate, Moment
from domain.plan import plan
from domain.policy import Policy
from domain.resume import RecordsLost, mend, resume
from domain.step import STAFF_CHANNELS
from tests.domain.properties.records import Taken
from tests.domain.properties.world import World

_EVENT: TypeAdapter[Event | RecordsLost | None] = TypeAdapter(Event | RecordsLost | None)


def every_promise_is_settled_once(world: World) -> Iterator[str]:
    """Each is opened under the next number, then kept in time, missed late or superseded, once."""
    opened: dict[int, Promise] = {}
    settled: Counter[int] = Counter()
    for number, taken in enumerate(world.steps):
        for entry in taken.settled:
            promise = entry.promise
            name = f"step {number}: promise {promise.number}"
            if entry.state == "open":
                if promise.number != len(opened) + 1 or taken.after.promises < promise.number:
                    yield f"{name} is opened where {len(opened) + 1} was next"
                opened[promise.number] = promise
                continue
            settled[promise.number] += 1
            made = opened.get(promise.number)
            if made is None or made.due != promise.due or settled[promise.number] > 1:
                yield f"{name} is {entry.state}, but was not open"
            in_time = entry.kept_at is not None and entry.kept_at <= promise.due
            if entry.state != "superseded" and (entry.state == "kept") is not in_time:
                yield f"{name}, due {promise.due}, counts as {entry.state} at {entry.kept_at}"
        open_now = {n for n in opened if not settled[n]}
        believed = {taken.after.promise.number} if taken.after.promise else set()
        if open_now != believed:
            yield f"step {number}: promises {open_now} are open, the state knows {believed}"
        if taken.after.over and open_now:
            yield f"step {number}: {taken.after.stage}, and promises {open_now} are open for ever"


def no_promise_is_missed(world: World) -> Iterator[str]:
    """For stories in which nothing stands in the way: none is late, at no time."""
    for number, taken in enumerate(world.steps):
        promise = taken.after.promise
        if promise is not None and promise.due < taken.at:
            yield f"step {number}: promise {promise.number} is open {taken.at - promise.due} late"
        if any(entry.state == "missed" for entry in taken.settled):
            yield f"step {number}: a promise is missed"


def a_missed_promise_is_admitted(world: World) -> Iterator[str]:
    """The first message after a time that passed says so."""
    for number, taken in enumerate(world.steps):
        for entry in taken.settled:
            if entry.state != "missed":
                continue
            for sent in taken.to_customers:
                draft = world.versions[sent.version].draft
                if draft is not None and draft.promised is None:
                    yield (
                        f"step {number}: {sent.moment} of version {sent.version} hides that "
                        f"{entry.promise.due} has passed"
                    )


def a_promise_is_kept_where_it_was_made(world: World) -> Iterator[str]:
    """By then every channel on which customers could read it has had a message since."""
    since: set[Channel] = set()
    readers: set[Channel] = set()
    for number, taken in enumerate(world.steps):
        since |= {c for sent in taken.to_customers for c in sent.channels}
        for entry in taken.settled:
            if entry.state == "kept" and readers & set(entry.promise.channels) - since:
                missing = readers & set(entry.promise.channels) - since
                yield (
                    f"step {number}: promise {entry.promise.number} counts as kept, but nothing "
                    f"went to {', '.join(sorted(missing))}"
                )
            if entry.state == "open":
                since, readers = set(), set(taken.after.told)


def what_is_said_is_promised(world: World) -> Iterator[str]:
    """The time that a message names lies ahead, and what is promised then is no later."""
    for number, taken in enumerate(world.steps):
        for sent in taken.to_customers:
            if sent.moment in CLOSING or sent.moment is Moment.POST_MORTEM:
                if sent.next_update_at is not None:
                    yield f"step {number}: {sent.moment} promises {sent.next_update_at}"
                continue
            due = sent.next_update_at
            if due is not None and due <= taken.at:
                yield f"step {number}: {sent.moment} promises {due}, {taken.at - due} ago"
            promise = taken.after.promise
            if due is not None and (promise is None or promise.due > due):
                yield f"step {number}: {sent.moment} says {due}, the promise is {promise}"


def nothing_unapproved_goes_out(world: World) -> Iterator[str]:
    """Whatever customers read was let out by people who may, by an open gate, by silence where
    policy says so, or is the fixed line that was approved with the start; and it breaks no rule.

    An amount is stated in a version like everything else: it cannot pass by another way.
    """
    approvals: dict[int, set[str]] = {}
    for number, taken in enumerate(world.steps):
        event = taken.event
        if isinstance(event, Decided) and event.decision == "approve" and event.role == "approver":
            approvals.setdefault(event.draft, set()).add(event.by)
        for sent in taken.to_customers:
            version = world.versions.get(sent.version)
            name = f"step {number}: version {sent.version} ({sent.moment})"
            if version is None or version.invalid:
                yield f"{name} goes to customers and breaks rules"
            needed = 2 if world.policy.approval.four_eyes else 1
            if sent.moment is Moment.POST_MORTEM:
                needed = 1
            if len(approvals.get(sent.version, ())) >= needed:
                continue
            if sent.moment is Moment.POST_MORTEM or not _let_out(world, taken):
                yield f"{name} was approved by nobody who counts, allowed by {sent.by!r}"


def _let_out(world: World, taken: Taken) -> bool:
    """Whether policy itself opens the gate of everything that a step sends to customers."""
    event = taken.event
    silence = isinstance(event, TimerFired) and event.timer is TimerKind.APPROVAL_ESCALATION
    for sent in taken.to_customers:
        if sent.moment is Moment.POST_MORTEM:
            continue  # its reviewers decide, whatever goes with it
        draft = world.versions[sent.version].draft
        if draft is None or (draft.holding and not taken.before.announced):
            return False
        for channel in set(sent.channels) - STAFF_CHANNELS:
            if silence and _silence_sends(world.policy, taken, sent.moment, channel):
                continue
            if _gate(world.policy, taken, sent.moment, channel, draft.holding) is not Gate.AUTO:
                return False
    return True


def _gate(policy: Policy, taken: Taken, moment: Moment, channel: Channel, holding: bool) -> Gate:
    state = taken.before
    if policy.categories[state.category].compliance_bound and not holding:
        return Gate.APPROVE
    return policy.gate_rule(state.severity, moment, channel, state.category, holding).gate


def _silence_sends(policy: Policy, taken: Taken, moment: Moment, channel: Channel) -> bool:
    state = taken.before
    rule = policy.gate_rule(state.severity, moment, channel, state.category, False)
    return rule.on_silence == "send"


def what_was_sent_stays_sent(world: World) -> Iterator[str]:
    """A version that customers read stays sent, and each is decided on once."""
    sent: set[int] = set()
    ended: set[int] = set()
    for number, taken in enumerate(world.steps):
        for action in taken.actions:
            if action.kind != "decide":
                continue
            name = f"step {number}: version {action.version} becomes {action.state}"
            if action.version in sent and action.state != "sent":
                # Its other channels may still wait for a decision of their own.
                waited = taken.before.pending
                if waited is None or waited.draft != action.version:
                    yield f"{name}, but customers have it"
            if action.version in ended:
                yield f"{name}, but it was at its end"
            if action.state == "sent":
                sent.add(action.version)
            elif action.state in ("superseded", "rejected"):
                ended.add(action.version)


def the_plan_is_a_function(world: World) -> Iterator[str]:
    """Planned once more, from a state that went through JSON, each step is the same."""
    for number, taken in enumerate(world.steps):
        before = IncidentState.model_validate_json(taken.before.model_dump_json())
        event = _EVENT.validate_json(_EVENT.dump_json(taken.event))
        if before != taken.before or event != taken.event:
            yield f"step {number}: state or event come back from JSON as something else"
        if event is None:
            after, actions = resume(before, taken.at, world.policy)
        elif isinstance(event, RecordsLost):
            after, actions = mend(before, event, taken.at, world.policy)
        else:
            after, actions = plan(before, event, taken.at, world.policy)
        if (after, tuple(actions)) != (taken.after, taken.actions):
            yield f"step {number}: {type(event).__name__} is planned otherwise the second time"


def no_answer_is_given_in_vain(world: World) -> Iterator[str]:
    """A post-mortem that was approved takes no further answer: a signal to it would fail."""
    for number in world.answered_in_vain:
        yield f"step {number}: answers a post-mortem whose approval was handed on before"
