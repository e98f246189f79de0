"""What alerts mean for an incident: scope, severity, quiet, and firing again."""

from __future__ import annotations

from domain.confirmation import weigh
from domain.events import AlertsReceived
from domain.incident import (
    ACTIVE,
    IncidentState,
    PostMortemOffer,
    PostMortemState,
    Stage,
    TimerKind,
)
from domain.message import Moment
from domain.plan_regions import remember_regions
from domain.plan_related import ask_related
from domain.signal import AlertBatch
from domain.step import Step

# Why alerts were judged as they were; a storm of differing ones must not fill the state.
REMEMBERED_REASONS = 50
_UNFINISHED = (PostMortemState.DUE, PostMortemState.DRAFTED)


def on_alerts(step: Step, event: AlertsReceived) -> None:
    state, batch = step.state, event.batch
    if batch.watermark <= state.watermark:
        return
    told = state.reasons if state.watermark else ()
    news = tuple(reason for reason in batch.reasons if reason not in told)
    step.set(
        watermark=batch.watermark,
        firing=batch.firing,
        firing_sources=batch.firing_sources,
        reasons=(*told, *news)[:REMEMBERED_REASONS],
    )
    step.note(
        "signal_received",
        actor=", ".join(batch.sources) or "monitoring",
        count=batch.received,
        firing=batch.firing,
        reason="; ".join(news),
    )
    remember_regions(step, batch)
    _note_sub_issues(step, batch)
    ask_related(step, batch.relates)
    grown = _merge_scope(step, batch)
    _raise_severity(step, batch)
    if step.state.stage is Stage.SUSPECTED:
        if batch.confirms:
            confirm(step, "monitoring")
        elif batch.firing == 0:
            step.note("closed_unconfirmed")
            step.close(Stage.CLOSED)
        else:
            confirm_by_rule(step)
        return
    if batch.firing == 0:
        alerts_stopped(step)
    else:
        alerts_fire(step)
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


def _note_sub_issues(step: Step, batch: AlertBatch) -> None:
    """Each component that alerts bring along is a sub-issue of its own on the timeline."""
    if batch.severity is None or step.state.steps == 1:
        return
    for key in batch.components:
        if key not in step.state.components:
            step.note("sub_issue", component=key)


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
        severity_rose(step)


def severity_rose(step: Step) -> None:
    """Channels follow: an unsent start is written anew, customers already told hear of it."""
    state = step.state
    if state.stage not in ACTIVE:
        return
    if state.announced:
        step.draft(Moment.ESCALATION)
    elif state.pending is not None or state.drafting is not None:
        step.draft(Moment.INITIAL)


def alerts_stopped(step: Step) -> None:
    if step.state.stage not in ACTIVE or TimerKind.STABILITY in step.state.timers:
        return
    step.note("alerts_resolved")
    step.set(quiet_since=step.now)
    step.stage(Stage.MONITORING)
    step.arm(TimerKind.STABILITY, step.now + step.policy.resolution.stable_for)


def alerts_fire(step: Step) -> None:
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
    keep_post_mortem(step)
    if step.state.edition >= 4 and step.state.post_mortem in _UNFINISHED:
        step.set(report_outdated=True)
    step.withdraw()
    step.disarm(TimerKind.REOPEN_WINDOW)
    step.set(resolved_at=None, quiet_since=None, ended=False)
    step.stage(Stage.INVESTIGATING)
    if step.state.announced:
        step.draft(Moment.UPDATE)
    else:
        step.target()


def keep_post_mortem(step: Step) -> None:
    """A post-mortem that waits for its reviewers steps back, and is asked about again later."""
    state, pending = step.state, step.state.pending
    if state.edition < 4 or state.post_mortem not in _UNFINISHED:
        return
    if pending is not None and pending.moment is Moment.POST_MORTEM:
        offer = PostMortemOffer(version=pending.draft, hash=pending.hash, invalid=pending.invalid)
        step.set(offer=offer)


def confirm_by_rule(step: Step) -> None:
    """What several sources or time alone confirm; until then a timer waits for the time."""
    state = step.state
    if state.stage is not Stage.SUSPECTED or state.firing == 0:
        return
    rule, due = weigh(state, step.policy, step.now)
    if rule is not None:
        step.note("confirmation_rule", reason=rule.reason)
        confirm(step, "monitoring")
    elif due is not None:
        step.arm(TimerKind.CONFIRMATION, due)
    else:
        step.disarm(TimerKind.CONFIRMATION)


def confirm(step: Step, by: str) -> None:
    step.disarm(TimerKind.CONFIRMATION)
    step.set(confirmed_at=step.now)
    step.note("confirmed", actor=by, visible=True)
    step.stage(Stage.INVESTIGATING)
    step.target()
    if step.state.firing == 0 and step.state.watermark:
        alerts_stopped(step)
