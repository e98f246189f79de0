"""The steps of planned work: write its words, record where it stands."""

from __future__ import annotations

from typing import Protocol

from pydantic import BaseModel, ConfigDict
from temporalio import activity

from activities.draft import DraftWriter
from activities.record import RecordActivities, Recorded, RecordInput
from domain.events import Drafted
from domain.facts import audience_rule
from domain.incident import AudienceCount, Draft
from domain.maintenance import MaintenanceState
from domain.maintenance_facts import MaintenanceWords, maintenance_facts
from domain.maintenance_words import for_customers
from domain.message import CLOSING
from domain.policy import Policy
from domain.ports import Audiences, Clock, Policies


class MaintenanceRecords(Protocol):
    """Planned work beside its incident's row."""

    async def update(self, state: MaintenanceState) -> None:
        """Write where the work stands; again changes nothing."""
        ...

    async def words(self, id_: str, note_id: str | None) -> MaintenanceWords:
        """What humans wrote about it, and about this message. Raises NotFound."""
        ...


class MaintenanceDraftInput(BaseModel):
    model_config = ConfigDict(frozen=True)

    state: MaintenanceState
    draft: Draft
    policy_hash: str


class MaintenanceRecordInput(RecordInput):
    """One step of planned work: all of its new state."""

    state: MaintenanceState


class MaintenanceActivities:
    """Writes messages about planned work and its story; the same step again changes nothing."""

    def __init__(
        self,
        work: MaintenanceRecords,
        record: RecordActivities,
        audiences: Audiences,
        policies: Policies,
        writer: DraftWriter,
        public_url: str,
        clock: Clock,
    ) -> None:
        self._work = work
        self._record = record
        self._audiences = audiences
        self._policies = policies
        self._writer = writer
        self._public_url = public_url
        self._clock = clock

    @activity.defn(name="record_maintenance")
    async def record_maintenance(self, step: MaintenanceRecordInput) -> Recorded:
        """Write one step; a run that is behind what is recorded ends before it changes anything."""
        recorded = await self._record.record_step(step)
        await self._work.update(step.state)
        return recorded

    @activity.defn(name="write_maintenance_draft")
    async def write_maintenance_draft(self, request: MaintenanceDraftInput) -> Drafted:
        """Write a moment's texts for the audience as it is now."""
        state, draft = request.state, request.draft
        policy = await self._policies.by_hash(request.policy_hash)
        audience = await self._audience(state, draft, policy)
        words = for_customers(await self._work.words(state.id, draft.note_id), policy)
        facts = maintenance_facts(
            state, draft, audience, policy, words, self._public_url, self._clock()
        )
        saved = await self._writer.write(
            facts,
            audience_rule(state, policy),
            draft.channels,
            policy,
            f"draft-{draft.request}",
            supersede=not draft.holding,
        )
        return Drafted(
            request=draft.request,
            version=saved.version,
            moment=saved.moment,
            number=saved.number,
            hash=saved.hash,
            invalid=bool(saved.findings),
            audience=audience,
        )

    async def _audience(
        self, state: MaintenanceState, draft: Draft, policy: Policy
    ) -> AudienceCount:
        """The end goes to who was told; all else to who is affected by now, too."""
        if draft.moment in CLOSING:
            return state.audience
        rule, now, taken = audience_rule(state, policy), self._clock(), state.audience.audience_id
        if taken is not None and await self._audiences.is_fresh(taken, rule, now):
            return state.audience
        return await self._audiences.snapshot(state.id, rule, policy, now)
