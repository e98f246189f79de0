"""Merging and splitting: one thread and one end for everybody, whichever incident goes on."""

from __future__ import annotations

from datetime import datetime

from domain.actions import SettlePromise
from domain.cascade import (
    Absorb,
    AnswerMerge,
    Handed,
    HandTo,
    MergeAnswered,
    MergeAsked,
    Merging,
    OpenSplit,
    SplitAsked,
    SplitDone,
    SplitOpened,
    Splitting,
    TakeIn,
)
from domain.grouping import category_of_all
from domain.incident import ACTIVE, IncidentState, Promise, Stage, TimerKind
from domain.link_refusals import absorb_refusal, merge_refusal, split_refusal
from domain.message import Channel
from domain.plan_alerts import alerts_fire, alerts_stopped, confirm, severity_rose
from domain.plan_facts import write_anew
from domain.policy import Policy
from domain.step import Step

# What changes while the other one answers is handed over again, but not for ever.
MOST_ROUNDS = 10


# ---------------------------------------------------------------- the one that ends


def on_merge_asked(step: Step, event: MergeAsked) -> None:
    refused = merge_refusal(step.state, event)
    if refused is not None:
        step.note("merge_failed", actor=event.by, into=event.into, reason=str(refused))
        return
    step.note("merge_asked", actor=event.by, into=event.into)
    merging = Merging(into=event.into, by=event.by, handed=handed(step.state))
    step.set(merging=merging)
    step.actions.append(hand_to(merging))


def on_merge_answered(step: Step, event: MergeAnswered) -> None:
    merging = step.state.merging
    if merging is None or merging.into != event.into:
        return
    if not event.accepted:
        step.set(merging=None)
        step.note("merge_failed", into=event.into, reason=event.reason)
        return
    as_now = handed(step.state)
    if as_now != merging.handed and merging.rounds < MOST_ROUNDS:
        again = merging.model_copy(update={"handed": as_now, "rounds": merging.rounds + 1})
        step.set(merging=again)
        step.actions.append(hand_to(again))
        return
    if step.state.promise is not None:
        step.actions.append(SettlePromise(promise=step.state.promise, state="superseded"))
    step.withdraw()
    step.note("merged_into", actor=merging.by, into=merging.into)
    step.set(merging=None, merged_into=merging.into, promise=None)
    step.close(Stage.CLOSED)


def handed(state: IncidentState) -> Handed:
    """All of an incident that must go on elsewhere."""
    promise = state.promise
    return Handed(
        id=state.id,
        severity=state.severity,
        severity_by_human=state.severity_by_human,
        severity_stated=state.severity_stated,
        category=state.category,
        components=state.components,
        regions=state.regions,
        regions_by_human=state.regions_by_human,
        regions_seen=state.regions_seen,
        affected_share=state.affected_share,
        started_at=state.started_at,
        confirmed_at=state.confirmed_at,
        dry_run=state.dry_run,
        firing=state.firing,
        announced=state.announced,
        told=state.told,
        updates=state.updates,
        last_sent_at=state.last_sent_at,
        promise_due=promise.due if promise else None,
        promise_channels=promise.channels if promise else (),
    )


def hand_to(merging: Merging) -> HandTo:
    """The message to the incident that goes on."""
    return HandTo(to=merging.into, absorb=Absorb(other=merging.handed, by=merging.by))


# ---------------------------------------------------------------- the one that goes on


def on_absorb(step: Step, event: Absorb) -> None:
    other, before = event.other, step.state
    refused = absorb_refusal(before, other)
    if refused is not None:
        step.actions.append(_answer(step.state.id, other.id, str(refused)))
        return
    step.actions.append(TakeIn(origin=other.id, by=event.by))
    if other.id not in before.merged:
        step.set(merged=(*before.merged, other.id))
        step.note(
            "absorbed",
            actor=event.by,
            other=other.id,
            components=", ".join(other.components),
        )
    _join(step, other)
    if before.stage is Stage.SUSPECTED:
        if other.confirmed_at is not None:
            confirm(step, event.by)
    else:
        _go_on(step, before, other)
    _take_promise(step, other)
    step.actions.append(_answer(step.state.id, other.id))


def _join(step: Step, other: Handed) -> None:
    """The union of both: scope, those who were told, and what fires."""
    state = step.state
    counted = state.merged_firing.get(other.id, 0)
    told = {*state.told, *other.told}
    shares = [s for s in (state.affected_share, other.affected_share) if s is not None]
    sent = [at for at in (state.last_sent_at, other.last_sent_at) if at is not None]
    step.set(
        components=tuple(dict.fromkeys((*state.components, *other.components))),
        regions=_regions(state, other),
        regions_by_human=state.regions_by_human or other.regions_by_human,
        regions_seen=tuple(dict.fromkeys((*state.regions_seen, *other.regions_seen))),
        category=category_of_all((state.category, other.category)) or state.category,
        affected_share=max(shares) if shares else None,
        started_at=min(state.started_at, other.started_at),
        firing=max(0, state.firing + other.firing - counted),
        merged_firing={**state.merged_firing, other.id: other.firing},
        announced=state.announced or other.announced,
        told=tuple(c for c in Channel if c in told),
        updates=max(state.updates, other.updates),
        last_sent_at=max(sent) if sent else None,
    )
    if other.severity.rank < state.severity.rank:
        step.set(severity_by_human=other.severity_by_human, severity_stated=other.severity_stated)
        step.worsen(other.severity, f"{other.id} was merged into it")


def _regions(state: IncidentState, other: Handed) -> tuple[str, ...]:
    """No region means all; an incident that nobody could place says nothing of regions."""
    if not other.components:
        return state.regions
    if not state.components:
        return other.regions
    if not state.regions or not other.regions:
        return ()
    return tuple(dict.fromkeys((*state.regions, *other.regions)))


def _go_on(step: Step, before: IncidentState, other: Handed) -> None:
    """Customers are told what became larger; alerts that fire hold back an end."""
    if other.firing:
        alerts_fire(step)
    elif step.state.firing == 0 and step.state.watermark:
        alerts_stopped(step)
    state = step.state
    rose = state.severity is not before.severity
    grown = (state.components, state.regions) != (before.components, before.regions)
    if state.announced is not before.announced:
        # The start was told by the other one: nobody is told a second start.
        step.withdraw()
    if rose and before.announced:
        severity_rose(step)
    elif grown or state.announced is not before.announced:
        step.target()


def _take_promise(step: Step, other: Handed) -> None:
    """The earlier of both promises is the one that binds, on the channels of both."""
    if other.promise_due is None or step.state.stage not in ACTIVE:
        return
    ours = step.state.promise
    if ours is None or other.promise_due < ours.due:
        if ours is not None:
            step.actions.append(SettlePromise(promise=ours, state="superseded"))
            step.set(promise=None)
        step.promise(other.promise_due)
    made = step.state.promise
    if made is not None:
        carried = {*made.channels, *other.promise_channels, *(ours.channels if ours else ())}
        channels = tuple(c for c in Channel if c in carried)
        step.set(promise=made.model_copy(update={"channels": channels}))


def _answer(into: str, to: str, reason: str = "") -> AnswerMerge:
    return AnswerMerge(to=to, answer=MergeAnswered(into=into, accepted=not reason, reason=reason))


# ---------------------------------------------------------------- splitting


def on_split_asked(step: Step, event: SplitAsked) -> None:
    if split_refusal(step.state, event) is not None:
        return
    state = step.state
    split = Splitting(id=event.id, components=event.components, by=event.by)
    step.note("split_off", actor=event.by, other=event.id, components=", ".join(event.components))
    step.set(
        components=tuple(key for key in state.components if key not in event.components),
        splitting=split,
        split_off=(*state.split_off, event.id),
    )
    step.actions.append(OpenSplit(split=split))
    # What waits or is being written names components that are not of this incident any more.
    write_anew(step)


def on_split_done(step: Step, event: SplitDone) -> None:
    if step.state.splitting is None or step.state.splitting.id != event.id:
        return
    step.set(splitting=None, firing=event.firing)
    if event.quiet and step.state.stage is not Stage.SUSPECTED:
        alerts_stopped(step)


def split_state(
    state: IncidentState, split: Splitting, firing: int, now: datetime, policy: Policy
) -> IncidentState:
    """The new incident as it begins: what customers were told of its components counts as told.

    `state` is the incident that it is split off, `firing` the alerts that come along.
    """
    promise, timers = None, {}
    if state.promise is not None and state.stage in ACTIVE:
        due = state.promise.due
        promise = Promise(number=1, channels=state.promise.channels, made_at=now, due=due)
        timers[TimerKind.PROMISE] = max(now, due - policy.promises.holding_lead)
        if due - policy.promises.remind_before > now:
            timers[TimerKind.PROMISE_REMINDER] = due - policy.promises.remind_before
    return IncidentState(
        id=split.id,
        edition=state.edition,
        severity=state.severity,
        severity_by_human=state.severity_by_human,
        severity_stated=state.severity_stated,
        regions_by_human=state.regions_by_human,
        regions_seen=state.regions_seen,
        regions_accepted=state.regions_accepted,
        stage=state.stage,
        category=state.category,
        components=split.components,
        regions=state.regions,
        stated=state.stated,
        eta=state.eta,
        started_at=state.started_at,
        opened_at=now,
        confirmed_at=state.confirmed_at,
        dry_run=state.dry_run,
        people=state.people,
        watermark=state.watermark,
        firing=firing,
        reasons=state.reasons,
        updates=state.updates,
        promises=1 if promise else 0,
        targeting=state.stage in ACTIVE,
        announced=state.announced,
        told=state.told,
        told_stage=state.told_stage,
        last_sent_at=state.last_sent_at,
        promise=promise,
        timers=timers,
        split_from=state.id,
    )


def on_split_opened(step: Step, event: SplitOpened) -> None:
    state = step.state
    step.note("split_from", actor=event.by, other=event.origin)
    if state.promise is not None:
        step.actions.append(SettlePromise(promise=state.promise, state="open"))
    if state.stage in ACTIVE:
        step.set(targeting=False)
        step.target()
        if event.alerts and state.firing == 0:
            alerts_stopped(step)


# ---------------------------------------------------------------- after a loss


def ask_links_again(step: Step) -> None:
    """Say again what a lost run may not have said; by their ids repetitions change nothing."""
    state = step.state
    if state.merging is not None:
        step.actions.append(hand_to(state.merging))
    step.actions += [_answer(state.id, other) for other in state.merged]
    if state.splitting is not None:
        step.actions.append(OpenSplit(split=state.splitting))
