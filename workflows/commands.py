"""What humans may tell an incident, answered: every update handler with its validator."""

from __future__ import annotations

from temporalio import workflow

from domain.events import Event
from domain.incident import IncidentState
from domain.refusals import refusal
from workflows.messages import (
    AcknowledgeInput,
    ChangeSeverityInput,
    CommandResult,
    ConfirmInput,
    CreditsApprovedInput,
    DismissInput,
    FalseAlarmInput,
    HandOverInput,
    PostUpdateInput,
    ResolveInput,
    StateFactsInput,
)
from workflows.running import Queued, failure
from workflows.shared_messages import SharedMessages


class Commands(SharedMessages[IncidentState]):
    """The part of the incident that humans talk to; the queue is worked off by its run."""

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
