"""What humans may tell an incident, answered: every update handler with its validator."""

from __future__ import annotations

from collections import deque

from temporalio import workflow
from temporalio.exceptions import ApplicationError

from domain.errors import Refused
from domain.incident import Edited, Event, IncidentState
from domain.refusals import refusal
from domain.resume import RecordsLost
from workflows.messages import (
    AcknowledgeInput,
    AdoptPolicyInput,
    ChangeSeverityInput,
    CommandResult,
    ConfirmInput,
    CreditsApprovedInput,
    DecideInput,
    DecideResult,
    DismissInput,
    FalseAlarmInput,
    HandOverInput,
    PostUpdateInput,
    ResolveInput,
    StateFactsInput,
)


class Queued:
    """An event that waits for its turn, and what became of it."""

    def __init__(self, event: Event | RecordsLost) -> None:
        self.event = event
        self.done = False
        self.refused: Refused | None = None


class Commands:
    """The part of the incident that humans talk to; the queue is worked off by its run."""

    _state: IncidentState
    _queue: deque[Queued]

    @workflow.update(name="decide")
    async def decide(self, decision: DecideInput) -> DecideResult:
        event = decision.event()
        await self._command(event)
        if isinstance(event, Edited):
            return DecideResult(draft=event.version, state="pending")
        waits = self._state.pending is not None and self._state.pending.draft == event.draft
        done = "approved" if event.decision == "approve" else "rejected"
        return DecideResult(draft=event.draft, state="pending" if waits else done)

    @decide.validator
    def _check_decide(self, decision: DecideInput) -> None:
        self._refuse(decision.event())

    @workflow.update(name="post_update")
    async def post_update(self, command: PostUpdateInput) -> CommandResult:
        return await self._command(command.event())

    @post_update.validator
    def _check_post_update(self, command: PostUpdateInput) -> None:
        self._refuse(command.event())

    @workflow.update(name="state_facts")
    async def state_facts(self, command: StateFactsInput) -> CommandResult:
        return await self._command(command.event())

    @state_facts.validator
    def _check_state_facts(self, command: StateFactsInput) -> None:
        self._refuse(command.event())

    @workflow.update(name="credits_approved")
    async def credits_approved(self, command: CreditsApprovedInput) -> CommandResult:
        return await self._command(command.event())

    @credits_approved.validator
    def _check_credits_approved(self, command: CreditsApprovedInput) -> None:
        self._refuse(command.event())

    @workflow.update(name="change_severity")
    async def change_severity(self, command: ChangeSeverityInput) -> CommandResult:
        return await self._command(command.event())

    @change_severity.validator
    def _check_change_severity(self, command: ChangeSeverityInput) -> None:
        self._refuse(command.event())

    @workflow.update(name="confirm_impact")
    async def confirm_impact(self, command: ConfirmInput) -> CommandResult:
        return await self._command(command.event())

    @confirm_impact.validator
    def _check_confirm_impact(self, command: ConfirmInput) -> None:
        self._refuse(command.event())

    @workflow.update(name="dismiss")
    async def dismiss(self, command: DismissInput) -> CommandResult:
        return await self._command(command.event())

    @dismiss.validator
    def _check_dismiss(self, command: DismissInput) -> None:
        self._refuse(command.event())

    @workflow.update(name="resolve")
    async def resolve(self, command: ResolveInput) -> CommandResult:
        return await self._command(command.event())

    @resolve.validator
    def _check_resolve(self, command: ResolveInput) -> None:
        self._refuse(command.event())

    @workflow.update(name="mark_false_alarm")
    async def mark_false_alarm(self, command: FalseAlarmInput) -> CommandResult:
        return await self._command(command.event())

    @mark_false_alarm.validator
    def _check_mark_false_alarm(self, command: FalseAlarmInput) -> None:
        self._refuse(command.event())

    @workflow.update(name="hand_over")
    async def hand_over(self, command: HandOverInput) -> CommandResult:
        return await self._command(command.event())

    @hand_over.validator
    def _check_hand_over(self, command: HandOverInput) -> None:
        self._refuse(command.event())

    @workflow.update(name="adopt_policy")
    async def adopt_policy(self, command: AdoptPolicyInput) -> CommandResult:
        return await self._command(command.event())

    @adopt_policy.validator
    def _check_adopt_policy(self, command: AdoptPolicyInput) -> None:
        self._refuse(command.event())

    @workflow.update(name="acknowledge")
    async def acknowledge(self, command: AcknowledgeInput) -> CommandResult:
        return await self._command(command.event())

    @acknowledge.validator
    def _check_acknowledge(self, command: AcknowledgeInput) -> None:
        self._refuse(command.event())

    def _refuse(self, event: Event) -> None:
        """Answer a command that is not allowed now; a validator's refusal costs no history."""
        refused = refusal(self._state, event, workflow.now())
        if refused is not None:
            raise failure(refused)

    async def _command(self, event: Event) -> CommandResult:
        """Queue a human's command, wait until it is recorded, and answer with what is now."""
        queued = Queued(event)
        self._queue.append(queued)
        await workflow.wait_condition(lambda: queued.done)
        if queued.refused is not None:
            raise failure(queued.refused)
        return CommandResult(stage=self._state.stage, severity=self._state.severity)


def failure(refused: Refused) -> ApplicationError:
    """A refusal as the caller of an update gets it: with its kind, and final."""
    return ApplicationError(str(refused), type=refused.kind, non_retryable=True)
