"""The step that writes the words of a moment and checks them before anybody sees them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pydantic import BaseModel, ConfigDict
from temporalio import activity

from domain.facts import audience_rule, build_facts, draft_hash, promise_is_literal, rule_text
from domain.incident import AudienceCount, Draft, Drafted, IncidentState
from domain.message import CLOSING, Channel, DraftVersion, Facts, Finding, Moment
from domain.policy import Policy
from domain.ports import (
    AudienceRule,
    Audiences,
    Clock,
    Drafter,
    DraftRequest,
    Drafts,
    IncidentRecords,
    Policies,
)

Validate = Callable[[DraftVersion, Policy], Sequence[Finding]]


class DraftInput(BaseModel):
    model_config = ConfigDict(frozen=True)

    state: IncidentState
    draft: Draft
    policy_hash: str


class DraftWriter:
    """Facts in, one validated and stored version out."""

    def __init__(self, drafts: Drafts, drafter: Drafter, validate: Validate, clock: Clock) -> None:
        self._drafts = drafts
        self._drafter = drafter
        self._validate = validate
        self._clock = clock

    async def write(
        self,
        facts: Facts,
        rule: AudienceRule,
        channels: tuple[Channel, ...],
        policy: Policy,
        request: str,
        *,
        supersede: bool,
    ) -> DraftVersion:
        """Write the texts of a moment; the same `request` returns the same version."""
        texts = await self._drafter.write(
            DraftRequest(facts=facts, channels=channels, locales=policy.locales), policy
        )
        named = rule_text(rule)
        draft = DraftVersion(
            incident_id=facts.incident_id,
            version=0,
            moment=facts.moment,
            number=facts.number,
            texts=texts,
            facts=facts,
            audience_rule=named,
            hash=draft_hash(texts, named),
            author=self._drafter.name,
            created_at=self._clock(),
        )
        checked = draft.model_copy(update={"findings": tuple(self._validate(draft, policy))})
        return await self._drafts.save(checked, request, supersede=supersede)


class DraftActivities:
    """Facts in, one validated draft version out; the same request returns the same version."""

    def __init__(
        self,
        records: IncidentRecords,
        audiences: Audiences,
        policies: Policies,
        writer: DraftWriter,
        public_url: str,
        clock: Clock,
    ) -> None:
        self._records = records
        self._audiences = audiences
        self._policies = policies
        self._writer = writer
        self._public_url = public_url
        self._clock = clock

    @activity.defn(name="write_draft")
    async def write_draft(self, request: DraftInput) -> Drafted:
        """Write a moment's texts for the audience as it is now."""
        state, draft = request.state, request.draft
        policy = await self._policies.by_hash(request.policy_hash)
        audience = await self._audience(state, draft.moment, draft.holding, policy)
        notes = {}
        if draft.note_id is not None:
            notes["message"] = await self._records.note(draft.note_id)
        if state.told_stage is not None:
            notes["previous_stage"] = state.told_stage.value
        facts = build_facts(
            state,
            draft.moment,
            draft.number,
            audience,
            policy,
            notes,
            self._public_url,
            stage=draft.stage,
            holding=draft.holding,
            next_update_at=draft.next_update_at,
            story={"promised": draft.promised} if draft.promised else None,
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
            next_update_at=draft.next_update_at,
            audience=audience,
            promise_is_literal=promise_is_literal(saved.texts, draft.next_update_at),
        )

    async def _audience(
        self, state: IncidentState, moment: Moment, holding: bool, policy: Policy
    ) -> AudienceCount:
        """Closings and holding lines go to who was told; all else to who is affected by now."""
        if moment in CLOSING or holding:
            return state.audience
        rule, now, taken = audience_rule(state, policy), self._clock(), state.audience.audience_id
        if taken is not None and await self._audiences.is_fresh(taken, rule, now):
            return state.audience
        return await self._audiences.snapshot(state.id, rule, policy, now)
