"""What must hold of every incident's story; each check yields a sentence per breach."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator

from domain.events import (
    AlertsReceived,
    Drafted,
    FalseAlarmMarked,
    ImpactConfirmed,
    ResolveRequested,
    SeverityChanged,
    Targeted,
    TimerFired,
)
from domain.incident import ACTIVE, Stage
from domain.message import CLOSING, Moment
from domain.resume import RecordsLost
from domain.step import STAFF_CHANNELS
from tests.domain.properties.listeners import TOLD_ONLY, Heard
from tests.domain.properties.world import World

Check = Callable[[World], Iterator[str]]
# Moments beside the customers' thread of an incident: they neither start nor end it.
ASIDE = frozenset({Moment.POST_MORTEM, Moment.EXECUTIVE})


def _threads(world: World) -> Iterator[list[Heard]]:
    """What each customer heard on each channel, in order."""
    threads: dict[tuple[str, str], list[Heard]] = defaultdict(list)
    for row in world.ledger.rows:
        if row.channel not in STAFF_CHANNELS:
            threads[row.recipient, row.channel].append(row)
    yield from threads.values()


def nobody_hears_the_same_twice(world: World) -> Iterator[str]:
    """No version twice on a channel; one start, numbered updates, one end per re-opening, and one
    escalation per turn for the worse."""
    worse = [n for n, t in enumerate(world.steps) if t.after.severity.rank < t.before.severity.rank]
    reopened = [
        n
        for n, t in enumerate(world.steps)
        if t.before.stage is Stage.RESOLVED and t.after.stage in ACTIVE
    ]
    for thread in _threads(world):
        heard = [row for row in thread if row.sent]
        for first, second in ((a, b) for i, a in enumerate(heard) for b in heard[i + 1 :]):
            between = range(first.step + 1, second.step + 1)
            same = first.moment is second.moment and first.number == second.number
            if first.version == second.version:
                yield f"{second} repeats version {first.version} of step {first.step}"
            elif not same or first.moment in ASIDE:
                continue
            elif first.moment is Moment.INITIAL:
                yield f"{second} is a second start, after step {first.step}"
            elif first.moment is Moment.ESCALATION and not any(n in between for n in worse):
                yield f"{second} escalates again though it got no worse since step {first.step}"
            elif first.moment is Moment.UPDATE and not _holding(world, first, second):
                yield f"{second} has the number of step {first.step}"
            elif first.moment in CLOSING and not any(n in between for n in reopened):
                yield f"{second} is a second end, after step {first.step}"


def _holding(world: World, *rows: Heard) -> bool:
    """Whether one of them is a holding line: those show no number."""
    drafts = [world.versions[row.version].draft for row in rows]
    return any(draft is not None and draft.holding for draft in drafts)


def whoever_heard_the_start_hears_the_end(world: World) -> Iterator[str]:
    """Once it is over, the last word on every channel was an end, sent or owed to nobody."""
    for number, taken in enumerate(world.steps):
        ends = taken.after.over or taken.after.stage is Stage.RESOLVED
        if not ends or taken.before.stage is taken.after.stage:
            continue
        for thread in _threads(world):
            story = [r for r in thread if r.step <= number and r.moment not in ASIDE]
            heard = [r for r in story if r.sent]
            if heard and not any(r.moment in CLOSING for r in story if r.step >= heard[-1].step):
                last = heard[-1]
                yield (
                    f"{last.recipient} heard {last.moment} of step {last.step} on {last.channel} "
                    f"and no end though step {number} made it {taken.after.stage}"
                )


def no_message_contradicts_the_state(world: World) -> Iterator[str]:
    """Nothing of an open incident after its end, no end while alerts fire that nobody overruled,
    and the stage that a message names is the incident's."""
    over_by_human = false_alarm = False
    for number, taken in enumerate(world.steps):
        before, event = taken.before, taken.event
        if isinstance(event, AlertsReceived) and event.batch.watermark > before.watermark:
            over_by_human = over_by_human and event.batch.firing == 0
        elif isinstance(event, ResolveRequested) and not taken.refused:
            over_by_human = True
        elif isinstance(event, FalseAlarmMarked) and not taken.refused:
            false_alarm = True
        for sent in taken.to_customers:
            what = f"step {number}: {sent.moment} of version {sent.version}"
            draft = world.versions[sent.version].draft
            if before.over:
                yield f"{what} is sent after the incident was {before.stage}"
            elif sent.moment is Moment.POST_MORTEM:
                # With the end, where it waited for that, and never before.
                if Stage.RESOLVED not in (before.stage, taken.after.stage):
                    yield f"{what} is sent while the incident is {before.stage}"
            elif sent.moment in (Moment.FALSE_ALARM, Moment.CORRECTION):
                if not false_alarm:
                    yield f"{what} is sent though nobody called it a false alarm"
            elif sent.moment is Moment.RESOLUTION:
                if before.firing and not over_by_human:
                    yield f"{what} is sent while {before.firing} alerts fire"
            elif before.ended or before.stage not in ACTIVE:
                yield f"{what} is sent after the end, without a re-opening"
            elif draft is not None and draft.stage is not before.stage:
                yield f"{what} says {draft.stage} while the incident is {before.stage}"


def every_broadcast_carries_what_was_written(world: World) -> Iterator[str]:
    """Broadcasts are numbered without a gap and carry the text and audience of their version.

    Neither was lost meanwhile.
    """
    n = 0
    gone: set[int] = set()
    nowhere: set[str | None] = set()
    anew: dict[int, str | None] = {}
    for number, taken in enumerate(world.steps):
        event, waits = taken.event, taken.before.pending
        if isinstance(event, RecordsLost):
            gone |= taken.gone
            nowhere |= taken.nowhere
            if event.audience is not None and waits is not None and not event.pending:
                anew[waits.draft] = event.audience.audience_id
        for sent in taken.broadcasts:
            n += 1
            version = world.versions.get(sent.version)
            if sent.n != n or taken.after.broadcasts < n:
                yield f"step {number}: broadcast {sent.n} where {n} was next"
            if version is None or sent.hash != f"h{sent.version}":
                yield f"step {number}: broadcast {sent.n} carries no text that was written"
            elif sent.version in gone:
                yield f"step {number}: broadcast {sent.n} carries a text that was lost"
            elif version.draft is None or version.draft.holding:
                if sent.audience_id != taken.before.audience.audience_id:
                    yield f"step {number}: {sent.moment} goes to {sent.audience_id}, a new audience"
            elif sent.audience_id != anew.get(sent.version, version.audience_id):
                yield (
                    f"step {number}: version {sent.version} was written for {version.audience_id} "
                    f"and goes to {sent.audience_id}"
                )
            if sent.moment not in TOLD_ONLY and sent.audience_id in nowhere:
                yield f"step {number}: {sent.moment} goes to {sent.audience_id}, which was lost"
            if sent.expires_at is None or sent.expires_at <= taken.at:
                yield f"step {number}: broadcast {sent.n} has expired before it is sent"
        if taken.after.broadcasts != n:
            yield f"step {number}: {n} broadcasts, and the state counts {taken.after.broadcasts}"


def every_incident_can_be_ended(world: World) -> Iterator[str]:
    """When alerts stop and people do their work, it closes."""
    if not world.state.over:
        yield f"it stays {world.state.stage}, its post-mortem {world.state.post_mortem}"


def what_is_waited_for_will_come(world: World) -> Iterator[str]:
    """Whatever the state waits for was asked for, under the number that it waits for."""
    requests: dict[int, bool] = {}
    targets = 0
    for number, taken in enumerate(world.steps):
        if taken.event is None:
            requests, targets = dict.fromkeys(requests, False), 0
        if isinstance(taken.event, Targeted):
            targets -= 1
        if isinstance(taken.event, Drafted):
            requests[taken.event.request] = False
        for action in taken.actions:
            if action.kind == "draft":
                requests[action.request] = True
            elif action.kind == "target":
                targets += 1
        if taken.after.over:
            return
        state = taken.after
        for waiting in (state.drafting, state.holding, state.suggesting, state.executive):
            if waiting is not None and not requests.get(waiting.request):
                yield f"step {number}: waits for draft {waiting.request}, which will not come"
        if taken.after.targeting and targets < 1:
            yield f"step {number}: waits for an audience that nobody takes"


def what_is_written_is_read(world: World) -> Iterator[str]:
    """No words are put away unread time and again because they took long to write."""
    unread: Counter[Moment] = Counter()
    for number, taken in enumerate(world.steps):
        if not isinstance(taken.event, Drafted):
            continue
        moment, version = taken.event.moment, taken.event.version
        put_away = any(
            a.kind == "decide" and a.version == version and a.state == "superseded"
            for a in taken.actions
        )
        asked = any(a.kind == "draft" and a.moment is moment for a in taken.actions)
        unread[moment] = unread[moment] + 1 if put_away and asked else 0
        if unread[moment] > 2:
            yield f"step {number}: {moment} is written for the third time and nobody reads it"


def the_end_that_was_asked_for_comes(world: World) -> Iterator[str]:
    """No result of our own takes back an end: only people and alerts do."""
    for number, taken in enumerate(world.steps):
        if not isinstance(taken.event, Targeted | TimerFired | Drafted) or taken.broadcasts:
            continue
        before = {d.moment for d in (taken.before.drafting, taken.before.pending) if d} & CLOSING
        after = {d.moment for d in (taken.after.drafting, taken.after.pending) if d} & CLOSING
        if before - after and not taken.after.over:
            yield f"step {number}: {taken.event.kind} takes back {', '.join(before)}"


def severity_is_a_humans_once_set(world: World) -> Iterator[str]:
    """Alerts raise a severity, never lower it, and neither once a human has set it."""
    for number, taken in enumerate(world.steps):
        before, after = taken.before, taken.after
        if after.severity is before.severity:
            continue
        by_human = isinstance(taken.event, SeverityChanged | ImpactConfirmed)
        change = f"step {number}: {before.severity} → {after.severity}"
        if not by_human and before.severity_by_human:
            yield f"{change} by {type(taken.event).__name__}, after a human's word"
        elif not by_human and after.severity.rank > before.severity.rank:
            yield f"{change} without a human"
        if before.severity_by_human and not after.severity_by_human:
            yield f"{change}: forgets that a human set it"


def timers_lie_ahead(world: World) -> Iterator[str]:
    """What is armed is ahead, and what fires is late by an outage of ours at most."""
    for number, taken in enumerate(world.steps):
        for kind, at in taken.after.timers.items():
            if taken.before.timers.get(kind) != at and at < taken.at:
                yield f"step {number}: {kind} is armed for {at}, {taken.at - at} ago"
        if isinstance(taken.event, TimerFired) and taken.late > world.longest_outage:
            yield f"step {number}: {taken.event.timer} fires {taken.late} late"
        if taken.after.over and taken.after.timers:
            yield f"step {number}: timers {list(taken.after.timers)} though it is over"


def what_is_refused_or_repeated_changes_nothing(world: World) -> Iterator[str]:
    """Refused commands, alerts already known and timers taken back leave all but the count of
    steps as it was, and nothing is sent; unless a promise has passed, which any event may bring to
    light."""
    for number, taken in enumerate(world.steps):
        event, before = taken.event, taken.before
        idle = taken.refused is not None
        if isinstance(event, AlertsReceived):
            idle = event.batch.watermark <= before.watermark
        if isinstance(event, TimerFired):
            due = before.timers.get(event.timer)
            idle = due is None or due > taken.at
        passed = before.promise is not None and before.promise.due < taken.at
        if not idle or passed or event is None or isinstance(event, RecordsLost):
            continue
        if taken.after.model_copy(update={"steps": before.steps}) != before:
            yield f"step {number}: {event.kind} changes the state ({taken.refused or 'idle'})"
        asked = {a.kind for a in taken.actions} - {"note", "tell_staff", "decide"}
        if asked:
            yield f"step {number}: {event.kind} asks for {asked} ({taken.refused or 'idle'})"
