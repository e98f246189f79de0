"""Going on after a loss: of the running state (Temporal), or of records (PostgreSQL).

Pure like the rest of the plan; `reconcile` decides when, the workflow carries out.
"""

from __future__ import annotations

from datetime import datetime

from domain.incident import (
    Action,
    AnswerPostMortem,
    AudienceCount,
    Frozen,
    IncidentState,
    PostMortemState,
    Target,
    TellStaff,
)
from domain.maintenance import MaintenanceState
from domain.maintenance_step import MaintenanceStep
from domain.message import Moment
from domain.plan_cascade import ask_links_again
from domain.plan_engage import war_room
from domain.policy import Policy
from domain.step import Step


class RecordsLost(Frozen):
    """PostgreSQL came back older than the incident: what of it is gone.

    `audience` is one taken anew where the saved one is gone; `pending` says that the texts of the
    version which waits are gone; `since` is the last step that PostgreSQL still knew.
    """

    since: int
    audience: AudienceCount | None = None
    pending: bool = False


def resume(
    state: IncidentState, now: datetime, policy: Policy
) -> tuple[IncidentState, list[Action]]:
    """Ask again for what was under way when the run was lost; its answers will never come.

    Drafts are asked for under a new number, with times that are still ahead.
    """
    step = Step(state, now, policy)
    step.note("resumed")
    if state.targeting:
        step.actions.append(Target())
    if state.drafting is not None:
        step.set(drafting=step.again(state.drafting))
    if state.holding is not None:
        step.set(holding=step.again(state.holding))
    ask_links_again(step)
    if state.executive is not None:
        step.set(executive=step.again(state.executive))
    if state.suggesting is not None:
        step.set(suggesting=step.again(state.suggesting))
    if state.war_room == "":
        step.actions.append(war_room(step))
    step.actions.append(TellStaff())
    return step.state, step.actions


def mend(
    state: IncidentState, lost: RecordsLost, now: datetime, policy: Policy
) -> tuple[IncidentState, list[Action]]:
    """Go on without the lost records: what waited for approval unseen is written anew."""
    step = Step(state, now, policy)
    _note_loss(step, lost)
    pending = state.pending
    if pending is not None and lost.pending:
        step.note("draft_lost", version=pending.draft, moment=pending.moment)
        if pending.suggested:
            step.drop_suggestion()
        elif pending.moment is Moment.POST_MORTEM:
            step.withdraw()
            step.set(post_mortem=PostMortemState.DUE)
            step.actions.append(
                AnswerPostMortem(approved=False, version=pending.draft, by="reconcile")
            )
        else:
            step.draft(pending.moment, stage=pending.stage)
    elif pending is not None and lost.audience is not None:
        step.set(pending=pending.model_copy(update={"audience": lost.audience}))
    if state.offer is not None and lost.pending:
        step.set(offer=None, post_mortem=PostMortemState.DUE)
        step.actions.append(
            AnswerPostMortem(approved=False, version=state.offer.version, by="reconcile")
        )
    step.actions.append(TellStaff())
    return step.state, step.actions


def mend_maintenance(
    state: MaintenanceState, lost: RecordsLost, now: datetime, policy: Policy
) -> tuple[MaintenanceState, list[Action]]:
    """As `mend`, for planned work: its words ask for approval again."""
    step = MaintenanceStep(state, now, policy)
    _note_loss(step, lost)
    pending = state.pending
    if pending is not None and lost.pending:
        step.note("draft_lost", version=pending.draft, moment=pending.moment)
        step.write(pending.moment)
    elif pending is not None and lost.audience is not None:
        step.set(pending=pending.model_copy(update={"audience": lost.audience}))
    step.actions.append(TellStaff())
    return step.state, step.actions


def _note_loss(step: Step, lost: RecordsLost) -> None:
    step.note("records_lost", since=lost.since, until=step.state.steps)
    if lost.audience is not None:
        step.set(audience=lost.audience)
