"""The heart: what an event means for an incident. Pure, and used by workflow, back-test and drill.

`plan(state, event, now, policy)` returns the next state and the actions to carry out, in order.
Domain code that a workflow calls is workflow code: a change needs `workflow.patched`.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from domain.actions import Action, Decide, Note, TellStaff
from domain.cascade import Absorb
from domain.events import BroadcastDone, Event
from domain.incident import EDITION, IncidentState, TimerKind
from domain.plan_alerts import on_alerts
from domain.plan_cascade import (
    on_absorb,
    on_merge_answered,
    on_merge_asked,
    on_split_asked,
    on_split_done,
    on_split_opened,
)
from domain.plan_commands import (
    on_confirmed,
    on_dismissed,
    on_false_alarm,
    on_handed_over,
    on_resolve,
    on_severity,
    on_update,
)
from domain.plan_credits import on_credits_approved, on_credits_proposed
from domain.plan_duties import keep_duties
from domain.plan_engage import on_acknowledged, on_war_room
from domain.plan_facts import on_facts
from domain.plan_freshness import write_what_is_outdated_anew
from domain.plan_messages import on_broadcast_done, on_decided, on_drafted, on_edited, on_targeted
from domain.plan_policy import on_policy_adopted
from domain.plan_post_mortem import offer_post_mortem, on_post_mortem
from domain.plan_timers import on_timer
from domain.policy import Policy
from domain.signal import AlertBatch, Severity
from domain.step import Step

# What the people who decide are told at once, beside every version that is decided or taken back.
STAFF_NEWS = frozenset(
    {
        "asked", "reminded", "escalated", "approved", "edited", "confirmed", "dismissed",
        "closed_unconfirmed", "false_alarm", "stage_changed", "severity_changed", "handed_over",
        "promise_reminder", "promise_missed", "no_components", "facts_stated",
        "credits_proposed", "credits_approved", "policy_changed", "region_unverified",
        "merged_into", "merge_failed", "absorbed", "split_off", "split_from",
        "acknowledged", "told", "war_room_opened", "war_room_by_hand", "not_engaged",
        "target_missed", "assessment_missing", "eta_passed", "extended_entered", "extended_left",
        "workaround_wanted", "suggested",
    }
)  # fmt: skip


def open_incident(
    incident_id: str, batch: AlertBatch, opened_at: datetime, dry_run: bool
) -> IncidentState:
    """The state before the first event: suspected, as the first alerts describe it.

    A batch in which nothing fires any more (the end overtook the start) opens as the mildest.
    """
    return IncidentState(
        id=incident_id,
        edition=EDITION,
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
    if not state.over or isinstance(event, BroadcastDone | Absorb):
        write_what_is_outdated_anew(step)
        _HANDLERS[event.kind](step, event)
        write_what_is_outdated_anew(step)
        keep_duties(step, state, event)
        offer_post_mortem(step)
        if _is_news(step):
            step.actions.append(TellStaff())
    return step.state, step.actions


def _is_news(step: Step) -> bool:
    """The first alert, a note that staff wait for, or a version that no longer waits."""
    return step.state.steps == 1 or any(
        (isinstance(action, Note) and action.key in STAFF_NEWS)
        or (isinstance(action, Decide) and action.state != "sent")
        for action in step.actions
    )


def next_timer(state: IncidentState) -> tuple[TimerKind, datetime] | None:
    """The timer that fires first; ties go by name so that every replay agrees."""
    if not state.timers or state.over:
        return None
    return min(state.timers.items(), key=lambda item: (item[1], item[0].value))


_HANDLERS: dict[str, Callable[[Step, Any], None]] = {
    "alerts": on_alerts,
    "confirmed": on_confirmed,
    "dismissed": on_dismissed,
    "severity": on_severity,
    "update": on_update,
    "facts": on_facts,
    "credits_proposed": on_credits_proposed,
    "credits_approved": on_credits_approved,
    "resolve": on_resolve,
    "false_alarm": on_false_alarm,
    "handed_over": on_handed_over,
    "policy_adopted": on_policy_adopted,
    "acknowledged": on_acknowledged,
    "war_room": on_war_room,
    "targeted": on_targeted,
    "drafted": on_drafted,
    "decided": on_decided,
    "edited": on_edited,
    "broadcast_done": on_broadcast_done,
    "timer": on_timer,
    "post_mortem": on_post_mortem,
    "merge_asked": on_merge_asked,
    "absorb": on_absorb,
    "merge_answered": on_merge_answered,
    "split_asked": on_split_asked,
    "split_done": on_split_done,
    "split_opened": on_split_opened,
}
