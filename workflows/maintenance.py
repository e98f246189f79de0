"""Planned work, from its scheduling to its end: a thin shell around `domain.plan_maintenance`.

Phases: scheduled and targeted → notice drafted, approved, sent → reminders → begun → asked whether
it overruns → told to go on, or over → everybody who was told hears the end. It shares drafts,
approvals, broadcasts and the ledger with incidents, being a row of theirs (`domain.maintenance`).
"""

from __future__ import annotations

import asyncio
from datetime import datetime

from temporalio import workflow

from activities.maintenance import MaintenanceDraftInput, MaintenanceRecordInput
from activities.record import Recorded
from domain.actions import Action, Broadcast, Decide, Note, SettlePromise, Target, TellStaff
from domain.events import Decided, Drafted, Edited, PolicyAdopted
from domain.incident import Draft
from domain.maintenance import Event, MaintenanceState, Objected, Scheduled
from domain.maintenance_refusals import maintenance_refusal
from domain.plan_maintenance import plan_maintenance
from domain.resume import RecordsLost, mend_maintenance, resume
from workflows import children, names, options
from workflows.maintenance_commands import MaintenanceCommands
from workflows.maintenance_messages import MaintenanceStart, MaintenanceStatus
from workflows.running import Queued


@workflow.defn(name=names.MAINTENANCE)
class Maintenance(MaintenanceCommands):
    @workflow.init
    def __init__(self, start: MaintenanceStart) -> None:
        super().__init__(start.lines, start.broadcasting)
        self._start = start
        self._state = start.state
        if start.state.steps == 0:
            self._queue.append(Queued(Scheduled(by=start.by)))
        self._queue.extend(Queued(event) for event in start.queue)

    @workflow.run
    async def run(self, start: MaintenanceStart) -> MaintenanceStatus:
        self._policy = start.policy or await self._fetch_policy(start.policy_hash)
        self._view.show(self._state)
        try:
            if start.restored and start.state.steps:
                await self._resume()
            await self._live()
        except asyncio.CancelledError:
            await self._note_cancellation()
            raise
        await workflow.wait_condition(workflow.all_handlers_finished)
        return self.status()

    async def _live(self) -> None:
        """Take events one by one until it is over and everything sent is counted."""
        while not self._finished():
            self._arm_timer()
            await workflow.wait_condition(
                lambda: bool(self._queue) or self._finished() or self._grown_long()
            )
            if self._grown_long() and self._portable():
                self._continue_as_new()
            elif self._queue:
                await self._process(self._queue.popleft())
            elif not self._finished():
                await workflow.wait_condition(workflow.all_handlers_finished)

    # ------------------------------------------------------------ messages

    @workflow.signal(name="objected")
    def objected(self, objection: Objected) -> None:
        self._queue.append(Queued(objection))

    @workflow.query(name="state")
    def state(self) -> MaintenanceState:
        """All that this run knows: `reconcile` compares it with PostgreSQL."""
        return self._state

    @workflow.query(name="status")
    def status(self) -> MaintenanceStatus:
        state = self._state
        return MaintenanceStatus(
            maintenance_id=state.id,
            stage=state.stage,
            components=state.components,
            regions=state.regions,
            starts_at=state.starts_at,
            ends_at=state.ends_at,
            audience_accounts=state.audience.accounts,
            audience_recipients=state.audience.recipients,
            dry_run=state.dry_run,
            broadcasts=state.broadcasts,
        )

    # ------------------------------------------------------------ events → plan → actions

    async def _process(self, queued: Queued) -> None:
        """One step: plan, record it, then carry it out, so that nothing is sent unrecorded."""
        event: Event | RecordsLost = queued.event
        now = workflow.now()
        if isinstance(event, PolicyAdopted):
            await self._adopt(queued, event)
        elif isinstance(event, RecordsLost):
            self._state, actions = mend_maintenance(self._state, event, now, self._policy)
            await self._take_step(actions, now)
        else:
            queued.refused = maintenance_refusal(self._state, event, now)
            # A decision that came too late stands on the timeline, by whatever way it came.
            if queued.refused is None or isinstance(event, Decided | Edited):
                await self._plan(event, now)
        queued.done = True

    async def _plan(self, event: Event, now: datetime) -> None:
        self._state, actions = plan_maintenance(self._state, event, now, self._policy)
        await self._take_step(actions, now)

    async def _resume(self) -> None:
        """The first step after the run before was lost: ask again for what it waited for."""
        now = workflow.now()
        state, actions = resume(self._state, now, self._policy)
        assert isinstance(state, MaintenanceState)  # it copies what it is given
        self._state = state
        await self._take_step(actions, now)

    async def _take_step(self, actions: list[Action], now: datetime) -> None:
        await self._record(actions, now)
        for action in actions:
            await self._carry_out(action)
        self._view.show(self._state)

    async def _record(self, actions: list[Action], now: datetime) -> None:
        notes = tuple(a for a in actions if isinstance(a, Note))
        self._remember_lines(notes, now)
        recorded: Recorded = await workflow.execute_activity(
            "record_maintenance",
            MaintenanceRecordInput(
                state=self._state,
                now=now,
                notes=notes,
                promises=tuple(a for a in actions if isinstance(a, SettlePromise)),
                decisions=tuple(a for a in actions if isinstance(a, Decide)),
                broadcasts=tuple(
                    children.spec_of(self._state, a, self._start.policy_hash)
                    for a in actions
                    if isinstance(a, Broadcast)
                ),
                policy_hash=self._start.policy_hash,
            ),
            result_type=Recorded,
            **options.PROJECTION,
            summary="Record: " + (", ".join(n.key for n in notes) or "state"),
        )
        self._desk = recorded.desk

    async def _carry_out(self, action: Action) -> None:
        match action:
            case Target():
                self._spawn(self._take_audience(self._start.policy_hash))
            case Draft():
                self._spawn(self._draft(action))
            case Broadcast():
                self._broadcasting.add(action.n)
                await children.broadcast(
                    children.spec_of(self._state, action, self._start.policy_hash)
                )
            case TellStaff():
                if self._desk:
                    self._tell_staff()
            case _:
                pass  # written by `_record`; closing ends the loop in `run`

    async def _draft(self, draft: Draft) -> None:
        """Write and validate the texts of a moment."""
        drafted = await workflow.execute_activity(
            "write_maintenance_draft",
            MaintenanceDraftInput(
                state=self._state, draft=draft, policy_hash=self._start.policy_hash
            ),
            task_queue=names.QUEUE_DRAFTING,
            result_type=Drafted,
            **options.DRAFTING,
            summary=f"Draft {draft.moment}" + (" (fixed words)" if draft.holding else ""),
        )
        self._queue.append(Queued(drafted))
