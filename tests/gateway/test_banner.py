"""The banner: who sees what, when its version changes, and its live feed."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import httpx2
import pytest
import uvicorn
from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.db.models import AudienceMemberRow, AudienceRow
from domain.message import Channel
from domain.policy import Policy
from domain.tokens import sign
from gateway import banner_stream
from gateway.words import words
from tests.gateway.public_site import HOSTILE, SECRET, URL, Site

MINUTE = timedelta(minutes=1)
PAGE_ONLY = (Channel.STATUS_PAGE,)
SCRIPT = Path(__file__).parents[2] / "gateway" / "static" / "banner.js"


@pytest.fixture
def site(engine: AsyncEngine, policy: Policy, now: datetime) -> Site:
    return Site(engine, policy, now)


def token(account: object = "acc_1", purpose: str = "account", secret: str = SECRET) -> str:
    return sign(secret, purpose, {"a": account})


async def items(site: Site, query: str = "", **headers: str) -> list[dict[str, Any]]:
    answer = await site.get(f"/api/incidents/active{query}", **headers)
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == "*"
    assert answer.json()["next"] is None
    found: list[dict[str, Any]] = answer.json()["items"]
    return found


async def target(site: Site, incident_id: str, account: str) -> None:
    """Save a snapshot of the incident that holds the account."""
    async with site.engine.begin() as conn:
        await conn.execute(
            insert(AudienceRow).values(
                id=f"aud_{incident_id}",
                incident_id=incident_id,
                rule="r",
                created_at=site.now,
                accounts=1,
                recipients=1,
                active_accounts=1,
                choices={},
            )
        )
        await conn.execute(
            insert(AudienceMemberRow).values(
                audience_id=f"aud_{incident_id}",
                contact_id="con_1",
                account_id=account,
                reason="r",
                added_at=site.now,
            )
        )


@pytest.mark.parametrize(
    ("severity", "level", "dismissible"),
    [("P1", "critical", False), ("P2", "warning", True), ("P3", "warning", True),
     ("P4", "info", True)],
)  # fmt: skip
async def test_severity_decides_the_level_and_critical_stays(
    site: Site, severity: str, level: str, dismissible: bool
) -> None:
    await site.incident()
    due = site.now + 30 * MINUTE
    await site.announce(text="Payments may fail.", severity=severity, next_update_at=due)
    (item,) = await items(site)
    assert (item["level"], item["dismissible"]) == (level, dismissible)
    assert item["id"] == "inc_a" and item["state"] == "investigating"
    assert item["title"] == "Payments are failing" and item["text"] == "Payments may fail."
    assert item["components"] == ["Payment processing"]
    assert item["status_url"] == f"{URL}/incidents/inc_a"
    assert datetime.fromisoformat(item["next_update_at"]) == due


async def test_without_banner_words_a_default_sentence_stands_in(site: Site) -> None:
    await site.incident()
    await site.announce(text="The long words of the page.", severity="P2", channels=PAGE_ONLY)
    (item,) = await items(site)
    assert item["text"] == "We are working on a problem with Payment processing."
    (german,) = await items(site, "?lang=de")
    assert german["text"] == "Wir arbeiten an einem Problem: Zahlungsabwicklung."
    assert german["version"] == item["version"], "another language is no news"


async def test_old_banner_words_do_not_outlive_newer_ones_of_the_page(site: Site) -> None:
    await site.incident()
    await site.announce(text="Old banner.", severity="P2")
    await site.announce(moment="update", severity="P2", channels=PAGE_ONLY, later=MINUTE)
    assert (await items(site))[0]["text"].startswith("We are working on")


async def test_resolved_is_dismissible_and_gone_after_a_day(site: Site) -> None:
    await site.incident()
    await site.announce()
    before = (await items(site))[0]["version"]
    await site.announce(text="All well.", moment="resolution", stage="resolved", later=MINUTE)
    (item,) = await items(site)
    assert (item["state"], item["level"], item["dismissible"]) == ("resolved", "info", True)
    assert item["text"] == "All well." and item["version"] != before
    assert item["next_update_at"] is None
    site.now += timedelta(hours=23)
    assert await items(site)
    site.now += timedelta(hours=2)
    assert await items(site) == []


async def test_a_new_text_or_state_is_a_new_version_and_nothing_else_is(site: Site) -> None:
    await site.incident()
    await site.announce(severity="P2")
    first = (await items(site))[0]["version"]
    await site.change("inc_a", next_update_due=site.now)
    assert (await items(site))[0]["version"] == first
    await site.announce(moment="update", severity="P2", later=MINUTE)
    second = (await items(site))[0]["version"]
    await site.change("inc_a", open=False, stage="closed", closed_at=site.now)
    third = (await items(site))[0]["version"]
    assert len({first, second, third}) == 3


async def test_a_token_shows_only_what_its_account_heard_in_the_product(site: Site) -> None:
    for incident_id in ("inc_mine", "inc_other", "inc_page_only"):
        await site.incident(incident_id)
    await site.announce("inc_mine")
    await site.announce("inc_other")
    await site.announce("inc_page_only", channels=PAGE_ONLY)
    await target(site, "inc_mine", "acc_1")
    await target(site, "inc_other", "acc_2")
    await target(site, "inc_page_only", "acc_1")
    assert len(await items(site)) == 3
    by_query = await items(site, f"?token={token()}")
    by_header = await items(site, authorization=f"Bearer {token()}")
    assert [i["id"] for i in by_query] == [i["id"] for i in by_header] == ["inc_mine"]
    assert await items(site, f"?token={token('acc_nobody')}") == []


@pytest.mark.parametrize(
    "bad",
    ["x", token()[:-2], token(secret="another"), token(purpose="unsubscribe"), token(7),
     token("a\x00")],
)  # fmt: skip
async def test_a_bad_token_is_refused_and_not_treated_as_none(site: Site, bad: str) -> None:
    await site.incident()
    await site.announce()
    for path in ("/api/incidents/active", "/api/banner/stream"):
        answer = await site.get(f"{path}?token={bad}")
        assert answer.status_code == 401
        assert bad not in answer.text or len(bad) == 1


async def test_products_of_another_origin_may_ask_with_a_token(site: Site) -> None:
    answer = await site.request("OPTIONS", "/api/incidents/active")
    assert answer.status_code == 204
    assert "authorization" in answer.headers["access-control-allow-headers"].lower()


async def test_many_contacts_cost_one_announcement(site: Site) -> None:
    await site.incident()
    await site.announce(channels=(Channel.IN_APP,))
    sender = site.senders[Channel.IN_APP]
    site.board.writes = 0
    for _ in range(1000):
        site.broadcasts = 0
        await site.announce(channels=(Channel.IN_APP,))
    assert site.board.writes == 0
    site.broadcasts = 2
    message = site.message(Channel.IN_APP, "inc_a", texts={"en": {"subject": "S", "text": "T"}})
    await asyncio.gather(*(sender.send(message) for _ in range(50)))
    assert site.board.writes == 1, "rows that start together wait for the one that writes"


@asynccontextmanager
async def served(site: Site) -> AsyncIterator[tuple[str, uvicorn.Server]]:
    """The site on a real socket: streams need one."""
    config = uvicorn.Config(site.app(), port=0, log_level="warning", lifespan="off")
    server = uvicorn.Server(config)
    running = asyncio.create_task(server.serve())
    async with asyncio.timeout(15):
        # uvicorn offers no event to wait for.
        for _ in count():
            if server.started:
                break
            await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}", server
    finally:
        server.should_exit = True
        await asyncio.wait_for(running, 15)


async def next_event(lines: AsyncIterator[str]) -> dict[str, Any]:
    async for line in lines:
        if line.startswith("data: "):
            found: dict[str, Any] = json.loads(line.removeprefix("data: "))
            return found
    raise AssertionError("the stream ended")


async def test_the_stream_tells_at_once_and_on_each_change_and_ends_with_the_server(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(banner_stream, "POLL_SECONDS", 0.05)
    await site.incident()
    await site.announce(text=HOSTILE)
    async with (
        served(site) as (address, server),
        httpx2.AsyncClient(base_url=address, timeout=10, trust_env=False) as client,
        client.stream("GET", "/api/banner/stream", headers={"Last-Event-ID": "x"}) as answer,
    ):
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.headers["access-control-allow-origin"] == "*"
        lines = answer.aiter_lines()
        first = await next_event(lines)
        assert first["items"][0]["text"] == HOSTILE
        assert first["labels"]["view"] == "View status"
        await site.announce(
            text="News.", moment="update", later=MINUTE,
            channels=(Channel.IN_APP, Channel.STATUS_PAGE),
        )  # fmt: skip
        assert (await next_event(lines))["items"][0]["text"] == "News."
        server.should_exit = True
        async with asyncio.timeout(5):
            rest = [line async for line in lines]
        assert not [line for line in rest if line.startswith("data: ")]


async def test_too_many_streams_are_turned_away_politely(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(banner_stream, "MAX_STREAMS", 0)
    answer = await site.get("/api/banner/stream")
    assert answer.status_code == 503
    assert answer.headers["retry-after"] and answer.headers["access-control-allow-origin"] == "*"


async def test_the_element_and_its_demo_are_served(site: Site) -> None:
    script = await site.get("/banner.js")
    assert script.headers["content-type"].startswith("text/javascript")
    assert script.headers["access-control-allow-origin"] == "*"
    page = await site.get('/demo/banner?token="><script>alert(1)</script>')
    assert "<forewarn-banner" in page.text and 'src="/banner.js"' in page.text
    assert "<script>alert" not in page.text


def test_the_element_never_makes_markup_of_text() -> None:
    script = SCRIPT.read_text("utf-8")
    assert not re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(", script)
    asked = set(re.findall(r"this\.labels\.(\w+)", script))
    for locale in ("en", "de"):
        assert asked <= set(words(locale).banner)


async def test_a_staff_token_is_no_account_and_sees_what_is_public(site: Site) -> None:
    await site.incident()
    await site.announce(text="Payments may fail.", severity="P2")
    (item,) = await items(site, authorization="Bearer fw_whatever")
    assert item["id"] == "inc_a"
    assert (await site.get("/api/incidents/active?token=fw_x")).status_code == 200
    assert (await site.get("/api/incidents/active?token=other")).status_code == 401
