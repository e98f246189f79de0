"""The step that writes what the plan decided: projection, timeline, promises, decisions."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from pydantic import BaseModel, ConfigDict
from temporalio import activity
from temporalio.exceptions import ApplicationError

from domain.actions import Decide, Note, SettlePromise
from domain.cascade import TakeIn
from domain.errors import Refused
from domain.incident import IncidentState
from domain.policy import Policy
from domain.ports import (
    BroadcastSpec,
    Decision,
    IncidentRecords,
    Policies,
    PromiseChange,
    TimelineEntry,
)


class Words(Protocol):
    """Turns a timeline key and its figures into a sentence."""

    def line(self, key: str, data: dict[str, str], locale: str = "en") -> str: ...


class RecordInput(BaseModel):
    """One step of an incident: its new state and what to write beside it."""

    model_config = ConfigDict(frozen=True)

    state: IncidentState
    now: datetime
    notes: tuple[Note, ...] = ()
    promises: tuple[SettlePromise, ...] = ()
    decisions: tuple[Decide, ...] = ()
    broadcasts: tuple[BroadcastSpec, ...] = ()
    policy_hash: str = ""
    links: tuple[TakeIn, ...] = ()


class Recorded(BaseModel):
    """That a step is written; `desk` says whether staff have a chat that shows it to them.

    `linked` counts the incidents that were taken in with it: older workers know nothing of those.
    """

    model_config = ConfigDict(frozen=True)

    desk: bool
    linked: int = 0


class RecordActivities:
    """Writes the incident's story to PostgreSQL; a retried step changes nothing."""

    def __init__(
        self, records: IncidentRecords, policies: Policies, words: Words, desk: bool = False
    ) -> None:
        self._records = records
        self._policies = policies
        self._words = words
        self._recorded = Recorded(desk=desk)

    @activity.defn(name="load_policy")
    async def load_policy(self, policy_hash: str) -> Policy:
        """The policy that ruled when the incident opened."""
        return await self._policies.by_hash(policy_hash)

    @activity.defn(name="record_step")
    async def record_step(self, step: RecordInput) -> Recorded:
        """Write one step in one transaction; a run that is behind what is recorded ends."""
        timeline = [
            TimelineEntry(
                key=f"{step.state.steps}.{index}",
                at=step.now,
                kind=note.key,
                text=self._words.line(note.key, note.data),
                actor=note.actor,
                customer_visible=note.customer_visible,
                data=note.data,
            )
            for index, note in enumerate(step.notes)
        ]
        promises = [
            PromiseChange(
                number=p.promise.number,
                made_at=p.promise.made_at,
                due=p.promise.due,
                kept_at=p.kept_at,
                state=p.state,
            )
            for p in step.promises
        ]
        decisions = [
            Decision(
                version=d.version,
                state=d.state,
                decision=d.state,
                by=d.by,
                reason=d.reason,
                at=step.now,
            )
            for d in step.decisions
        ]
        try:
            await self._records.record(
                step.state, step.now, timeline, promises, decisions, step.broadcasts, step.links
            )
        except Refused as error:
            # Ends the run: a later one has taken this incident further.
            raise ApplicationError(str(error), type=error.kind, non_retryable=True) from error
        return self._recorded.model_copy(update={"linked": len(step.links)})
