from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import insert, select, text
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.db.audiences import AudienceStore
from adapters.db.models import (
    AccountRow,
    AudienceExclusionRow,
    AudienceMemberRow,
    AudienceRow,
    ContactRow,
    ImportRow,
    IncidentRow,
    SuppressionRow,
)
from domain.errors import BadInput, NotFound
from domain.policy import Policy
from domain.ports import AudienceRule

PAYMENTS = AudienceRule(components=("payments",), regions=())
IN_EU = AudienceRule(components=("payments",), regions=("eu",))
INCIDENT = "inc_test"
Add = Callable[..., Awaitable[None]]


@pytest.fixture
async def store(engine: AsyncEngine, now: datetime) -> AudienceStore:
    """The store, with an incident to save snapshots for."""
    values: dict[str, Any] = {"id": INCIDENT, "components": [], "regions": [], "dry_run": False}
    words = ("title", "severity", "stage", "category", "policy_hash", "correlation_id")
    times = ("started_at", "opened_at", "last_alert_at", "updated_at")
    values |= dict.fromkeys(words, "x") | dict.fromkeys(times, now)
    async with engine.begin() as connection:
        await connection.execute(insert(IncidentRow).values(values))
    return AudienceStore(engine)


@pytest.fixture
def add(engine: AsyncEngine, now: datetime) -> Add:
    """Adds an account with one contact, whose id is `c-` and the account's."""

    async def _add(account: str, *features: str, contacts: int = 1, **other: Any) -> None:
        values = {"id": account, "features": list(features), "activity": {}, "regimes": []}
        people = [
            {
                "id": f"c-{account}" + (f"-{index}" if index else ""), "account_id": account,
                "email": f"{account}{index}@example.com", "locale": "en", "timezone": "UTC",
                "channels": ["email", "in_app"], "imported_at": now,
            }
            for index in range(contacts)
        ]  # fmt: skip
        async with engine.begin() as connection:
            await connection.execute(
                insert(AccountRow).values(values | {"imported_at": now} | other)
            )
            if people:
                await connection.execute(insert(ContactRow).values(people))

    return _add


async def members(engine: AsyncEngine, audience_id: str | None) -> dict[str, str]:
    table = AudienceMemberRow
    statement = select(table.account_id, table.reason).where(table.audience_id == audience_id)
    async with engine.connect() as connection:
        return {row.account_id: row.reason for row in await connection.execute(statement)}


async def exclusions(engine: AsyncEngine, audience_id: str | None) -> dict[str, str]:
    table = AudienceExclusionRow
    statement = select(table.account_id, table.reason).where(table.audience_id == audience_id)
    async with engine.connect() as connection:
        return {row.account_id: row.reason for row in await connection.execute(statement)}


def with_choices(policy: Policy, **choices: Any) -> Policy:
    return policy.model_copy(update={"audience": policy.audience.model_copy(update=choices)})


async def test_features_decide_who_is_affected(
    store: AudienceStore, engine: AsyncEngine, add: Add, policy: Policy, now: datetime
) -> None:
    await add("direct", "rest-api", "dashboard")
    await add("parent-only", "api")
    await add("parent-and-sibling", "api", "webhooks")
    await add("nothing-listed")
    await add("other", "payments")
    await add("gone", "rest-api", active=False)
    rule = AudienceRule(components=("rest-api",), regions=())
    count = await store.snapshot(INCIDENT, rule, policy, now)
    assert await members(engine, count.audience_id) == {
        "direct": "uses rest-api",
        "parent-only": "uses a product that contains it",
        "nothing-listed": "features unknown, counted as a user",
    }
    assert await exclusions(engine, count.audience_id) == {}
    assert (count.accounts, count.recipients, count.active_accounts) == (3, 3, 3)
    assert count.share_of_customers == pytest.approx(3 / 5)


async def test_children_and_hidden_components_reach_who_feels_them(
    store: AudienceStore, engine: AsyncEngine, add: Add, policy: Policy, now: datetime
) -> None:
    await add("child", "dashboard")
    await add("feels-it", "graphql-api")
    tree = await store.snapshot(
        INCIDENT, AudienceRule(components=("web-application",), regions=()), policy, now
    )
    assert set(await members(engine, tree.audience_id)) == {"child"}
    hidden = await store.preview(AudienceRule(components=("database",), regions=()), policy, now)
    assert hidden.reasons == {"uses graphql-api": 1}


async def test_no_known_component_means_nobody(
    store: AudienceStore, add: Add, policy: Policy, now: datetime
) -> None:
    await add("nothing-listed")
    for components in ((), ("unheard-of",)):
        rule = AudienceRule(components=components, regions=())
        count = await store.snapshot(INCIDENT, rule, policy, now)
        assert (count.recipients, count.active_accounts, count.share) == (0, 0, None)


async def test_a_region_narrows_and_the_share_is_of_the_component(
    store: AudienceStore, engine: AsyncEngine, add: Add, policy: Policy, now: datetime
) -> None:
    await add("in", "payments", region="eu")
    await add("out", "payments", region="us")
    await add("unknown", "payments")
    await add("elsewhere", "webhooks", region="eu")
    included = await store.snapshot(INCIDENT, IN_EU, policy, now)
    assert await members(engine, included.audience_id) == {
        "in": "uses payments in eu",
        "unknown": "uses payments, region unknown",
    }
    assert await exclusions(engine, included.audience_id) == {"out": "region us"}
    assert included.share == pytest.approx(2 / 3)
    assert included.share_of_customers == pytest.approx(2 / 4)
    strict = await store.preview(IN_EU, with_choices(policy, unknown_region="exclude"), now)
    assert strict.exclusions == {"region unknown": 1, "region us": 1}
    # Nothing tells affected users from others when no region does: not 100 %, but unknown.
    assert (await store.snapshot(INCIDENT, PAYMENTS, policy, now)).share is None


async def test_plans_activity_and_missing_contacts_are_exclusions_with_reasons(
    store: AudienceStore, add: Add, policy: Policy, now: datetime
) -> None:
    recent, old = (now - timedelta(hours=1)).isoformat(), (now - timedelta(days=9)).isoformat()
    await add("recent", "payments", activity={"payments": recent, "dashboard": old})
    await add("old", "payments", activity={"payments": old, "dashboard": recent})
    await add("old-account", "payments", last_active_at=now - timedelta(days=9))
    await add("never-seen", "payments")
    await add("free", "payments", plan="free", last_active_at=now)
    await add("nobody", "payments", contacts=0, last_active_at=now)
    choice = {"active_within": timedelta(days=2), "exclude_plans": ("free",)}
    kind = await store.preview(PAYMENTS, with_choices(policy, **choice), now)
    assert kind.exclusions == {"not active lately": 2, "no contact": 1, "plan free": 1}
    assert (kind.accounts, kind.active_accounts) == (2, 4)
    assert kind.choices["active_within"] == "2d"
    choice["unknown_activity"] = "exclude"
    strict = await store.preview(PAYMENTS, with_choices(policy, **choice), now)
    assert strict.exclusions["activity unknown"] == 1
    assert strict.accounts == 1


async def test_the_same_rule_grows_and_never_removes(
    store: AudienceStore, engine: AsyncEngine, add: Add, policy: Policy, now: datetime
) -> None:
    await add("first", "payments", region="eu")
    await add("second", "payments", region="us")
    before = await store.snapshot(INCIDENT, IN_EU, policy, now)
    async with engine.begin() as connection:
        await connection.execute(text("UPDATE accounts SET region = 'us' WHERE id = 'first'"))
        await connection.execute(text("UPDATE accounts SET region = 'eu' WHERE id = 'second'"))
    after = await store.snapshot(INCIDENT, IN_EU, policy, now)
    assert after.audience_id == before.audience_id
    assert set(await members(engine, after.audience_id)) == {"first", "second"}
    assert await exclusions(engine, after.audience_id) == {}
    assert (before.recipients, after.recipients) == (1, 2)


async def test_a_snapshot_knows_the_languages_of_its_readers(
    store: AudienceStore, engine: AsyncEngine, add: Add, policy: Policy, now: datetime
) -> None:
    await add("one", "payments", region="eu", contacts=2)
    await add("two", "payments", region="eu")
    await add("elsewhere", "payments", region="us")
    async with engine.begin() as connection:
        for contact, locale in (("c-two", "de-AT"), ("c-elsewhere", "ja")):
            given = {"id": contact, "locale": locale}
            await connection.execute(
                text("UPDATE contacts SET locale = :locale WHERE id = :id"), given
            )
    taken = await store.snapshot(INCIDENT, IN_EU, policy, now)
    assert taken.locales == ("de-AT", "en")


async def test_a_snapshot_is_fresh_for_a_minute_and_for_its_own_rule(
    store: AudienceStore, add: Add, policy: Policy, now: datetime
) -> None:
    await add("eu", "payments", region="eu")
    taken = await store.snapshot(INCIDENT, IN_EU, policy, now)
    assert taken.audience_id is not None
    assert await store.is_fresh(taken.audience_id, IN_EU, now + timedelta(seconds=59))
    assert not await store.is_fresh(taken.audience_id, IN_EU, now + timedelta(seconds=60))
    assert not await store.is_fresh(taken.audience_id, PAYMENTS, now)


async def test_a_new_rule_makes_a_new_snapshot_with_the_old_members(
    store: AudienceStore, engine: AsyncEngine, add: Add, policy: Policy, now: datetime
) -> None:
    await add("eu", "payments", region="eu")
    await add("us", "payments", region="us")
    in_us = AudienceRule(components=("payments",), regions=("us",))
    first = await store.snapshot(INCIDENT, IN_EU, policy, now)
    # At the same instant: the newest must still be told from the one before.
    second = await store.snapshot(INCIDENT, in_us, policy, now)
    again = await store.snapshot(INCIDENT, in_us, policy, now)
    assert first.audience_id != second.audience_id == again.audience_id
    assert set(await members(engine, second.audience_id)) == {"eu", "us"}
    async with engine.connect() as connection:
        saved = await connection.execute(
            select(AudienceRow.recipients).order_by(AudienceRow.created_at)
        )
        assert saved.scalars().all() == [1, 2]


async def test_a_summary_counts_each_way_and_masks_addresses(
    store: AudienceStore, engine: AsyncEngine, add: Add, policy: Policy, now: datetime
) -> None:
    await add("big", "payments", contacts=3, segment="enterprise", plan="enterprise",
              region="eu", slack_channel="#acme", name="Big")  # fmt: skip
    await add("small", "payments", segment="smb", slack_channel="#small")
    async with engine.begin() as connection:
        await connection.execute(
            text("UPDATE contacts SET channels = '{email,sms}', phone = '+491', locale = 'de' "
                 "WHERE id IN ('c-big', 'c-small')")
        )  # fmt: skip
        suppressed = {"channel": "email", "address": "big0@example.com", "reason": "bounced"}
        await connection.execute(insert(SuppressionRow).values(suppressed | {"at": now}))
        counts = {"accounts": 2, "contacts": 4, "skipped": 0}
        await connection.execute(insert(ImportRow).values(at=now - timedelta(hours=50), **counts))
    previewed = await store.preview(PAYMENTS, policy, now)
    count = await store.snapshot(INCIDENT, PAYMENTS, policy, now)
    assert count.audience_id is not None
    summary = await store.summary(count.audience_id, policy, now)
    assert summary == previewed
    assert (summary.accounts, summary.recipients) == (2, 4)
    assert summary.plans == {"enterprise": 3, "unknown": 1}
    assert summary.segments == {"enterprise": 3, "smb": 1}
    assert summary.regions == {"eu": 3, "unknown": 1}
    assert summary.locales == {"de": 2, "en": 2}
    # SMS and chat are for enterprise only; a suppressed address is not reachable.
    assert summary.channels == {"email": 3, "in_app": 2, "slack": 1, "sms": 1}
    assert {s.address for s in summary.sample} == {"b***@example.com", "s***@example.com"}
    assert summary.stale
    assert not (await store.preview(PAYMENTS, policy, now - timedelta(hours=3))).stale


async def test_members_come_in_pages(
    store: AudienceStore, add: Add, policy: Policy, now: datetime
) -> None:
    await add("a", "payments", contacts=5, name="Acme")
    count = await store.snapshot(INCIDENT, PAYMENTS, policy, now)
    assert count.audience_id is not None
    first = await store.members_page(count.audience_id, None, 3)
    rest = await store.members_page(count.audience_id, first.next, 3)
    found = [m.contact_id for m in (*first.items, *rest.items)]
    assert found == ["c-a", "c-a-1", "c-a-2", "c-a-3", "c-a-4"]
    assert rest.next is None
    assert first.items[0].account_name == "Acme"
    with pytest.raises(NotFound):
        await store.members_page("aud_none")
    with pytest.raises(BadInput):
        await store.members_page(count.audience_id, "nonsense")
