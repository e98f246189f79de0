"""An incident's way from its alert to its mails as plain calls: no Temporal, no other process.

The same plan, the same steps on the same database, one after the other. What it lacks is what
Temporal is there for: if this process ends, so does everything it had begun.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from temporalio.testing import ActivityEnvironment

from activities.deliver import SettleInput
from activities.draft import DraftInput
from activities.record import RecordInput
from activities.round import DeliverInput
from activities.target import TargetInput
from adapters.db.intake import Intake
from domain.actions import Action, Broadcast, Decide, Note, SettlePromise, Target
from domain.events import AlertsReceived, Event
from domain.incident import Draft, IncidentState
from domain.plan import open_incident, plan
from domain.policy import Policy
from domain.ports import BroadcastSpec
from domain.signal import Signal
from runtime.wiring import Steps


class PlainCalls:
    """Does in one coroutine what gateway, workflows and worker do together."""

    def __init__(self, intake: Intake, policy: Policy, steps: Steps) -> None:
        self._intake = intake
        self._policy = policy
        self._steps: Mapping[str, Callable[..., Any]] = {
            step.__name__: step for queue in steps.by_queue.values() for step in queue
        }

    async def alert(self, signal: Signal) -> None:
        """Take an alert and do all that follows from it at once, to the last mail."""
        now, policy = datetime.now(UTC), self._policy
        accepted = await self._intake.receive(
            signal, policy, now=now, correlation_id="plain", dry_run=False, policy_hash=policy.hash
        )
        batch = await self._intake.batch_after(str(accepted.incident_id), 0)
        if accepted.disposition != "started" or batch is None:
            raise RuntimeError(f"the alert opened no incident: {accepted.disposition}")
        state = open_incident(str(accepted.incident_id), batch, now, dry_run=False)
        events: deque[Event] = deque([AlertsReceived(batch=batch)])
        while events:
            now = datetime.now(UTC)
            state, actions = plan(state, events.popleft(), now, policy)
            await self._record(state, actions, now)
            for action in actions:
                match action:
                    case Target():
                        given = TargetInput(state=state, policy_hash=policy.hash)
                        events.append(await self._do("take_audience", given))
                    case Draft():
                        wish = DraftInput(state=state, draft=action, policy_hash=policy.hash)
                        events.append(await self._do("write_draft", wish))
                    case Broadcast():
                        await self._broadcast(self._spec(state, action))

    async def _do(self, name: str, given: object) -> Any:
        return await ActivityEnvironment().run(self._steps[name], given)

    async def _record(self, state: IncidentState, actions: list[Action], now: datetime) -> None:
        step = RecordInput(
            state=state,
            now=now,
            notes=tuple(a for a in actions if isinstance(a, Note)),
            promises=tuple(a for a in actions if isinstance(a, SettlePromise)),
            decisions=tuple(a for a in actions if isinstance(a, Decide)),
            broadcasts=tuple(self._spec(state, a) for a in actions if isinstance(a, Broadcast)),
            policy_hash=self._policy.hash,
        )
        await self._do("record_step", step)

    async def _broadcast(self, spec: BroadcastSpec) -> None:
        opened = await self._do("open_broadcast", spec)
        await asyncio.gather(
            *(
                self._do(
                    "deliver",
                    DeliverInput(broadcast_id=opened.broadcast_id, spec=spec, channel=channel),
                )
                for channel, counts in opened.counts.items()
                if not counts.settled
            )
        )
        done = SettleInput(broadcast_id=opened.broadcast_id, incident_id=spec.incident_id)
        await self._do("settle_broadcast", done)

    def _spec(self, state: IncidentState, action: Broadcast) -> BroadcastSpec:
        told = action.model_dump(exclude={"kind", "by"})
        return BroadcastSpec(
            incident_id=state.id,
            severity=state.severity,
            stage=state.stage,
            category=state.category,
            components=state.components,
            policy_hash=self._policy.hash,
            allowed_by=action.by,
            **told,
        )
