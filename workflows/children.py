"""The children of an incident: started to outlive it, and told what reviewers decided.

They report by signal, so that neither continuing as new nor closing cuts them short. `reconcile`
may have started one already, when its step was recorded and then Temporal was away.
"""

from __future__ import annotations

from contextlib import suppress

from temporalio import workflow
from temporalio.exceptions import WorkflowAlreadyStartedError

from domain.actions import AnswerPostMortem, Broadcast, OpenPostMortem
from domain.incident import IncidentState
from domain.ports import BroadcastSpec
from workflows import names
from workflows.messages import PostMortemAnswer, PostMortemStart


def spec_of(state: IncidentState, action: Broadcast, policy_hash: str) -> BroadcastSpec:
    """What a broadcast is started with; recorded with its step, so that it can't be lost."""
    return BroadcastSpec(
        incident_id=state.id,
        n=action.n,
        version=action.version,
        hash=action.hash,
        moment=action.moment,
        number=action.number,
        severity=state.severity,
        stage=state.stage,
        category=state.category,
        components=state.components,
        channels=action.channels,
        audience_id=action.audience_id,
        policy_hash=policy_hash,
        allowed_by=action.by,
        dry_run=state.dry_run,
        next_update_at=action.next_update_at,
        expires_at=action.expires_at,
    )


async def broadcast(spec: BroadcastSpec) -> None:
    """Start the child that sends a message."""
    with suppress(WorkflowAlreadyStartedError):
        await workflow.start_child_workflow(
            names.BROADCAST,
            spec,
            id=names.broadcast_workflow_id(spec.incident_id, spec.n),
            # Where its activities run: a worker then takes them up without asking for them.
            task_queue=names.QUEUE_DELIVERY,
            parent_close_policy=workflow.ParentClosePolicy.ABANDON,
            static_summary=f"{spec.moment} to {', '.join(spec.channels)}",
        )


async def post_mortem(state: IncidentState, action: OpenPostMortem, policy_hash: str) -> None:
    """Start the child that writes the post-mortem."""
    with suppress(WorkflowAlreadyStartedError):
        await workflow.start_child_workflow(
            names.POST_MORTEM,
            PostMortemStart(
                incident_id=state.id,
                policy_hash=policy_hash,
                public=action.public,
                due=action.due,
                state=state,
            ),
            id=names.post_mortem_workflow_id(state.id),
            parent_close_policy=workflow.ParentClosePolicy.ABANDON,
            static_summary="Public post-mortem" if action.public else "Internal post-mortem",
        )


async def answer_post_mortem(state: IncidentState, action: AnswerPostMortem) -> None:
    """Hand the reviewers' decision to the child; it writes again from the incident as it is now."""
    answer = PostMortemAnswer(
        approved=action.approved,
        version=action.version,
        by=action.by,
        state=None if action.approved else state,
    )
    child = workflow.get_external_workflow_handle(names.post_mortem_workflow_id(state.id))
    await child.signal("answered", answer)
