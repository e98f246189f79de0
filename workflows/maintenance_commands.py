"""What humans may tell planned work, answered: every update handler with its validator."""

from __future__ import annotations

from temporalio import workflow

from domain.maintenance import Event, MaintenanceState
from domain.maintenance_refusals import maintenance_refusal
from workflows.maintenance_messages import (
    ByInput,
    EndInput,
    EscalateInput,
    ExtendInput,
    MaintenanceResult,
    RescheduleInput,
    begun,
    kept_time,
)
from workflows.messages import CommandResult, HandOverInput
from workflows.running import Queued, failure
from workflows.shared_messages import SharedMessages


class MaintenanceCommands(SharedMessages[MaintenanceState]):
    """The part of the workflow that humans talk to; the queue is worked off by its run."""

    @workflow.update(name="hand_over")
    async def hand_over(self, command: HandOverInput) -> CommandResult:
        await self._command(command.event())
        return CommandResult(stage=self._state.stage, severity=self._state.severity)

    @workflow.update(name="begin")
    async def begin(self, command: ByInput) -> MaintenanceResult:
        return await self._command(begun(command))

    @begin.validator
    def _check_begin(self, command: ByInput) -> None:
        self._refuse(begun(command))

    @workflow.update(name="reschedule")
    async def reschedule(self, command: RescheduleInput) -> MaintenanceResult:
        return await self._command(command.event())

    @reschedule.validator
    def _check_reschedule(self, command: RescheduleInput) -> None:
        self._refuse(command.event())

    @workflow.update(name="extend")
    async def extend(self, command: ExtendInput) -> MaintenanceResult:
        return await self._command(command.event())

    @extend.validator
    def _check_extend(self, command: ExtendInput) -> None:
        self._refuse(command.event())

    @workflow.update(name="keep_time")
    async def keep_time(self, command: ByInput) -> MaintenanceResult:
        return await self._command(kept_time(command))

    @keep_time.validator
    def _check_keep_time(self, command: ByInput) -> None:
        self._refuse(kept_time(command))

    @workflow.update(name="complete")
    async def complete(self, command: EndInput) -> MaintenanceResult:
        return await self._command(command.completed())

    @complete.validator
    def _check_complete(self, command: EndInput) -> None:
        self._refuse(command.completed())

    @workflow.update(name="cancel")
    async def cancel(self, command: EndInput) -> MaintenanceResult:
        return await self._command(command.called_off())

    @cancel.validator
    def _check_cancel(self, command: EndInput) -> None:
        self._refuse(command.called_off())

    @workflow.update(name="escalated")
    async def escalated(self, command: EscalateInput) -> MaintenanceResult:
        return await self._command(command.event())

    def _refuse(self, event: Event) -> None:
        """Answer a command that is not allowed now; a validator's refusal costs no history."""
        refused = maintenance_refusal(self._state, event, workflow.now())
        if refused is not None:
            raise failure(refused)

    async def _command(self, event: Event) -> MaintenanceResult:
        """Queue a human's command, wait until it is recorded, and answer with what is now."""
        queued = Queued(event)
        self._queue.append(queued)
        await workflow.wait_condition(lambda: queued.done)
        if queued.refused is not None:
            raise failure(queued.refused)
        return MaintenanceResult(
            stage=self._state.stage, starts_at=self._state.starts_at, ends_at=self._state.ends_at
        )
