"""The post-mortem from a real incident's rows: what is in it, what is not, what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.postmortem import PostMortemDraft, PostMortemInput, PublishInput
from adapters.db.drafts import DraftStore
from adapters.db.notes import Notes
from adapters.db.post_mortems import PostMortemStore
from domain.events import UpdatePosted
from domain.message import Channel, DraftVersion, Moment
from domain.policy import Policy
from domain.post_mortem import PreventionAction, Statement
from tests.activities.staff_world import INCIDENT, URL, Office, policy_with
from tests.adapters.chat.fake_slack import FakeSlack, fake_slack

STATEMENT = Statement(
    summary="Payments failed for twenty minutes.",
    cause="A change of ours had a fault.",
    fixed="We took the change back.",
    root_cause="Migration 42 locked db-primary-7.internal.",
    error_rate_percent=12.5,
    prevention=(
        PreventionAction(text="We test changes twice", visible=True),
        PreventionAction(text="Move db-primary-7.internal away", owner="Ada"),
    ),
)


@pytest.fixture
def api() -> Iterator[FakeSlack]:
    with fake_slack() as slack:
        yield slack


class Review:
    """An incident that is over, and its post-mortem's steps."""

    def __init__(self, office: Office) -> None:
        self.office = office
        self.store = PostMortemStore(office.engine)

    async def draft(self, attempt: int = 1) -> DraftVersion:
        given = PostMortemInput(
            state=self.office.state, policy_hash=self.office.policy.hash, public=True,
            attempt=attempt,
        )  # fmt: skip
        done: PostMortemDraft = await self.office._run("draft_post_mortem", given)
        return await DraftStore(self.office.engine).load(INCIDENT, done.version)

    async def publish(self, draft: DraftVersion, **changes: Any) -> PostMortemDraft:
        values: dict[str, Any] = {
            "incident_id": INCIDENT, "version": draft.version, "public": True, "by": "Bob",
            "policy_hash": self.office.policy.hash,
        }  # fmt: skip
        done: PostMortemDraft = await self.office._run(
            "publish_post_mortem", PublishInput(**(values | changes))
        )
        return done

    async def internal(self) -> str:
        document = await self.store.document(INCIDENT)
        assert document is not None
        return document.internal_markdown

    async def posted(self, words: str) -> None:
        """A human tells customers something, and it goes out."""
        note = await Notes(self.office.engine).save(INCIDENT, words, "Ada", self.office.now)
        await self.office.tell(UpdatePosted(by="Ada", note_id=note))


@pytest.fixture
async def review(engine: AsyncEngine, policy: Policy, now: datetime, api: FakeSlack) -> Review:
    two = policy_with(policy).model_copy(update={"locales": ("en", "de")})
    office = Office(engine, two, now, api)
    await office.customers(3)
    await office.open("db-primary-7.internal: payments fail")
    await office.decide()
    office.now += timedelta(minutes=20)
    assert office.state is not None
    office.state = office.state.model_copy(update={"resolved_at": office.now})
    return Review(office)


def broken(draft: DraftVersion) -> list[str]:
    """The rules that customers' texts break."""
    return [f"{f.rule} {f.where}" for f in draft.findings if not f.where.startswith("internal/")]


def told(draft: DraftVersion) -> str:
    return "\n".join(part for t in draft.texts for part in (t.subject, t.text, t.html) if part)


async def test_the_report_says_what_was_stated_and_nothing_internal(review: Review) -> None:
    await review.store.state(INCIDENT, STATEMENT, "Ada", review.office.now)
    draft = await review.draft()
    assert draft.moment is Moment.POST_MORTEM and not broken(draft)
    mail = next(t for t in draft.texts if (t.channel, t.locale) == (Channel.EMAIL, "en"))
    for part in (
        "Payments failed for twenty minutes.", "A change of ours had a fault.", "12.5%",
        "We took the change back.", "We test changes twice.", "[[link:report]]",
        "[[time:impact_start]]", "[[time:restored_at]]", "20 minutes",
    ):  # fmt: skip
        assert part in mail.text, part
    assert "db-primary-7" not in told(draft) and "Migration 42" not in told(draft)
    assert "Ada" not in told(draft)
    assert draft.facts.links["report"] == f"{URL}/incidents/{INCIDENT}/report"


async def test_the_internal_document_is_complete(review: Review) -> None:
    await review.store.state(INCIDENT, STATEMENT, "Ada", review.office.now)
    await review.draft()
    internal = await review.internal()
    assert "Migration 42 locked db-primary-7.internal." in internal
    assert "- Move db-primary-7.internal away (Ada)" in internal
    assert "## Timeline" in internal and "Customer impact confirmed" in internal
    assert "*Open: what failed" not in internal


async def test_without_a_statement_the_report_is_shorter_and_the_gaps_stay_internal(
    review: Review,
) -> None:
    draft = await review.draft()
    assert not broken(draft)
    assert "Open:" not in told(draft) and "None" not in told(draft)
    assert "What happened:" not in told(draft) and "Resolution:" not in told(draft)
    assert "*Open: what failed, and why it could.*" in await review.internal()


async def test_a_visible_entry_with_something_sensitive_is_left_out(review: Review) -> None:
    """What a human told customers is on the visible timeline, and would stand in the report."""
    await review.posted("We are on it.\n\nWe restart db-primary-7.internal now.")
    draft = await review.draft()
    assert "We are on it." in told(draft) and "db-primary-7" not in told(draft)


async def test_another_customers_name_is_left_out(review: Review) -> None:
    await review.posted("Company 2 told us first.\n\nThank you for your patience.")
    draft = await review.draft()
    assert "Company 2" not in told(draft) and "Thank you for your patience." in told(draft)


@pytest.mark.parametrize(
    "words",
    ["We restarted db-primary-7.internal.", "Company 1 was hit first.", "password=hunter22",
     "Closed as OPS-1234."],
)  # fmt: skip
async def test_a_report_with_something_sensitive_is_never_published(
    review: Review, words: str
) -> None:
    """Whoever approved it, and however it came into the text."""
    draft = await review.draft()
    async with review.office.engine.begin() as conn:
        await conn.execute(
            text("UPDATE draft_texts SET text = text || :w WHERE version = :v AND channel = :c"),
            {"w": f"\n\n{words}", "v": draft.version, "c": "status_page"},
        )
    answer = await review.publish(draft)
    assert answer.invalid
    document = await review.store.document(INCIDENT)
    assert document is not None and document.state == "drafted" and document.published_at is None
    internally = await review.publish(draft, public=False)
    assert not internally.invalid, "colleagues may read it"


async def test_a_clean_report_is_published_once(review: Review) -> None:
    draft = await review.draft()
    for _ in range(2):
        assert not (await review.publish(draft)).invalid
    document = await review.store.document(INCIDENT)
    assert document is not None and document.state == "published"
    assert document.published_by == "Bob"
    async with review.office.engine.connect() as conn:
        entries = await conn.scalar(
            text("SELECT count(*) FROM audit_log WHERE kind = 'post_mortem'")
        )
    assert entries == 1


async def test_a_rejected_draft_is_written_again_with_what_was_stated_since(
    review: Review,
) -> None:
    first = await review.draft()
    await review.store.state(INCIDENT, STATEMENT, "Ada", review.office.now)
    second = await review.draft(attempt=2)
    assert second.version > first.version
    assert "We test changes twice." in told(second) and "We test" not in told(first)


async def test_the_parts_of_the_story_come_from_the_timeline(review: Review) -> None:
    async with review.office.engine.begin() as conn:
        await conn.execute(
            text(
                "INSERT INTO timeline (incident_id, key, at, kind, text, actor, data,"
                " customer_visible) VALUES (:i, 'k', :at, 'broadcast_started', 't', 'a',"
                ' \'{"moment": "partial_recovery"}\', true)'
            ),
            {"i": INCIDENT, "at": review.office.now},
        )
    facts = (await review.draft()).facts
    assert facts.times["partial_recovery_at"] == review.office.now
    assert {"impact_start", "announced_at", "restored_at", "published_at"} <= set(facts.times)
