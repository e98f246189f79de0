"""No message contradicts the moment it is sent in: what time has overtaken is written anew.

A version says at which stage the incident stands, when the next update comes, and whether the last
one was missed. Where one of these is no longer so, the version is superseded before anybody can let
it out (PRODUCT 5: an approval binds to the facts a text uses).
"""

from __future__ import annotations

from datetime import datetime

from domain.incident import ACTIVE, Draft, IncidentState, Pending
from domain.message import CLOSING, Moment
from domain.step import Step

# Since this edition of the plan.
EDITION = 4


def outdated(state: IncidentState, now: datetime) -> bool:
    """Whether the version that waits says what is no longer so."""
    pending = state.pending
    return (
        state.edition >= EDITION
        and pending is not None
        and pending.moment is not Moment.POST_MORTEM
        and state.stage in ACTIVE
        and (_at_another_stage(state, pending) or _hides_a_miss(state, pending, now))
    )


def promises_the_past(state: IncidentState, now: datetime) -> bool:
    """Whether the version that waits has the promised time written out, and it has passed."""
    pending = state.pending
    return (
        state.edition >= EDITION
        and pending is not None
        and pending.promise_is_literal
        and pending.next_update_at is not None
        and pending.next_update_at <= now
    )


def write_what_is_outdated_anew(step: Step) -> None:
    """Ask again for the words that wait, or are being written, where they no longer hold."""
    state = step.state
    if state.edition < EDITION or state.stage not in ACTIVE:
        return
    pending = state.pending
    if pending is not None and outdated(state, step.now):
        note_id = pending.note_id if pending.moment in CLOSING else None
        stage = pending.stage if pending.moment in CLOSING else None
        step.note("draft_outdated", version=pending.draft, moment=pending.moment)
        if pending.suggested:
            step.drop_suggestion()
            step.suggest_update()
        else:
            step.draft(pending.moment, note_id=note_id, stage=stage, channels=pending.channels)
    for field in ("drafting", "holding", "suggesting", "executive"):
        draft: Draft | None = getattr(step.state, field)
        if draft is not None and _at_another_stage(state, draft):
            step.set(**{field: step.again(draft)})


def _at_another_stage(state: IncidentState, words: Pending | Draft) -> bool:
    return words.moment not in CLOSING and words.stage is not state.stage


def _hides_a_miss(state: IncidentState, pending: Pending, now: datetime) -> bool:
    promise = state.promise
    return promise is not None and promise.due < now and pending.promised is None
