"""Why a human's command is not allowed in the present state."""

from __future__ import annotations

from datetime import datetime

from domain.cascade import MergeAsked, SplitAsked
from domain.errors import Refused
from domain.events import (
    Acknowledged,
    Decided,
    Dismissed,
    Edited,
    Event,
    FactsStated,
    ImpactConfirmed,
    PolicyAdopted,
    ResolveRequested,
    SeverityChanged,
    UpdatePosted,
)
from domain.incident import ACTIVE, IncidentState, Stage
from domain.link_refusals import merge_refusal, split_refusal
from domain.plan_freshness import outdated, promises_the_past


def refusal(state: IncidentState, event: Event, now: datetime) -> Refused | None:
    """Why a human's command is not allowed now; None when it is."""
    if state.over:
        return Refused(
            "not_open", f"the incident is {state.stage}: nothing can be changed any more"
        )
    match event:
        case Decided() | Edited():
            return _decision_refusal(state, event, now)
        case ImpactConfirmed() if state.stage is not Stage.SUSPECTED and not names_scope(
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
        case FactsStated() if state.stage is Stage.RESOLVED:
            return Refused(
                "not_open", "the incident is resolved; state it for the post-mortem instead"
            )
        case PolicyAdopted() if event.hash == state.policy_hash:
            return Refused("same_policy", f"the policy {event.hash} rules it already")
        case Acknowledged() if state.acknowledged_at is not None:
            return Refused("already_acknowledged", "somebody is on it already")
        case SeverityChanged() if event.severity is state.severity:
            return Refused("same_severity", f"the severity is already {state.severity}")
        case MergeAsked():
            return merge_refusal(state, event)
        case SplitAsked():
            return split_refusal(state, event)
    return None


def names_scope(state: IncidentState, event: ImpactConfirmed) -> bool:
    """A confirmed incident that nobody could place may still be told what it is about."""
    return bool(event.components) and not state.components and state.stage in ACTIVE


def _decision_refusal(
    state: IncidentState, event: Decided | Edited, now: datetime
) -> Refused | None:
    version, pending = event.draft, state.pending
    if pending is None or pending.draft != version:
        if version in state.sent:
            return Refused("already_sent", f"draft {version} was already sent")
        if version in state.decided:
            return Refused("already_decided", f"draft {version} was already decided")
        instead = f"; draft {pending.draft} waits now" if pending else "; no draft waits now"
        return Refused("superseded", f"draft {version} does not wait for a decision{instead}")
    if outdated(state, now):
        return Refused("superseded", f"draft {version} is out of date and is written anew")
    if isinstance(event, Decided):
        if event.role not in ("approver", "admin"):
            return Refused("forbidden", f"the role {event.role} may not decide; allowed: approver")
        if event.decision == "approve" and pending.invalid:
            return Refused("invalid_draft", f"draft {version} breaks rules; edit it first")
        if event.decision == "approve" and promises_the_past(state, now):
            return Refused(
                "invalid_draft",
                f"draft {version} promises an update for a time that has passed; edit it first",
            )
        if event.decision == "approve" and event.by in pending.approvals:
            return Refused(
                "second_person_needed",
                f"{event.by} has approved draft {version} already: another person must give the "
                "second approval",
            )
    return None
