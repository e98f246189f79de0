"""From an audience to a message that went out: drafts, decisions, broadcasts."""

from __future__ import annotations

from domain.actions import AnswerPostMortem, Decide
from domain.classification import severity_for_share
from domain.events import BroadcastDone, Decided, Drafted, Edited, Targeted
from domain.incident import ACTIVE, Draft, Pending, PostMortemState, TimerKind
from domain.message import CLOSING, Channel, Moment
from domain.plan_executive import executive_written
from domain.plan_regions import accept_regions, hold_for_region, tell_region_doubt
from domain.refusals import refusal
from domain.step import STAFF_CHANNELS, Step, audience_or


def on_targeted(step: Step, event: Targeted) -> None:
    state = step.state
    step.set(targeting=False, tightened=event.tightened)
    if state.stage not in ACTIVE:
        return
    share = event.audience.share
    if not state.announced or state.audience.audience_id is None:
        step.set(audience=event.audience)
    if not (state.severity_stated or state.severity_by_human) and share is not None:
        severity, reason = severity_for_share(step.policy, share)
        if severity is not None and severity.rank < state.severity.rank:
            step.worsen(severity, reason)
    if not state.components:
        step.note("no_components")
        return
    waiting = [d.moment for d in (state.pending, state.drafting) if d is not None]
    if state.edition >= 4 and CLOSING & {*waiting}:
        # Whoever joins now was told nothing; a human's word that it is over stands.
        return
    tell_region_doubt(step)
    if not state.announced:
        step.draft(Moment.INITIAL)
        return
    # What grew and got worse at once is a turn for the worse, on the channels that carry one;
    # where a part of it went out already, the rest is no second one.
    begun = state.pending is not None and state.pending.draft in state.sent
    worse = Moment.ESCALATION in waiting and not begun
    step.draft(Moment.ESCALATION if worse else Moment.UPDATE)


def on_drafted(step: Step, event: Drafted) -> None:
    state = step.state
    if state.holding is not None and event.request == state.holding.request:
        _holding_line(step, event)
        return
    if state.executive is not None and event.request == state.executive.request:
        executive_written(step, state.executive, event)
        return
    if state.suggesting is not None and event.request == state.suggesting.request:
        _suggestion(step, state.suggesting, event)
        return
    draft = state.drafting
    if draft is None or event.request != draft.request:
        step.actions.append(Decide(version=event.version, state="superseded"))
        return
    step.set(versions=max(state.versions, event.version))
    if step.overtaken(draft):
        step.actions.append(Decide(version=event.version, state="superseded"))
        step.set(drafting=step.again(draft))
        return
    step.set(drafting=None)
    pending = _version(step, draft, event)
    if not state.announced:
        step.set(audience=pending.audience)
    step.note("draft_ready", version=event.version, moment=event.moment)
    auto, gated = step.split(event.moment, draft.channels, False, pending.audience)
    if gated and event.moment in CLOSING:
        # The staff hear the end with the customers: a draft that is taken back was no end.
        auto, gated = (), draft.channels
    if pending.invalid:
        step.note("draft_invalid", version=event.version)
        gated = (*gated, *(c for c in auto if c not in STAFF_CHANNELS))
        auto = tuple(c for c in auto if c in STAFF_CHANNELS)
    auto, gated = hold_for_region(step, event.moment, auto, gated)
    if auto:
        step.broadcast(pending, auto, by="policy")
    if gated:
        step.put_before_approvers(pending.model_copy(update={"channels": gated}))


def _states_the_past(step: Step, event: Drafted) -> bool:
    """Whether the words have a promised time written out that has passed: a human mends them."""
    due = event.next_update_at
    return (
        step.state.edition >= 4 and event.promise_is_literal and due is not None and due <= step.now
    )


def _version(step: Step, draft: Draft, event: Drafted) -> Pending:
    audience = audience_or(step.state, event.audience)
    return Pending(
        draft=event.version,
        moment=event.moment,
        number=event.number,
        hash=event.hash,
        channels=draft.channels,
        audience=audience,
        next_update_at=step.ahead(event.next_update_at, event.promise_is_literal),
        promised=draft.promised,
        promise_is_literal=event.promise_is_literal,
        invalid=event.invalid or _states_the_past(step, event),
        stage=draft.stage,
        asked_at=step.now,
        note_id=draft.note_id,
        approvals_needed=step.approvals_needed(audience),
    )


def _suggestion(step: Step, draft: Draft, event: Drafted) -> None:
    """An update for the commander to edit; too late where customers heard or a human wrote."""
    state = step.state
    step.set(suggesting=None, versions=max(state.versions, event.version))
    promise = state.promise
    if (
        promise is None
        or promise.number != draft.keeps
        or state.pending is not None
        or state.drafting is not None
        or state.stage not in ACTIVE
    ):
        step.actions.append(Decide(version=event.version, state="superseded"))
        return
    step.set(pending=_version(step, draft, event).model_copy(update={"suggested": True}))
    step.note("suggested", version=event.version, due=promise.due.isoformat(), who=step.commander())


def _holding_line(step: Step, event: Drafted) -> None:
    draft, promise = step.state.holding, step.state.promise
    step.set(holding=None, versions=max(step.state.versions, event.version))
    kept = draft is not None and draft.keeps is not None
    if kept and (promise is None or draft is None or promise.number != draft.keeps):
        # Something else was sent meanwhile: customers shall not hear twice in a minute.
        step.actions.append(Decide(version=event.version, state="superseded"))
        return
    if draft is None or step.state.ended or step.state.stage not in ACTIVE:
        step.actions.append(Decide(version=event.version, state="superseded"))
        return
    if step.overtaken(draft):
        step.actions.append(Decide(version=event.version, state="superseded"))
        step.set(holding=step.again(draft))
        return
    auto, _ = step.split(Moment.UPDATE, draft.channels, holding=True)
    line = Pending(
        draft=event.version,
        moment=Moment.UPDATE,
        number=event.number,
        hash=event.hash,
        channels=auto,
        audience=step.state.audience,
        next_update_at=step.ahead(event.next_update_at, literal=False),
        stage=draft.stage,
        asked_at=step.now,
    )
    if event.invalid or not auto:
        step.note("draft_invalid", version=event.version)
        return
    step.broadcast(line, auto, by="policy: holding line approved with the initial message")


def on_decided(step: Step, event: Decided) -> None:
    refused = refusal(step.state, event, step.now)
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
    accept_regions(step)
    let_out(step, pending, event.by)


def _reject(step: Step, pending: Pending, event: Decided) -> None:
    step.note("rejected", actor=event.by, version=pending.draft, reason=event.reason)
    step.actions.append(
        Decide(version=pending.draft, state="rejected", by=event.by, reason=event.reason)
    )
    step.remember_decided(pending.draft, as_sent=False)
    step.set(pending=None)
    step.disarm(TimerKind.APPROVAL_REMINDER, TimerKind.APPROVAL_ESCALATION)
    if pending.moment is Moment.CORRECTION:
        step.arm(TimerKind.REOPEN_WINDOW, step.now)
    if pending.moment is Moment.POST_MORTEM:
        step.set(post_mortem=PostMortemState.DUE)
        step.actions.append(AnswerPostMortem(approved=False, version=pending.draft, by=event.by))


def let_out(step: Step, pending: Pending, by: str) -> None:
    step.set(pending=None)
    step.disarm(TimerKind.APPROVAL_REMINDER, TimerKind.APPROVAL_ESCALATION)
    if pending.moment is Moment.POST_MORTEM:
        step.remember_decided(pending.draft, as_sent=False)
        step.actions.append(AnswerPostMortem(approved=True, version=pending.draft, by=by))
    else:
        step.broadcast(pending, pending.channels, by=by)


def on_edited(step: Step, event: Edited) -> None:
    refused = refusal(step.state, event, step.now)
    pending = step.state.pending
    if refused is not None or pending is None:
        step.actions.append(Decide(version=event.version, state="superseded"))
        step.note("refused", actor=event.by, version=event.draft, reason=str(refused))
        return
    step.note("edited", actor=event.by, version=event.version, old=event.draft)
    step.actions.append(Decide(version=event.draft, state="superseded", by=event.by))
    edited = pending.model_copy(
        update={
            "draft": event.version,
            "hash": event.hash,
            "invalid": event.invalid,
            "approvals": (),
            "promise_is_literal": event.promise_is_literal,
            "suggested": False,
            "edited": True,
        }
    )
    step.set(versions=max(step.state.versions, event.version), pending=edited)
    if pending.suggested:
        # A human's words wait for their decision as any others do.
        step.put_before_approvers(edited)


def on_broadcast_done(step: Step, event: BroadcastDone) -> None:
    if event.instead:
        reached = {*step.state.told, *event.instead}
        step.set(told=tuple(c for c in Channel if c in reached))
    told = ", ".join(f"{count} {state}" for state, count in sorted(event.counts.items()) if count)
    step.note("broadcast_done", n=event.broadcast, moment=event.moment, counts=told or "nobody")
