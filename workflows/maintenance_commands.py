"""What humans may tell planned work, answered: every update handler with its validator."""

from __future__ import annotations

from collections import deque

from temporalio import workflow
from temporalio.exceptions import ApplicationError

from domain.errors import Refused
from domain.incident import Edited
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
from workflows.messages import CommandResult, DecideInput, DecideResult, HandOverInput


class Queued:
    """An event that waits for its turn, and what became of it."""

    def __init__(self, event: Event) -> None:
        self.event = event
        self.done = False
        self.refused: Refused | None = None


class MaintenanceCommands:
    """The part of the workflow that humans talk to; the queue is worked off by its run."""

    _state: MaintenanceState
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
            raise _failure(refused)

    async def _command(self, event: Event) -> MaintenanceResult:
        """Queue a human's command, wait until it is recorded, and answer with what is now."""
        queued = Queued(event)
        self._queue.append(queued)
        await workflow.wait_condition(lambda: queued.done)
        if queued.refused is not None:
            raise _failure(queued.refused)
        return MaintenanceResult(
            stage=self._state.stage, starts_at=self._state.starts_at, ends_at=self._state.ends_at
        )


def _failure(refused: Refused) -> ApplicationError:
    return ApplicationError(str(refused), type=refused.kind, non_retryable=True)
