"""Going on after a loss: of the running state (Temporal), or of records (PostgreSQL).

Pure like the rest of the plan; `reconcile` decides when, the workflow carries out.
"""

from __future__ import annotations

from datetime import datetime

from domain.actions import Action, AnswerPostMortem, ProposeCredits, Target, TellStaff
from domain.incident import (
    AudienceCount,
    Frozen,
    IncidentState,
    Pending,
    PostMortemOffer,
    PostMortemState,
)
from domain.maintenance import MaintenanceState
from domain.maintenance_step import MaintenanceStep
from domain.message import CLOSING, Moment
from domain.plan_cascade import ask_links_again
from domain.plan_engage import war_room
from domain.policy import Policy
from domain.step import Step


class RecordsLost(Frozen):
    """PostgreSQL came back older than the incident: what of it is gone.

    `audience` is one taken anew where the saved one is gone; `pending` says that the texts of the
    version which waits are gone, `offer` those of the post-mortem that is held back; `since` is the
    last step that PostgreSQL still knew.
    """

    since: int
    audience: AudienceCount | None = None
    pending: bool = False
    offer: bool = False


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
    if state.proposing:
        step.set(proposing=1)
        step.actions.append(ProposeCredits())
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
            _report_anew(step, pending.draft)
        else:
            _draft_anew(step, pending)
    elif pending is not None and lost.audience is not None:
        needed = max(pending.approvals_needed, step.approvals_needed(lost.audience))
        step.set(
            pending=pending.model_copy(
                update={"audience": lost.audience, "approvals_needed": needed}
            )
        )
    if state.offer is not None and (lost.offer or (lost.pending and state.edition < 4)):
        _mend_offer(step, state.offer)
    step.actions.append(TellStaff())
    return step.state, step.actions


def _draft_anew(step: Step, pending: Pending) -> None:
    """The same words for those who still wait for them; the end with what a human said of it."""
    if step.state.edition < 4:
        step.draft(pending.moment, stage=pending.stage)
        return
    note_id = pending.note_id if pending.moment in CLOSING else None
    step.draft(pending.moment, note_id=note_id, stage=pending.stage, channels=pending.channels)


def _mend_offer(step: Step, offer: PostMortemOffer) -> None:
    """A held back report goes to its writer; that of a published one has ended."""
    step.set(offer=None)
    if step.state.post_mortem is not PostMortemState.PUBLISHED:
        _report_anew(step, offer.version)


def _report_anew(step: Step, version: int) -> None:
    step.set(post_mortem=PostMortemState.DUE)
    step.actions.append(AnswerPostMortem(approved=False, version=version, by="reconcile"))


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
