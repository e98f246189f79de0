"""The plan of planned work: what an event means for it. Pure, like `domain.plan`.

`plan_maintenance(state, event, now, policy)` returns the next state and the actions to carry out.
Approving the notice approves the fixed words that follow it (reminders, the start, "it goes on",
the end without a comment) for that audience, as it does for an incident's holding lines; what a
human writes, and every change of times, waits for approval as policy's gates say.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from domain.actions import Action, Decide, Note, TellStaff
from domain.events import AlertsReceived, BroadcastDone, Decided, Drafted, PolicyAdopted, Targeted
from domain.incident import Pending, Stage
from domain.maintenance import (
    CATEGORY,
    SEVERITY,
    Begun,
    CalledOff,
    Completed,
    Escalated,
    Event,
    Extended,
    Impact,
    KeptTime,
    MaintenanceState,
    Objected,
    Rescheduled,
    Scheduled,
)
from domain.maintenance_step import MaintenanceStep
from domain.message import CLOSING, Moment
from domain.plan_commands import on_handed_over
from domain.plan_maintenance_timers import on_timer
from domain.plan_messages import on_broadcast_done, on_decided, on_drafted, on_edited
from domain.plan_policy import count_approval_anew, note_policy
from domain.policy import Policy
from domain.step import STAFF_CHANNELS

BY_POLICY = "policy: fixed words approved with the notice"
# What the people who lead the work are told at once.
STAFF_NEWS = frozenset(
    {
        "maintenance_scheduled", "asked", "reminded", "escalated", "approved", "edited",
        "stage_changed", "handed_over", "maintenance_start_due", "overrun_question",
        "overrun_unanswered", "credit_considered", "objection", "rescheduled", "extended",
        "maintenance_alerts",
    }
)  # fmt: skip


def open_maintenance(
    maintenance_id: str,
    *,
    starts_at: datetime,
    ends_at: datetime,
    impact: Impact,
    components: tuple[str, ...],
    regions: tuple[str, ...],
    objections_until: datetime | None,
    opened_at: datetime,
    dry_run: bool,
) -> MaintenanceState:
    """The state before the first event: scheduled, and nobody told."""
    return MaintenanceState(
        id=maintenance_id,
        severity=SEVERITY,
        severity_stated=True,
        stage=Stage.SCHEDULED,
        category=CATEGORY,
        components=components,
        regions=regions,
        started_at=starts_at,
        opened_at=opened_at,
        confirmed_at=opened_at,
        dry_run=dry_run,
        starts_at=starts_at,
        ends_at=ends_at,
        impact=impact,
        objections_until=objections_until,
    )


def plan_maintenance(
    state: MaintenanceState, event: Event, now: datetime, policy: Policy
) -> tuple[MaintenanceState, list[Action]]:
    """The next state and what to do, for one event at an instant (aware UTC)."""
    step = MaintenanceStep(state, now, policy)
    if not state.over or isinstance(event, BroadcastDone | Objected):
        _HANDLERS[event.kind](step, event)
        if any(
            (isinstance(action, Note) and action.key in STAFF_NEWS)
            or (isinstance(action, Decide) and action.state != "sent")
            for action in step.actions
        ):
            step.actions.append(TellStaff())
    return step.state, step.actions


# ---------------------------------------------------------------- what staff say


def _on_scheduled(step: MaintenanceStep, event: Scheduled) -> None:
    step.note("maintenance_scheduled", actor=event.by, due=step.state.starts_at.isoformat())
    step.arm_window()
    step.target()


def _on_rescheduled(step: MaintenanceStep, event: Rescheduled) -> None:
    step.set(
        starts_at=event.starts_at,
        ends_at=event.ends_at,
        started_at=event.starts_at,
        objections_until=event.objections_until,
    )
    step.note("rescheduled", actor=event.by, due=event.starts_at.isoformat())
    step.arm_window()
    step.write(Moment.MAINTENANCE_NOTICE, note_id=event.note_id)


def _on_begun(step: MaintenanceStep, event: Begun) -> None:
    step.begin(event.by)


def _on_extended(step: MaintenanceStep, event: Extended) -> None:
    step.set(ends_at=event.ends_at, on_time=False)
    step.note("extended", actor=event.by, due=event.ends_at.isoformat())
    step.arm_questions()
    step.arm_end()
    if step.state.announced:
        step.write(Moment.MAINTENANCE_OVERRUN, note_id=event.note_id)
    elif step.state.pending or step.state.drafting:
        # Nobody knows the old end: the words that wait shall tell the new one.
        step.write(Moment.MAINTENANCE_START)


def _on_kept_time(step: MaintenanceStep, event: KeptTime) -> None:
    step.set(on_time=True)
    step.note("overrun_answered", actor=event.by)


def _on_completed(step: MaintenanceStep, event: Completed) -> None:
    if step.state.firing:
        step.note("maintenance_alerts", firing=step.state.firing)
    step.finish(Stage.COMPLETED, event.by, event.note_id)


def _on_called_off(step: MaintenanceStep, event: CalledOff) -> None:
    step.finish(Stage.CANCELLED, event.by, event.note_id)


def _on_escalated(step: MaintenanceStep, event: Escalated) -> None:
    if event.incident_id not in step.state.incidents:
        step.set(incidents=(*step.state.incidents, event.incident_id))
    step.note("maintenance_escalated", actor=event.by, incident=event.incident_id)


def _on_policy_adopted(step: MaintenanceStep, event: PolicyAdopted) -> None:
    note_policy(step, event)
    count_approval_anew(step)
    step.arm_anew()


# ---------------------------------------------------------------- what comes from outside


def _on_objected(step: MaintenanceStep, event: Objected) -> None:
    key = "objection_late" if event.late else "objection"
    step.note(key, account=event.account_id, who=event.assignee)


def _on_alerts(step: MaintenanceStep, event: AlertsReceived) -> None:
    batch = event.batch
    if batch.watermark <= step.state.watermark:
        return
    step.set(watermark=batch.watermark, firing=batch.firing)
    step.note("alerts_folded", count=batch.received, firing=batch.firing)


# ---------------------------------------------------------------- from audience to message


def _on_targeted(step: MaintenanceStep, event: Targeted) -> None:
    step.set(targeting=False)
    if not step.state.announced:
        step.set(audience=event.audience)
    if step.state.stage is Stage.SCHEDULED and step.state.ending is None:
        step.write(Moment.MAINTENANCE_NOTICE)


def _on_drafted(step: MaintenanceStep, event: Drafted) -> None:
    fixed = step.state.holding
    if fixed is None or event.request != fixed.request:
        on_drafted(step, event)
        return
    step.set(holding=None, versions=max(step.state.versions, event.version))
    if not step.holds(fixed):
        step.actions.append(Decide(version=event.version, state="superseded"))
        return
    if step.overtaken(fixed):
        step.actions.append(Decide(version=event.version, state="superseded"))
        step.set(holding=step.again(fixed))
        return
    line = Pending(
        draft=event.version,
        moment=event.moment,
        number=event.number,
        hash=event.hash,
        channels=fixed.channels,
        audience=event.audience or step.state.audience,
        invalid=event.invalid,
        stage=fixed.stage,
        asked_at=step.now,
        approvals_needed=2 if step.policy.approval.four_eyes else 1,
    )
    auto, gated = step.split(event.moment, fixed.channels, holding=True)
    if event.invalid:
        step.note("draft_invalid", version=event.version, moment=event.moment)
        auto, gated = (
            tuple(c for c in auto if c in STAFF_CHANNELS),
            tuple(c for c in fixed.channels if c not in STAFF_CHANNELS or c in gated),
        )
    if gated and event.moment in CLOSING:
        auto, gated = (), fixed.channels
    if auto:
        step.broadcast(line, auto, by=BY_POLICY)
    # Words that a human wrote and that wait already are not taken back for fixed ones.
    if gated and (step.state.pending is None or event.moment in CLOSING):
        step.withdraw()
        step.put_before_approvers(line.model_copy(update={"channels": gated}))


def _on_decided(step: MaintenanceStep, event: Decided) -> None:
    pending = step.state.pending
    on_decided(step, event)
    waits = step.state.pending is not None
    if event.decision == "reject" and pending is not None and not waits:
        step.take_back(pending.moment)


_HANDLERS: dict[str, Callable[[MaintenanceStep, Any], None]] = {
    "scheduled": _on_scheduled,
    "rescheduled": _on_rescheduled,
    "begun": _on_begun,
    "extended": _on_extended,
    "kept_time": _on_kept_time,
    "completed": _on_completed,
    "called_off": _on_called_off,
    "objected": _on_objected,
    "escalated": _on_escalated,
    "alerts": _on_alerts,
    "targeted": _on_targeted,
    "drafted": _on_drafted,
    "decided": _on_decided,
    "edited": on_edited,
    "handed_over": on_handed_over,
    "policy_adopted": _on_policy_adopted,
    "broadcast_done": on_broadcast_done,
    "timer": on_timer,
}
