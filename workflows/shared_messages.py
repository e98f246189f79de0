"""What every long run hears and answers, be it an incident or planned work."""

from __future__ import annotations

from typing import Any

from temporalio import workflow

from domain.events import AlertsReceived, BroadcastDone, Decided, Edited, PolicyAdopted
from domain.policy import Policy
from domain.resume import RecordsLost
from domain.signal import AlertBatch
from workflows.messages import (
    AdoptPolicyInput,
    CommandResult,
    DecideInput,
    DecideResult,
    PendingView,
    TimelineLine,
)
from workflows.running import Queued, Running, S


class SharedMessages(Running[S]):
    """Signals and queries whole; of updates the parts that are the same for both."""

    @workflow.signal(name="alert_received")
    def alert_received(self, batch: AlertBatch) -> None:
        self._queue.append(Queued(AlertsReceived(batch=batch)))

    @workflow.signal(name="approval")
    def approval(self, decision: DecideInput) -> None:
        """A decision from the Temporal UI or CLI: whoever may signal is an approver.

        Edits are not taken here, because text must not enter history: they come by HTTP or Slack.
        """
        if decision.decision != "edit":
            self._queue.append(Queued(decision.event()))

    @workflow.signal(name="broadcast_done")
    def broadcast_done(self, done: BroadcastDone) -> None:
        self._broadcasting.discard(done.broadcast)
        self._queue.append(Queued(done))

    @workflow.signal(name="records_lost")
    def records_lost(self, lost: RecordsLost) -> None:
        """PostgreSQL was restored from before now; `reconcile` says what of this is gone."""
        self._queue.append(Queued(lost))

    @workflow.query(name="policy")
    def policy(self) -> Policy:
        """The policy that rules here, should PostgreSQL have lost it."""
        return self._policy

    @workflow.query(name="pending_draft")
    def pending_draft(self) -> PendingView:
        return PendingView(pending=self._state.pending)

    @workflow.query(name="timeline")
    def timeline(self) -> list[TimelineLine]:
        return list(self._lines)

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

    @workflow.update(name="adopt_policy")
    async def adopt_policy(self, command: AdoptPolicyInput) -> CommandResult:
        await self._command(command.event())
        return CommandResult(stage=self._state.stage, severity=self._state.severity)

    @adopt_policy.validator
    def _check_adopt_policy(self, command: AdoptPolicyInput) -> None:
        self._refuse(command.event())

    def _refuse(self, event: Decided | Edited | PolicyAdopted) -> None:
        """Raise what is not allowed now."""
        raise NotImplementedError

    async def _command(self, event: Decided | Edited | PolicyAdopted) -> Any:
        """Queue it, wait until it is recorded, and answer."""
        raise NotImplementedError
