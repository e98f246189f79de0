"""Merging and splitting as messages between incidents: each half is asked for by id, repeatably."""

from __future__ import annotations

from contextlib import suppress

from temporalio import workflow
from temporalio.exceptions import ApplicationError, WorkflowAlreadyStartedError

from domain.cascade import (
    Absorb,
    AnswerMerge,
    AskMerge,
    HandTo,
    MergeAnswered,
    MergeAsked,
    OpenSplit,
    SplitDone,
    SplitOpened,
)
from domain.errors import Refused
from domain.incident import IncidentState
from domain.refusals import refusal
from domain.signal import AlertBatch
from domain.split import SplitOpening, SplitResult
from workflows import names, options
from workflows.messages import CommandResult, IncidentStart, MergeInput, SplitInput
from workflows.running import Queued, Running, failure


class Cascade(Running[IncidentState]):
    """The part of the incident that speaks to other incidents."""

    _recorded: IncidentState
    """As the last step left it, with everything of it written."""
    _start: IncidentStart

    # ------------------------------------------------------------ messages

    @workflow.update(name="merge_into")
    async def merge_into(self, command: MergeInput) -> CommandResult:
        """Answers once the other incident took everything in; refused, this one goes on."""
        queued = Queued(command.event())
        self._queue.append(queued)
        await workflow.wait_condition(lambda: queued.done and self._recorded.merging is None)
        if queued.refused is not None:
            raise failure(queued.refused)
        if self._state.merged_into != command.into:
            raise failure(Refused("not_merged", f"{command.into} did not take this incident in"))
        return CommandResult(stage=self._state.stage, severity=self._state.severity)

    @merge_into.validator
    def _check_merge_into(self, command: MergeInput) -> None:
        self._refuse_link(refusal(self._state, command.event(), workflow.now()))

    @workflow.update(name="split")
    async def split(self, command: SplitInput) -> CommandResult:
        """Answers once the new incident stands."""
        queued = Queued(command.event())
        self._queue.append(queued)
        await workflow.wait_condition(lambda: queued.done and self._recorded.splitting is None)
        if queued.refused is not None:
            raise failure(queued.refused)
        return CommandResult(stage=self._state.stage, severity=self._state.severity)

    @split.validator
    def _check_split(self, command: SplitInput) -> None:
        self._refuse_link(refusal(self._state, command.event(), workflow.now()))

    @workflow.signal(name="merge_asked")
    def merge_asked(self, asked: MergeAsked) -> None:
        """An alert related this incident to another one, and policy lets them become one."""
        self._queue.append(Queued(asked))

    @workflow.signal(name="absorb")
    def absorb(self, absorb: Absorb) -> None:
        self._queue.append(Queued(absorb))

    @workflow.signal(name="merge_answered")
    def merge_answered(self, answer: MergeAnswered) -> None:
        self._queue.append(Queued(answer))

    def _refuse_link(self, refused: Refused | None) -> None:
        if refused is not None:
            raise failure(refused)

    # ------------------------------------------------------------ actions

    async def _link(self, action: HandTo | AnswerMerge | AskMerge | OpenSplit) -> None:
        match action:
            case HandTo():
                await self._hand_to(action)
            case AnswerMerge():
                await self._say(action.to, "merge_answered", action.answer)
            case AskMerge():
                await self._say(action.of, "merge_asked", action.asked)
            case OpenSplit():
                await self._open_split(action)

    async def _hand_to(self, action: HandTo) -> None:
        if not await self._say(action.to, "absorb", action.absorb):
            # It is over, or its run was lost: this one goes on.
            answer = MergeAnswered(
                into=action.to, accepted=False, reason=f"{action.to} has no running workflow"
            )
            self._queue.append(Queued(answer))

    async def _say(self, incident_id: str, signal: str, argument: object) -> bool:
        """Signal another incident; False where nobody is there to hear it."""
        handle = workflow.get_external_workflow_handle(names.incident_workflow_id(incident_id))
        try:
            await handle.signal(signal, argument)
        except ApplicationError as error:
            workflow.logger.warning("%s not told %s: %s", incident_id, signal, error.type)
            return False
        return True

    async def _open_split(self, action: OpenSplit) -> None:
        """Write the new incident, start its run, and take note of what is left here."""
        split = action.split
        opened = await workflow.execute_activity(
            "open_split",
            SplitOpening(state=self._state, split=split, policy_hash=self._start.policy_hash),
            result_type=SplitResult,
            **options.TARGETING,
            summary=f"Split off {', '.join(split.components)}",
        )
        state = opened.state
        with suppress(WorkflowAlreadyStartedError):
            await workflow.start_child_workflow(
                names.INCIDENT,
                IncidentStart(
                    incident_id=state.id,
                    policy_hash=self._start.policy_hash,
                    policy=self._policy,
                    batch=AlertBatch(watermark=state.watermark, received=0, firing=state.firing),
                    dry_run=state.dry_run,
                    opened_at=state.opened_at,
                    state=state,
                    queue=(SplitOpened(origin=self._state.id, by=split.by, alerts=opened.alerts),),
                ),
                id=names.incident_workflow_id(state.id),
                parent_close_policy=workflow.ParentClosePolicy.ABANDON,
                static_summary=f"{state.severity}: {', '.join(state.components)} (split off)",
            )
        done = SplitDone(id=state.id, firing=opened.left_firing, quiet=opened.left_quiet)
        self._queue.append(Queued(done))
