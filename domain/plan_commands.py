"""What a human's command means for an incident."""

from __future__ import annotations

from domain.events import (
    Dismissed,
    FalseAlarmMarked,
    HandedOver,
    ImpactConfirmed,
    ResolveRequested,
    SeverityChanged,
    UpdatePosted,
)
from domain.incident import ACTIVE, Stage, TimerKind
from domain.message import Moment
from domain.plan_alerts import confirm, keep_post_mortem, severity_rose
from domain.plan_credits import propose_credits
from domain.refusals import names_scope
from domain.step import Step


def on_confirmed(step: Step, event: ImpactConfirmed) -> None:
    suspected = step.state.stage is Stage.SUSPECTED
    if not suspected and not names_scope(step.state, event):
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
        confirm(step, event.by)
    else:
        step.target()


def on_dismissed(step: Step, event: Dismissed) -> None:
    if step.state.stage is not Stage.SUSPECTED:
        return
    step.note("dismissed", actor=event.by, reason=event.reason)
    step.close(Stage.DISMISSED)


def on_severity(step: Step, event: SeverityChanged) -> None:
    old = step.state.severity
    if event.severity is old:
        return
    step.set(severity_by_human=True)
    step.worsen(event.severity, event.reason, by=event.by)
    if event.severity.rank < old.rank:
        severity_rose(step)
    elif not step.state.announced and (step.state.pending or step.state.drafting):
        step.draft(Moment.INITIAL)


def on_update(step: Step, event: UpdatePosted) -> None:
    if step.state.stage not in ACTIVE:
        return
    step.note("update_posted", actor=event.by)
    if event.stage is not None:
        step.stage(event.stage)
    moment = Moment.UPDATE if step.state.announced else Moment.INITIAL
    step.draft(moment, note_id=event.note_id)


def on_resolve(step: Step, event: ResolveRequested) -> None:
    if step.state.stage not in ACTIVE:
        return
    step.note("resolve_requested", actor=event.by)
    draft_the_end(step, event.note_id)


def draft_the_end(step: Step, note_id: str | None = None) -> None:
    """The all-clear for those who were told; silence where nobody was."""
    step.disarm(TimerKind.STABILITY)
    step.set(resolved_at=step.state.quiet_since or step.now)
    if step.state.announced:
        step.stage(Stage.MONITORING)
        step.draft(Moment.RESOLUTION, note_id=note_id, stage=Stage.RESOLVED)
        propose_credits(step)
    else:
        step.withdraw()
        step.note("resolved_untold")
        step.settle_resolution()


def on_false_alarm(step: Step, event: FalseAlarmMarked) -> None:
    step.note("false_alarm", actor=event.by)
    if step.state.announced and not step.state.ended:
        step.draft(Moment.FALSE_ALARM, note_id=event.note_id, stage=Stage.FALSE_ALARM)
    elif step.state.announced and step.policy.resolution.correct_after_end:
        # Customers believe in an outage that never was; it stays open until they are told.
        step.disarm(TimerKind.REOPEN_WINDOW)
        keep_post_mortem(step)
        step.draft(Moment.CORRECTION, note_id=event.note_id, stage=Stage.FALSE_ALARM)
    else:
        step.withdraw()
        step.close(Stage.FALSE_ALARM)


def on_handed_over(step: Step, event: HandedOver) -> None:
    step.set(people={**step.state.people, event.role: event.to})
    step.note("handed_over", actor=event.by, role=event.role, to=event.to)
    pending = step.state.pending
    if event.role == "approver" and pending is not None and not pending.suggested:
        # Whoever takes over has as long to answer as the one before had.
        step.set(pending=pending.model_copy(update={"escalation_level": 0}))
        step.wait_for_answer()
