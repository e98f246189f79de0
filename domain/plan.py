"""The heart: what an event means for an incident. Pure, and used by workflow, back-test and drill.

`plan(state, event, now, policy)` returns the next state and the actions to carry out, in order.
Domain code that a workflow calls is workflow code: a change needs `workflow.patched`.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from domain.classification import severity_for_share
from domain.errors import Refused
from domain.incident import (
    Action,
    AlertsReceived,
    AnswerPostMortem,
    BroadcastDone,
    Decide,
    Decided,
    Dismissed,
    Drafted,
    Edited,
    Event,
    FalseAlarmMarked,
    ImpactConfirmed,
    IncidentState,
    Pending,
    PostMortemMoved,
    PostMortemOffer,
    PostMortemState,
    ResolveRequested,
    SeverityChanged,
    Stage,
    Targeted,
    TimerFired,
    TimerKind,
    UpdatePosted,
)
from domain.message import Channel, Moment
from domain.policy import Policy
from domain.signal import AlertBatch, Severity
from domain.step import STAFF_CHANNELS, Step, audience_or

ACTIVE = frozenset({Stage.INVESTIGATING, Stage.IDENTIFIED, Stage.MONITORING})


def open_incident(
    incident_id: str, batch: AlertBatch, opened_at: datetime, dry_run: bool
) -> IncidentState:
    """The state before the first event: suspected, as the first alerts describe it.

    A batch in which nothing fires any more (the end overtook the start) opens as the mildest.
    """
    return IncidentState(
        id=incident_id,
        severity=batch.severity or Severity.P4,
        severity_stated=batch.severity_stated,
        category=batch.category or "local_degradation",
        components=batch.components,
        regions=batch.regions,
        affected_share=batch.affected_share,
        started_at=batch.started_at or opened_at,
        opened_at=opened_at,
        dry_run=dry_run,
        reasons=batch.reasons,
    )


def plan(
    state: IncidentState, event: Event, now: datetime, policy: Policy
) -> tuple[IncidentState, list[Action]]:
    """The next state and what to do, for one event at an instant (aware UTC)."""
    step = Step(state, now, policy)
    if not state.over or isinstance(event, BroadcastDone):
        _HANDLERS[event.kind](step, event)
        _offer_post_mortem(step)
    return step.state, step.actions


def refusal(state: IncidentState, event: Event) -> Refused | None:
    """Why a human's command is not allowed now; None when it is."""
    if state.over:
        return Refused(
            "not_open", f"the incident is {state.stage}: nothing can be changed any more"
        )
    match event:
        case Decided() | Edited():
            return _decision_refusal(state, event)
        case ImpactConfirmed() if state.stage is not Stage.SUSPECTED and not _names_scope(
            state, event
        ):
            return Refused("not_suspected", f"the incident is already confirmed ({state.stage})")
        case Dismissed() if state.stage is not Stage.SUSPECTED:
            return Refused(
                "not_suspected",
                f"only a suspected incident can be dismissed, this one is {state.stage}; "
                "use resolve or false-alarm",
            )
        case UpdatePosted() | ResolveRequested() if state.stage is Stage.SUSPECTED:
            return Refused(
                "not_confirmed", "the incident is only suspected; confirm or dismiss it first"
            )
        case UpdatePosted() | ResolveRequested() if state.stage is Stage.RESOLVED:
            return Refused("not_open", "the incident is resolved; a new alert re-opens it")
        case SeverityChanged() if event.severity is state.severity:
            return Refused("same_severity", f"the severity is already {state.severity}")
    return None


def _names_scope(state: IncidentState, event: ImpactConfirmed) -> bool:
    """A confirmed incident that nobody could place may still be told what it is about."""
    return bool(event.components) and not state.components and state.stage in ACTIVE


def _decision_refusal(state: IncidentState, event: Decided | Edited) -> Refused | None:
    version, pending = event.draft, state.pending
    if pending is None or pending.draft != version:
        if version in state.sent:
            return Refused("already_sent", f"draft {version} was already sent")
        if version in state.decided:
            return Refused("already_decided", f"draft {version} was already decided")
        instead = f"; draft {pending.draft} waits now" if pending else "; no draft waits now"
        return Refused("superseded", f"draft {version} does not wait for a decision{instead}")
    if isinstance(event, Decided):
        if event.role not in ("approver", "admin"):
            return Refused("forbidden", f"the role {event.role} may not decide; allowed: approver")
        if event.decision == "approve" and pending.invalid:
            return Refused("invalid_draft", f"draft {version} breaks rules; edit it first")
        if event.decision == "approve" and event.by in pending.approvals:
            return Refused("second_person_needed", "another person must give the second approval")
    return None


def next_timer(state: IncidentState) -> tuple[TimerKind, datetime] | None:
    """The timer that fires first; ties go by name so that every replay agrees."""
    if not state.timers or state.over:
        return None
    return min(state.timers.items(), key=lambda item: (item[1], item[0].value))


# ------------------------------------------------------------------ signals


def _alerts(step: Step, event: AlertsReceived) -> None:
    state, batch = step.state, event.batch
    if batch.watermark <= state.watermark:
        return
    step.set(watermark=batch.watermark, firing=batch.firing)
    step.note(
        "signal_received",
        actor=", ".join(batch.sources) or "monitoring",
        count=batch.received,
        firing=batch.firing,
    )
    grown = _merge_scope(step, batch)
    _raise_severity(step, batch)
    if step.state.stage is Stage.SUSPECTED:
        if batch.confirms:
            _confirm(step, "monitoring")
        elif batch.firing == 0:
            step.note("closed_unconfirmed")
            step.close(Stage.CLOSED)
        return
    if batch.firing == 0:
        _alerts_stopped(step)
    else:
        _alerts_fire(step)
    if grown and step.state.stage in ACTIVE:
        step.target()


def _merge_scope(step: Step, batch: AlertBatch) -> bool:
    """Take in what the batch adds to components, regions and share; True when scope grew."""
    state = step.state
    if batch.severity is None:
        return False
    components = tuple(dict.fromkeys((*state.components, *batch.components)))
    regions = _merged_regions(state, batch)
    shares = [s for s in (state.affected_share, batch.affected_share) if s is not None]
    grown = components != state.components or regions != state.regions
    step.set(components=components, regions=regions, affected_share=max(shares) if shares else None)
    return grown


def _merged_regions(state: IncidentState, batch: AlertBatch) -> tuple[str, ...]:
    """No region means all; where a human has named some, an alert without one adds none."""
    if state.components and not state.regions:
        return ()
    if not batch.regions:
        return state.regions if state.regions_by_human else ()
    return tuple(dict.fromkeys((*state.regions, *batch.regions)))


def _raise_severity(step: Step, batch: AlertBatch) -> None:
    """Alerts make an incident worse, never better: better is a human's word."""
    state = step.state
    if batch.severity is None or state.severity_by_human:
        return
    if batch.severity_stated and not state.severity_stated:
        step.set(severity_stated=True)
    elif state.severity_stated and not batch.severity_stated:
        return
    if batch.severity.rank < state.severity.rank:
        step.worsen(batch.severity, "; ".join(batch.reasons))
        _severity_rose(step)


def _severity_rose(step: Step) -> None:
    """Channels follow: an unsent start is written anew, customers already told hear of it."""
    state = step.state
    if state.stage not in ACTIVE:
        return
    if state.announced:
        step.draft(Moment.ESCALATION)
    elif state.pending is not None or state.drafting is not None:
        step.draft(Moment.INITIAL)


def _alerts_stopped(step: Step) -> None:
    if step.state.stage not in ACTIVE or TimerKind.STABILITY in step.state.timers:
        return
    step.note("alerts_resolved")
    step.set(quiet_since=step.now)
    step.stage(Stage.MONITORING)
    step.arm(TimerKind.STABILITY, step.now + step.policy.resolution.stable_for)


def _alerts_fire(step: Step) -> None:
    state = step.state
    if state.stage is Stage.RESOLVED:
        _reopen(step)
        return
    ending = _drafts_the_end(state)
    if TimerKind.STABILITY in state.timers or ending:
        step.note("stability_broken")
        step.disarm(TimerKind.STABILITY)
        step.set(quiet_since=None, resolved_at=None)
        if ending:
            step.withdraw()
        step.stage(Stage.INVESTIGATING)


def _drafts_the_end(state: IncidentState) -> bool:
    moments = {d.moment for d in (state.pending, state.drafting) if d is not None}
    return Moment.RESOLUTION in moments


def _reopen(step: Step) -> None:
    step.note("reopened", visible=True)
    step.withdraw()
    step.disarm(TimerKind.REOPEN_WINDOW)
    step.set(resolved_at=None, quiet_since=None, ended=False)
    step.stage(Stage.INVESTIGATING)
    if step.state.announced:
        step.draft(Moment.UPDATE)
    else:
        step.target()


# ------------------------------------------------------------------ human commands


def _confirmed(step: Step, event: ImpactConfirmed) -> None:
    suspected = step.state.stage is Stage.SUSPECTED
    if not suspected and not _names_scope(step.state, event):
        return
    if event.components:
        step.set(components=event.components)
    if event.regions:
        step.set(regions=event.regions, regions_by_human=True)
    if event.severity is not None and event.severity is not step.state.severity:
        step.worsen(event.severity, "stated on confirmation", by=event.by)
    if event.severity is not None:
        step.set(severity_by_human=True)
    if suspected:
        _confirm(step, event.by)
    else:
        step.target()


def _confirm(step: Step, by: str) -> None:
    step.set(confirmed_at=step.now)
    step.note("confirmed", actor=by, visible=True)
    step.stage(Stage.INVESTIGATING)
    step.target()
    if step.state.firing == 0 and step.state.watermark:
        _alerts_stopped(step)


def _dismissed(step: Step, event: Dismissed) -> None:
    if step.state.stage is not Stage.SUSPECTED:
        return
    step.note("dismissed", actor=event.by, reason=event.reason)
    step.close(Stage.DISMISSED)


def _severity(step: Step, event: SeverityChanged) -> None:
    old = step.state.severity
    if event.severity is old:
        return
    step.set(severity_by_human=True)
    step.worsen(event.severity, event.reason, by=event.by)
    if event.severity.rank < old.rank:
        _severity_rose(step)
    elif not step.state.announced and (step.state.pending or step.state.drafting):
        step.draft(Moment.INITIAL)


def _update(step: Step, event: UpdatePosted) -> None:
    if step.state.stage not in ACTIVE:
        return
    step.note("update_posted", actor=event.by)
    if event.stage is not None:
        step.stage(event.stage)
    moment = Moment.UPDATE if step.state.announced else Moment.INITIAL
    step.draft(moment, note_id=event.note_id)


def _resolve(step: Step, event: ResolveRequested) -> None:
    if step.state.stage not in ACTIVE:
        return
    step.note("resolve_requested", actor=event.by)
    _draft_the_end(step, event.note_id)


def _draft_the_end(step: Step, note_id: str | None = None) -> None:
    """The all-clear for those who were told; silence where nobody was."""
    step.disarm(TimerKind.STABILITY)
    step.set(resolved_at=step.state.quiet_since or step.now)
    if step.state.announced:
        step.stage(Stage.MONITORING)
        step.draft(Moment.RESOLUTION, note_id=note_id, stage=Stage.RESOLVED)
    else:
        step.withdraw()
        step.note("resolved_untold")
        step.settle_resolution()


def _false_alarm(step: Step, event: FalseAlarmMarked) -> None:
    step.note("false_alarm", actor=event.by)
    if step.state.announced and not step.state.ended:
        step.draft(Moment.FALSE_ALARM, note_id=event.note_id, stage=Stage.FALSE_ALARM)
    else:
        step.withdraw()
        step.close(Stage.FALSE_ALARM)


# ------------------------------------------------------------------ drafts and decisions


def _targeted(step: Step, event: Targeted) -> None:
    state = step.state
    step.set(targeting=False)
    if state.stage not in ACTIVE:
        return
    share = event.audience.share
    if not state.announced:
        step.set(audience=event.audience)
    if not (state.severity_stated or state.severity_by_human) and share is not None:
        severity, reason = severity_for_share(step.policy, share)
        if severity is not None and severity.rank < state.severity.rank:
            step.worsen(severity, reason)
    if not state.components:
        step.note("no_audience")
        return
    step.draft(Moment.UPDATE if state.announced else Moment.INITIAL)


def _drafted(step: Step, event: Drafted) -> None:
    state = step.state
    if state.holding is not None and event.request == state.holding.request:
        _holding_line(step, event)
        return
    draft = state.drafting
    if draft is None or event.request != draft.request:
        step.actions.append(Decide(version=event.version, state="superseded"))
        return
    step.set(drafting=None, versions=max(state.versions, event.version))
    pending = Pending(
        draft=event.version,
        moment=event.moment,
        number=event.number,
        hash=event.hash,
        channels=draft.channels,
        audience=audience_or(state, event.audience),
        next_update_at=event.next_update_at,
        promise_is_literal=event.promise_is_literal,
        invalid=event.invalid,
        stage=draft.stage,
        asked_at=step.now,
        approvals_needed=2 if step.policy.approval.four_eyes else 1,
    )
    if not state.announced:
        step.set(audience=pending.audience)
    step.note("draft_ready", version=event.version, moment=event.moment)
    auto, gated = step.split(event.moment, draft.channels, holding=False)
    if event.invalid:
        step.note("draft_invalid", version=event.version)
        gated = (*gated, *(c for c in auto if c not in STAFF_CHANNELS))
        auto = tuple(c for c in auto if c in STAFF_CHANNELS)
    if auto:
        step.broadcast(pending, auto, by="policy")
    if gated:
        step.put_before_approvers(pending.model_copy(update={"channels": gated}))


def _holding_line(step: Step, event: Drafted) -> None:
    draft = step.state.holding
    step.set(holding=None, versions=max(step.state.versions, event.version))
    if draft is None or step.state.ended or step.state.stage not in ACTIVE:
        step.actions.append(Decide(version=event.version, state="superseded"))
        return
    auto, _ = step.split(Moment.UPDATE, draft.channels, holding=True)
    line = Pending(
        draft=event.version,
        moment=Moment.UPDATE,
        number=event.number,
        hash=event.hash,
        channels=auto,
        audience=step.state.audience,
        next_update_at=event.next_update_at,
        stage=draft.stage,
        asked_at=step.now,
    )
    if event.invalid or not auto:
        step.note("draft_invalid", version=event.version)
        return
    step.broadcast(line, auto, by="policy: holding line approved with the initial message")


def _decided(step: Step, event: Decided) -> None:
    refused = refusal(step.state, event)
    pending = step.state.pending
    if refused is not None or pending is None:
        step.note("refused", actor=event.by, version=event.draft, reason=str(refused))
        return
    if event.decision == "reject":
        _reject(step, pending, event)
        return
    approvals = (*pending.approvals, event.by)
    step.note("approved", actor=event.by, version=pending.draft, moment=pending.moment)
    if len(approvals) < pending.approvals_needed:
        step.set(pending=pending.model_copy(update={"approvals": approvals}))
        return
    step.actions.append(
        Decide(version=pending.draft, state="approved", by=event.by, reason=event.reason)
    )
    _let_out(step, pending, event.by)


def _reject(step: Step, pending: Pending, event: Decided) -> None:
    step.note("rejected", actor=event.by, version=pending.draft, reason=event.reason)
    step.actions.append(
        Decide(version=pending.draft, state="rejected", by=event.by, reason=event.reason)
    )
    step.remember_decided(pending.draft, as_sent=False)
    step.set(pending=None)
    step.disarm(TimerKind.APPROVAL_REMINDER, TimerKind.APPROVAL_ESCALATION)
    if pending.moment is Moment.POST_MORTEM:
        step.set(post_mortem=PostMortemState.DUE)
        step.actions.append(AnswerPostMortem(approved=False, version=pending.draft, by=event.by))


def _let_out(step: Step, pending: Pending, by: str) -> None:
    step.set(pending=None)
    step.disarm(TimerKind.APPROVAL_REMINDER, TimerKind.APPROVAL_ESCALATION)
    if pending.moment is Moment.POST_MORTEM:
        step.remember_decided(pending.draft, as_sent=False)
        step.actions.append(AnswerPostMortem(approved=True, version=pending.draft, by=by))
    else:
        step.broadcast(pending, pending.channels, by=by)


def _edited(step: Step, event: Edited) -> None:
    refused = refusal(step.state, event)
    pending = step.state.pending
    if refused is not None or pending is None:
        step.actions.append(Decide(version=event.version, state="superseded"))
        step.note("refused", actor=event.by, version=event.draft, reason=str(refused))
        return
    step.note("edited", actor=event.by, version=event.version, old=event.draft)
    step.actions.append(Decide(version=event.draft, state="superseded", by=event.by))
    step.set(
        versions=max(step.state.versions, event.version),
        pending=pending.model_copy(
            update={
                "draft": event.version,
                "hash": event.hash,
                "invalid": event.invalid,
                "approvals": (),
                "promise_is_literal": event.promise_is_literal,
            }
        ),
    )


def _broadcast_done(step: Step, event: BroadcastDone) -> None:
    told = ", ".join(f"{count} {state}" for state, count in sorted(event.counts.items()) if count)
    step.note("broadcast_done", n=event.broadcast, moment=event.moment, counts=told or "nobody")


# ------------------------------------------------------------------ timers


def _timer(step: Step, event: TimerFired) -> None:
    due = step.state.timers.get(event.timer)
    if due is None or due > step.now:
        return  # moved or taken back after it had fired
    step.disarm(event.timer)
    _TIMERS[event.timer](step)


def _promise_due(step: Step) -> None:
    state = step.state
    if state.promise is None or state.stage not in ACTIVE:
        return
    if step.policy.promises.on_silence == "holding":
        if state.holding is None:
            step.draft_holding_line()
        return
    missed = state.promise
    step.note("promise_held", due=missed.due.isoformat())


def _promise_reminder(step: Step) -> None:
    if step.state.promise is not None and step.state.pending is None:
        step.note(
            "promise_reminder",
            due=step.state.promise.due.isoformat(),
            who=", ".join(step.policy.people.roles.get("commander", ())),
        )


def _approval_reminder(step: Step) -> None:
    if step.state.pending is not None:
        step.note(
            "reminded",
            version=step.state.pending.draft,
            who=step.approver(step.state.pending.escalation_level),
        )


def _approval_escalation(step: Step) -> None:
    pending = step.state.pending
    if pending is None:
        return
    rules = [step.gate_rule(pending.moment, c) for c in pending.channels]
    if rules and all(r.on_silence == "send" for r in rules) and not pending.invalid:
        _let_out(step, pending, "policy: nobody answered")
        return
    if any(r.on_silence == "hold" for r in rules):
        return
    level = pending.escalation_level + 1
    who = step.approver(level)
    if who is None:
        return
    step.set(pending=pending.model_copy(update={"escalation_level": level}))
    step.note("escalated", version=pending.draft, who=who)
    step.arm(TimerKind.APPROVAL_ESCALATION, step.now + step.policy.approval.escalate_after)


def _stable(step: Step) -> None:
    if step.state.stage in ACTIVE and step.state.firing == 0:
        _draft_the_end(step)


def _reopen_window(step: Step) -> None:
    _close_when_done(step)


# ------------------------------------------------------------------ the end


def _post_mortem(step: Step, event: PostMortemMoved) -> None:
    step.set(post_mortem=event.state)
    if event.state is PostMortemState.DRAFTED and event.version is not None:
        step.note("post_mortem_drafted", version=event.version)
        step.set(
            versions=max(step.state.versions, event.version),
            offer=PostMortemOffer(
                version=event.version, hash=event.hash or "", invalid=event.invalid
            ),
        )
        return
    step.note(
        "post_mortem_published"
        if event.state is PostMortemState.PUBLISHED
        else "post_mortem_completed",
        visible=event.state is PostMortemState.PUBLISHED,
    )
    if event.state is PostMortemState.PUBLISHED and event.version is not None:
        channels = step.policy.channels(step.state.severity, Moment.POST_MORTEM)
        step.broadcast(
            _post_mortem_pending(
                step, PostMortemOffer(version=event.version, hash=event.hash or ""), channels
            ),
            channels,
            by="reviewed post-mortem",
        )
    _close_when_done(step)


def _post_mortem_pending(
    step: Step, offer: PostMortemOffer, channels: tuple[Channel, ...]
) -> Pending:
    return Pending(
        draft=offer.version,
        moment=Moment.POST_MORTEM,
        number=1,
        hash=offer.hash,
        channels=channels,
        audience=step.state.audience,
        invalid=offer.invalid,
        stage=step.state.stage,
        asked_at=step.now,
    )


def _offer_post_mortem(step: Step) -> None:
    """Put a drafted post-mortem before its reviewers once nothing else waits."""
    state, offer = step.state, step.state.offer
    if offer is None or state.pending or state.drafting or state.stage is not Stage.RESOLVED:
        return
    step.set(offer=None)
    channels = step.policy.channels(state.severity, Moment.POST_MORTEM)
    step.put_before_approvers(_post_mortem_pending(step, offer, channels))


def _close_when_done(step: Step) -> None:
    finished = (PostMortemState.PUBLISHED, PostMortemState.COMPLETED, PostMortemState.NOT_REQUIRED)
    state = step.state
    if (
        state.stage is Stage.RESOLVED
        and state.post_mortem in finished
        and TimerKind.REOPEN_WINDOW not in state.timers
    ):
        step.note("closed")
        step.close(Stage.CLOSED)


_HANDLERS: dict[str, Callable[[Step, Any], None]] = {
    "alerts": _alerts,
    "confirmed": _confirmed,
    "dismissed": _dismissed,
    "severity": _severity,
    "update": _update,
    "resolve": _resolve,
    "false_alarm": _false_alarm,
    "targeted": _targeted,
    "drafted": _drafted,
    "decided": _decided,
    "edited": _edited,
    "broadcast_done": _broadcast_done,
    "timer": _timer,
    "post_mortem": _post_mortem,
}

_TIMERS: dict[TimerKind, Callable[[Step], None]] = {
    TimerKind.PROMISE: _promise_due,
    TimerKind.PROMISE_REMINDER: _promise_reminder,
    TimerKind.APPROVAL_REMINDER: _approval_reminder,
    TimerKind.APPROVAL_ESCALATION: _approval_escalation,
    TimerKind.STABILITY: _stable,
    TimerKind.REOPEN_WINDOW: _reopen_window,
}
