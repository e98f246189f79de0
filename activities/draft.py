"""The step that writes the words of a moment and checks them before anybody sees them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Protocol

from pydantic import BaseModel, ConfigDict
from temporalio import activity

from domain.edits import distinct_lines
from domain.events import Drafted
from domain.facts import (
    audience_rule,
    build_facts,
    draft_hash,
    promise_is_literal,
    rule_text,
    story,
)
from domain.incident import AudienceCount, Draft, IncidentState
from domain.message import CLOSING, Channel, DraftText, DraftVersion, Facts, Finding, Moment
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

# The findings of a version; the last are names of customers that stand in it.
Validate = Callable[[DraftVersion, Policy, Sequence[str]], Sequence[Finding]]
# The names of customers that occur in a text.
CustomersNamed = Callable[[str], Awaitable[Sequence[str]]]
# What the facts hold of the incident itself under this key is no sentence of a human.
_STAGE = "previous_stage"


class DraftInput(BaseModel):
    model_config = ConfigDict(frozen=True)

    state: IncidentState
    draft: Draft
    policy_hash: str


class ModelUsage(Protocol):
    """Tokens of a call as the provider counts them."""

    @property
    def read(self) -> int: ...

    @property
    def written(self) -> int: ...


class ModelCall(Protocol):
    """One question to a model; `failure` is unreachable, transient or permanent."""

    @property
    def seconds(self) -> float: ...

    @property
    def usage(self) -> ModelUsage | None: ...

    @property
    def failure(self) -> str | None: ...


class ModelWriting(Protocol):
    """How a draft went: `written` with its texts, or the reason for which there are none."""

    @property
    def outcome(self) -> str: ...

    @property
    def texts(self) -> tuple[DraftText, ...] | None: ...

    @property
    def calls(self) -> Sequence[ModelCall]: ...


class ModelDrafter(Protocol):
    """A model that may write better than the templates. Never raises, ends by itself in time."""

    name: str

    async def write(
        self, request: DraftRequest, policy: Policy, base: Sequence[DraftText], key: str
    ) -> ModelWriting | None:
        """Texts in place of `base`, the templates'; None for what a model does not write."""
        ...


class DraftWriter:
    """Facts in, one validated and stored version out.

    With a `model` its texts replace the templates' where they pass every check in time. Templates
    name no customers: `named` is asked of what a human or a model wrote only.
    """

    def __init__(
        self,
        drafts: Drafts,
        drafter: Drafter,
        validate: Validate,
        clock: Clock,
        model: ModelDrafter | None = None,
        named: CustomersNamed | None = None,
    ) -> None:
        self._named = named
        self._drafts = drafts
        self._drafter = drafter
        self._validate = validate
        self._clock = clock
        self._model = model

    async def write(
        self,
        facts: Facts,
        rule: AudienceRule,
        channels: tuple[Channel, ...],
        policy: Policy,
        request: str,
        *,
        supersede: bool,
        personal: tuple[str, ...] | None = None,
    ) -> DraftVersion:
        """Write the texts of a moment; the same `request` returns the same version.

        Those of fallback channels are written, checked and approved with the others. `personal`
        are the languages of those who are written to one by one; None means all.
        """
        asked = DraftRequest(
            facts=facts,
            channels=(*channels, *policy.delivery.fallbacks(channels)),
            locales=policy.locales,
            personal=personal,
        )
        texts, author = await self._drafter.write(asked, policy), self._drafter.name
        if self._model is not None:
            writing = await self._model.write(asked, policy, texts, request)
            if writing is not None:
                _count(self._model.name, writing)
            if writing is not None and writing.texts is not None:
                texts, author = writing.texts, self._model.name
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
            author=author,
            created_at=self._clock(),
        )
        others = await self._others(draft, by_template=author == self._drafter.name)
        findings = tuple(self._validate(draft, policy, others))
        checked = draft.model_copy(update={"findings": findings})
        return await self._drafts.save(checked, request, supersede=supersede)

    async def _others(self, draft: DraftVersion, *, by_template: bool) -> Sequence[str]:
        """Names of customers in what no template wrote; the search reads every account."""
        written = [note for key, note in draft.facts.notes.items() if key != _STAGE]
        if not by_template:
            written.append(distinct_lines(draft.texts))
        text = "\n".join(written).strip()
        return await self._named(text) if self._named is not None and text else ()


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
        notes = {key: await self._records.note(note) for key, note in state.stated.items()}
        if draft.note_id is not None:
            notes["message"] = await self._records.note(draft.note_id)
        if state.told_stage is not None:
            notes["previous_stage"] = state.told_stage.value
        if draft.form is not None:
            notes["form"] = draft.form
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
            story=story(state, draft.moment, self._clock(), draft.promised),
        )
        saved = await self._writer.write(
            facts,
            audience_rule(state, policy),
            draft.channels,
            policy,
            f"draft-{draft.request}",
            supersede=not (draft.holding or draft.beside),
            personal=audience.locales,
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


def _count(provider: str, writing: ModelWriting) -> None:
    """Show at the worker's Prometheus address what a model did; nothing outside an activity.

    Calls and errors are counted as those of other providers, `forewarn_model_drafts_total` by
    outcome and `forewarn_model_tokens_total` by direction.
    """
    if not activity.in_activity():
        return
    meter = activity.metric_meter().with_additional_attributes({"provider": provider})
    drafts = meter.create_counter("forewarn_model_drafts", "Drafts asked of a model.")
    drafts.add(1, {"outcome": writing.outcome})
    tokens = meter.create_counter("forewarn_model_tokens", "Tokens that drafts cost.")
    errors = meter.create_counter("forewarn_provider_errors", "Failed calls of a provider.")
    calls = meter.create_histogram_timedelta(
        "forewarn_provider_call", "Duration of a provider's calls.", "s"
    )
    for call in writing.calls:
        calls.record(timedelta(seconds=call.seconds), {"channel": "drafting"})
        if call.failure is not None:
            errors.add(1, {"channel": "drafting", "kind": call.failure})
        if call.usage is not None:
            tokens.add(call.usage.read, {"direction": "read"})
            tokens.add(call.usage.written, {"direction": "written"})
