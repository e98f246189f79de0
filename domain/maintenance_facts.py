"""The facts a message about planned work may state: nothing else reaches a draft."""

from __future__ import annotations

from datetime import datetime

from domain.facts import build_facts
from domain.incident import AudienceCount, Draft, Frozen
from domain.maintenance import MaintenanceState
from domain.message import Facts, Moment
from domain.policy import Policy

# Words that look ahead say until when a customer may object.
_AHEAD = (Moment.MAINTENANCE_NOTICE, Moment.MAINTENANCE_REMINDER)


class MaintenanceWords(Frozen):
    """What a human wrote about it, kept out of workflow history: `note` is about this message."""

    title: str
    description: str = ""
    advice: str = ""
    note: str = ""


def page_url(public_url: str, maintenance_id: str) -> str:
    """Where the public reads of it."""
    return f"{public_url.rstrip('/')}/maintenances/{maintenance_id}"


def maintenance_facts(
    state: MaintenanceState,
    draft: Draft,
    audience: AudienceCount,
    policy: Policy,
    words: MaintenanceWords,
    public_url: str,
    now: datetime,
) -> Facts:
    """Facts for one moment; what is not known is simply not there."""
    base = build_facts(
        state, draft.moment, draft.number, audience, policy, {}, public_url, stage=draft.stage
    )
    links = {"status": public_url, "incident": page_url(public_url, state.id)}
    if draft.moment in _AHEAD and state.objections_until and state.objections_until > now:
        # Each reader's own is made of it when the mail is; this one says how to get there.
        links["object"] = f"{links['incident']}/object"
    return base.model_copy(
        update={
            "times": _times(state, draft, now),
            "numbers": _numbers(state, draft, audience, now),
            "notes": {k: v for k, v in _notes(state, draft, words).items() if v},
            "links": links,
        }
    )


def _times(state: MaintenanceState, draft: Draft, now: datetime) -> dict[str, datetime]:
    times = {"starts_at": state.starts_at, "ends_at": state.ends_at}
    if draft.promised is not None:
        times["promised"] = draft.promised
    if draft.moment is Moment.MAINTENANCE_OVERRUN:
        times["ends_at"] = state.told_end or state.first_end or state.ends_at
        # Fixed words know no new end; nobody let one out.
        if not draft.holding and state.ends_at > max(now, times["ends_at"]):
            times["revised_end"] = state.ends_at
    if draft.moment is Moment.MAINTENANCE_DONE and state.first_end is not None:
        times["ends_at"] = state.first_end
    if draft.moment is Moment.MAINTENANCE_NOTICE and state.moved:
        if state.told_start is not None:
            times["old_start"] = state.told_start
        if state.told_end is not None:
            times["old_end"] = state.told_end
    if draft.moment in _AHEAD and state.objections_until and state.objections_until > now:
        times["objections_until"] = state.objections_until
    if state.began_at is not None:
        times["started_at"] = state.began_at
    if state.ended_at is not None:
        times["ended_at"] = state.ended_at
    return times


def _numbers(
    state: MaintenanceState, draft: Draft, audience: AudienceCount, now: datetime
) -> dict[str, float]:
    numbers: dict[str, float] = {"update_number": draft.number}
    if audience.accounts:
        numbers["accounts"] = audience.accounts
    late = (Moment.MAINTENANCE_OVERRUN, Moment.MAINTENANCE_DONE)
    if draft.moment in late and state.first_end is not None:
        over = round(((state.ended_at or now) - state.first_end).total_seconds() / 60)
        if over >= 1:
            numbers["minutes_over"] = over
    if state.ended_at is not None and state.began_at is not None:
        minutes = (state.ended_at - state.began_at).total_seconds() / 60
        numbers["duration_minutes"] = max(1, round(minutes))
    return numbers


def _notes(state: MaintenanceState, draft: Draft, words: MaintenanceWords) -> dict[str, str]:
    notes = {"what": words.title, "impact": state.impact.value}
    if draft.moment in _AHEAD:
        notes |= {"message": words.description, "advice": words.advice}
    elif draft.moment is Moment.MAINTENANCE_START:
        notes |= {"advice": words.advice}
    if draft.moment is Moment.MAINTENANCE_NOTICE and state.moved:
        notes |= {"rescheduled": "yes", "reason": words.note}
    elif draft.moment is Moment.MAINTENANCE_DONE and draft.stage == "completed":
        notes |= {"message": words.note}
    elif draft.moment is not Moment.MAINTENANCE_NOTICE:
        notes |= {"reason": words.note}
    return notes
