"""The steps of a post-mortem: written from the timeline, published after review."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

from pydantic import BaseModel, ConfigDict
from temporalio import activity

from activities.draft import DraftWriter
from domain.edits import distinct_lines
from domain.facts import audience_rule, build_facts
from domain.incident import IncidentState, Stage
from domain.message import DraftVersion, Facts, Finding, Moment
from domain.policy import Policy
from domain.ports import ChannelCounts, Clock, Drafts, Policies, TimelineEntry
from domain.post_mortem import Statement, nudges, redacted, unpublishable


class Story(Protocol):
    """What the post-mortem is written from, and where its documents are kept."""

    async def timeline(self, incident_id: str) -> Sequence[TimelineEntry]: ...

    async def delivery_counts(self, incident_id: str) -> Mapping[str, ChannelCounts]: ...

    async def notes(self, incident_id: str) -> Sequence[str]:
        """The humans' words for customers, oldest first."""
        ...

    async def statement(self, incident_id: str) -> Statement:
        """What a human stated for the post-mortem; empty where nobody has yet."""
        ...

    async def customers_named(self, text: str) -> Sequence[str]:
        """Names of customers that occur in a text."""
        ...

    async def save_internal(
        self, incident_id: str, public: bool, due: datetime | None, markdown: str, version: int
    ) -> None: ...

    async def finish(
        self, incident_id: str, state: str, version: int, by: str, at: datetime
    ) -> None:
        """Mark it published or completed; the same again changes nothing."""
        ...


def milestones(timeline: Sequence[TimelineEntry]) -> dict[str, datetime]:
    """When customers first heard, when the cause was found, when the repair was in, by fact key."""
    found: dict[str, datetime] = {}
    for entry in timeline:
        if entry.kind == "broadcast_started" and entry.customer_visible:
            found.setdefault("announced_at", entry.at)
            if entry.data.get("moment") == Moment.PARTIAL_RECOVERY:
                found.setdefault("partial_recovery_at", entry.at)
        elif entry.kind == "stage_changed" and entry.data.get("stage") == Stage.IDENTIFIED:
            found["identified_at"] = entry.at
        elif entry.kind == "stage_changed" and entry.data.get("stage") == Stage.MONITORING:
            found["mitigated_at"] = entry.at
    return found


class RenderInternal(Protocol):
    """Writes the internal document."""

    def __call__(
        self,
        facts: Facts,
        timeline: Sequence[TimelineEntry],
        counts: Mapping[str, ChannelCounts],
        policy: Policy,
    ) -> str: ...


class PostMortemInput(BaseModel):
    """Which incident, and which attempt at its draft (a rejected one is written again)."""

    model_config = ConfigDict(frozen=True)

    state: IncidentState
    policy_hash: str
    public: bool
    attempt: int = 1


class PostMortemDraft(BaseModel):
    """A written version; `nudges` are the instants at which somebody is asked to finish it."""

    model_config = ConfigDict(frozen=True)

    version: int
    hash: str
    invalid: bool
    nudges: tuple[datetime, ...] = ()


class PublishInput(BaseModel):
    """The reviewed version; `policy_hash` is empty where an earlier release asked."""

    model_config = ConfigDict(frozen=True)

    incident_id: str
    version: int
    public: bool
    by: str
    policy_hash: str = ""


class PostMortemActivities:
    """Drafts the internal document and the customers' report, and marks the reviewed one."""

    def __init__(
        self,
        story: Story,
        policies: Policies,
        drafts: Drafts,
        writer: DraftWriter,
        render_internal: RenderInternal,
        public_url: str,
        clock: Clock,
    ) -> None:
        self._story = story
        self._policies = policies
        self._drafts = drafts
        self._writer = writer
        self._render_internal = render_internal
        self._public_url = public_url
        self._clock = clock

    @activity.defn(name="draft_post_mortem")
    async def draft_post_mortem(self, request: PostMortemInput) -> PostMortemDraft:
        """Write both documents; what reviewers approve is the draft version's text."""
        state = request.state
        policy = await self._policies.by_hash(request.policy_hash)
        timeline = await self._story.timeline(state.id)
        statement = await self._story.statement(state.id)
        facts = build_facts(
            state,
            Moment.POST_MORTEM,
            1,
            state.audience,
            policy,
            statement.for_customers() | await self._told(state.id, policy),
            self._public_url,
            stage="resolved",
            story=milestones(timeline) | {"published_at": self._clock()},
        )
        facts = _with_report(facts, statement)
        counts = await self._story.delivery_counts(state.id)
        complete = facts.model_copy(update={"notes": facts.notes | statement.for_colleagues()})
        internal = self._render_internal(complete, timeline, counts, policy)
        saved = await self._writer.write(
            facts,
            audience_rule(state, policy),
            policy.channels(state.severity, Moment.POST_MORTEM),
            policy,
            f"post-mortem-{request.attempt}",
            supersede=False,
        )
        await self._story.save_internal(
            state.id, request.public, state.post_mortem_due, internal, saved.version
        )
        duty = policy.severities[state.severity].post_mortem
        return PostMortemDraft(
            version=saved.version,
            hash=saved.hash,
            invalid=bool(saved.findings),
            nudges=nudges(state.post_mortem_due, duty.remind_before, duty.escalate_every),
        )

    @activity.defn(name="publish_post_mortem")
    async def publish_post_mortem(self, request: PublishInput) -> PostMortemDraft:
        """Mark the approved version published (or completed, when internal).

        A report with something sensitive in it is not published: the answer is then `invalid`.
        """
        draft = await self._drafts.load(request.incident_id, request.version)
        answer = PostMortemDraft(version=draft.version, hash=draft.hash, invalid=False)
        if request.public and request.policy_hash:
            found = await self._sensitive(draft, request.policy_hash)
            if found:
                rules = ", ".join(sorted({f"{f.rule} in {f.where}" for f in found}))
                activity.logger.warning("post-mortem not published: %s", rules)
                return answer.model_copy(update={"invalid": True})
        done = "published" if request.public else "completed"
        await self._story.finish(
            request.incident_id, done, request.version, request.by, self._clock()
        )
        return answer

    async def _told(self, incident_id: str, policy: Policy) -> dict[str, str]:
        """What customers were told at the time, without paragraphs that hold anything sensitive."""
        notes = await self._story.notes(incident_id)
        named = await self._story.customers_named("\n".join(notes)) if notes else ()
        kept, left_out = redacted(notes, policy, named)
        for finding in left_out:
            activity.logger.info("left out of the report: %s, %s", finding.where, finding.rule)
        return {"message": "\n\n".join(kept)} if kept else {}

    async def _sensitive(self, draft: DraftVersion, policy_hash: str) -> tuple[Finding, ...]:
        policy = await self._policies.by_hash(policy_hash)
        named = await self._story.customers_named(distinct_lines(draft.texts))
        return unpublishable(draft, policy, named)


def _with_report(facts: Facts, statement: Statement) -> Facts:
    """The facts with the way to the report's own page, and the figures that a human stated."""
    links = facts.links | {"report": f"{facts.links['incident']}/report"}
    numbers = dict(facts.numbers)
    if statement.error_rate_percent is not None:
        numbers["error_rate_percent"] = statement.error_rate_percent
    return facts.model_copy(update={"links": links, "numbers": numbers})
