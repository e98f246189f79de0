"""Unsubscribing: never by looking, once by asking, with nothing personal left in the audit log."""

from __future__ import annotations

from datetime import datetime

import pytest
from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.db.models import AccountRow, AuditRow, ContactRow, SuppressionRow
from domain.policy import Policy
from domain.tokens import sign
from tests.gateway.public_site import SECRET, Site

FORM = {"content-type": "application/x-www-form-urlencoded"}


@pytest.fixture
async def site(engine: AsyncEngine, policy: Policy, now: datetime) -> Site:
    async with engine.begin() as conn:
        await conn.execute(
            insert(AccountRow).values(
                id="acc_1", features=[], activity={}, regimes=[], imported_at=now
            )
        )
        await conn.execute(
            insert(ContactRow).values(
                id="con_1",
                account_id="acc_1",
                email="Ada@Customer.example",
                name="Ada",
                locale="en",
                timezone="UTC",
                channels=["email"],
                imported_at=now,
            )
        )
    return Site(engine, policy, now)


def token(contact: object = "con_1", purpose: str = "unsubscribe", secret: str = SECRET) -> str:
    return sign(secret, purpose, {"c": contact})


async def suppressed(site: Site) -> list[tuple[str, str, str]]:
    async with site.engine.connect() as conn:
        rows = await conn.execute(
            select(SuppressionRow.channel, SuppressionRow.address, SuppressionRow.reason)
        )
        return [(r.channel, r.address, r.reason) for r in rows]


async def test_looking_at_the_link_changes_nothing(site: Site) -> None:
    for method in ("GET", "HEAD"):
        answer = await site.request(method, f"/unsubscribe/{token()}")
        assert answer.status_code == 200
        assert answer.headers["cache-control"] == "no-store"
    page = (await site.get(f"/unsubscribe/{token()}")).text
    assert '<form method="post">' in page and "<button>" in page
    assert "customer.example" not in page.lower(), "whoever holds the link learns no address"
    assert await suppressed(site) == []


@pytest.mark.parametrize("body", ["List-Unsubscribe=One-Click", ""])
async def test_one_click_suppresses_the_address_once(site: Site, body: str) -> None:
    for _ in range(2):
        answer = await site.request("POST", f"/unsubscribe/{token()}", content=body, headers=FORM)
        assert answer.status_code == 200
        assert "You are unsubscribed" in answer.text
    assert await suppressed(site) == [("email", "ada@customer.example", "unsubscribed")]
    async with site.engine.connect() as conn:
        entries = (await conn.execute(select(AuditRow.__table__))).mappings().all()
    assert len(entries) == 1
    assert entries[0]["body"] == {"contact_id": "con_1", "channel": "email"}
    assert "ada" not in str(dict(entries[0])).lower()


@pytest.mark.parametrize(
    "bad",
    [
        "nonsense",
        token()[:-1],
        token(secret="somebody else's secret"),
        token(purpose="account"),
        token(contact=7),
        token(contact="con\x00"),
        "a" * 5000,
        "%00.%ff",
    ],
)
async def test_a_bad_link_is_explained_and_unsubscribes_nobody(site: Site, bad: str) -> None:
    for method in ("GET", "POST"):
        answer = await site.request(method, f"/unsubscribe/{bad}")
        assert answer.status_code == 404
        assert "This link does not work" in answer.text
        assert "support@acme.example" in answer.text
    assert await suppressed(site) == []


async def test_a_contact_who_is_gone_is_unsubscribed_as_far_as_they_can_tell(site: Site) -> None:
    answer = await site.request("POST", f"/unsubscribe/{token('con_gone')}")
    assert answer.status_code == 200
    assert await suppressed(site) == []


async def test_without_a_token_the_page_explains(site: Site) -> None:
    answer = await site.get("/unsubscribe?lang=de")
    assert answer.status_code == 200 and "Link am Ende" in answer.text
    assert "<form" not in answer.text


async def test_an_unknown_provider_has_no_callback(site: Site) -> None:
    answer = await site.request("POST", "/callbacks/nobody", json={})
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
