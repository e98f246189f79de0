"""The staff API shows what is recorded, page by page."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import insert, text
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.db.models import TimelineRow
from domain.policy import Policy
from tests.gateway.staff_kit import Kit, make_incident, staff_kit


@pytest.fixture
async def kit(engine: AsyncEngine, policy: Policy, now: datetime) -> AsyncIterator[Kit]:
    async with staff_kit(engine, policy, now) as opened:
        yield opened


async def test_the_shape_of_an_incident(kit: Kit) -> None:
    incident_id = await make_incident(kit)
    got = await kit.http.get(f"/api/incidents/{incident_id}", headers=kit.auth("viewer"))
    body = got.json()
    assert body["started_at"] == "2026-03-10T14:00:00Z"
    assert body["workflow_id"] == f"incident/{incident_id}"
    assert body["temporal_url"] == (
        f"http://ui.example/namespaces/default/workflows/incident%2F{incident_id}"
    )
    assert body["audience"] == {"accounts": 0, "recipients": 0}
    assert body["pending"]["draft"] == 1 and body["post_mortem"] == "none"
    assert {"title", "severity", "stage", "category", "components", "regions", "dry_run",
            "next_update_due"} <= body.keys()  # fmt: skip


async def test_lists_are_paged_and_filtered(kit: Kit) -> None:
    ids = []
    for hour in range(5):
        opened = kit.clock() + timedelta(hours=hour // 2)
        ids.append(await make_incident(kit, draft=hour == 4, opened_at=opened, open=hour != 0))
    seen: list[str] = []
    cursor: str | None = None
    while True:
        query = {"limit": "2"} | ({"cursor": cursor} if cursor else {})
        page = (
            await kit.http.get("/api/incidents", params=query, headers=kit.auth("viewer"))
        ).json()
        seen += [item["id"] for item in page["items"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert len(seen) == 5 and set(seen) == set(ids) and seen[0] == ids[4]

    async def found(**query: str) -> set[str]:
        got = await kit.http.get("/api/incidents", params=query, headers=kit.auth("viewer"))
        return {item["id"] for item in got.json()["items"]}

    assert await found(open="false") == {ids[0]}
    assert await found(waiting="true") == {ids[4]}
    assert await found(waiting="false") == set(ids[:4])
    assert await found(severity="P1") == set()
    assert await found(stage="investigating", severity="P2") == set(ids)
    assert await found(prefix=ids[2][:9]) >= {ids[2]}


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=201", "stage=asleep", "severity=P9", "cursor=nonsense", "cursor=WzFd",
     "open=perhaps", "cursor=WyIyMDI2LTAzLTEwVDE0OjAwOjAwIiwiYSJd"],
)  # fmt: skip
async def test_a_bad_query_names_its_field(kit: Kit, query: str) -> None:
    got = await kit.http.get(f"/api/incidents?{query}", headers=kit.auth("viewer"))
    assert got.status_code == 422
    assert got.json()["errors"][0]["field"].split(".")[0] == query.partition("=")[0]


@pytest.mark.parametrize("tail", ["", "/timeline", "/audience", "/drafts", "/deliveries"])
async def test_an_unknown_incident_is_not_found(kit: Kit, tail: str) -> None:
    for unknown in ("inc_unknown", "%27%20OR%201=1"):
        path = f"/api/incidents/{unknown}{tail}"
        got = await kit.http.get(path, headers=kit.auth("viewer"))
        assert got.status_code == 404, path
    strange = await kit.http.get(f"/api/incidents/a%00b{tail}", headers=kit.auth("viewer"))
    assert strange.status_code in (404, 422)


async def test_drafts_are_shown_as_they_will_look(kit: Kit) -> None:
    incident_id = await make_incident(kit)
    path = f"/api/incidents/{incident_id}/drafts"
    items = (await kit.http.get(path, headers=kit.auth("viewer"))).json()["items"]
    assert {(i["channel"], i["locale"]) for i in items} == {("email", "en"), ("status_page", "en")}
    assert all("[[" not in i["text"] + (i["html"] or "") + (i["subject"] or "") for i in items)
    assert {"version", "moment", "findings", "state"} <= items[0].keys()
    raw = (await kit.http.get(f"{path}?raw=true", headers=kit.auth("viewer"))).json()["items"]
    assert any("[[" in i["text"] for i in raw)


async def test_the_timeline_is_paged_in_order(kit: Kit) -> None:
    incident_id = await make_incident(kit)
    rows = [
        {"incident_id": incident_id, "key": str(n), "at": kit.clock(), "kind": "note",
         "text": f"line {n}", "actor": "forewarn", "customer_visible": n == 2, "data": {}}
        for n in range(3)
    ]  # fmt: skip
    async with kit.deps.engine.begin() as conn:
        await conn.execute(insert(TimelineRow).values(rows))
    path = f"/api/incidents/{incident_id}/timeline"
    first = (await kit.http.get(f"{path}?limit=2", headers=kit.auth("viewer"))).json()
    rest = await kit.http.get(path, params={"cursor": first["next"]}, headers=kit.auth("viewer"))
    lines = [item["text"] for item in first["items"] + rest.json()["items"]]
    assert lines == ["line 0", "line 1", "line 2"]
    assert rest.json()["items"][0]["customer_visible"] is True
    assert rest.json()["next"] is None


async def test_nothing_delivered_yet(kit: Kit) -> None:
    incident_id = await make_incident(kit)
    path = f"/api/incidents/{incident_id}/deliveries"
    assert (await kit.http.get(path, headers=kit.auth("viewer"))).json() == {
        "items": [], "next": None,
    }  # fmt: skip
    summary = await kit.http.get(f"{path}?summary=1", headers=kit.auth("viewer"))
    assert summary.json() == {}


async def test_measures_say_what_they_know(kit: Kit) -> None:
    async def measures() -> dict[str, dict[str, object]]:
        got = await kit.http.get("/api/analytics", headers=kit.auth("viewer"))
        assert got.status_code == 200, got.text
        body: dict[str, dict[str, object]] = got.json()
        return body

    empty = await measures()
    assert {m["state"] for m in empty.values()} == {"not_applicable"}
    assert {m["value"] for m in empty.values()} == {None}
    incident_id = await make_incident(kit)
    assert (await measures())["approval_delay"]["state"] == "pending"
    async with kit.deps.engine.begin() as conn:
        await conn.execute(
            text("UPDATE drafts SET decided_by = 'x', decided_at = created_at + interval '90 s'")
        )
        await conn.execute(
            text(
                "INSERT INTO promises (incident_id, number, made_at, due, state)"
                " SELECT id, n, opened_at, opened_at, s FROM incidents,"
                " (VALUES (1, 'kept'), (2, 'missed'), (3, 'superseded'), (4, 'open')) v(n, s)"
            )
        )
    known = await measures()
    assert known["approval_delay"] == {
        "value": 90.0, "unit": "seconds", "state": "recorded", "n": 1,
    }  # fmt: skip
    assert known["promises_kept"] == {"value": 0.5, "unit": "share", "state": "recorded", "n": 2}
    assert known["time_to_first_notification"]["state"] == "pending", incident_id


async def test_responses_and_targets_are_measured_by_incident_and_month(kit: Kit) -> None:
    first = await make_incident(kit)
    async with kit.deps.engine.begin() as conn:
        await conn.execute(text("UPDATE incidents SET confirmed_at = opened_at"))

    async def get(path: str) -> dict[str, Any]:
        got = await kit.http.get(path, headers=kit.auth("viewer"))
        assert got.status_code == 200, got.text
        body: dict[str, Any] = got.json()
        return body

    measured = ("time_to_acknowledge", "response_target_met", "resolution_target_met")
    path = f"/api/incidents/{first}/measures"
    assert {(await get(path))[name]["state"] for name in measured} == {"pending"}
    lines = [
        ("acknowledged", "{}", 120),
        ("target_met", '{"target": "response"}', 120),
        ("target_missed", '{"target": "resolution"}', 7200),
    ]
    async with kit.deps.engine.begin() as conn:
        for kind, data, seconds in lines:
            await conn.execute(
                text(
                    "INSERT INTO timeline (incident_id, key, at, kind, text, actor,"
                    " customer_visible, data) SELECT id, :kind, opened_at + make_interval(secs =>"
                    " :seconds), :kind, '', 'x', false, cast(:data AS jsonb) FROM incidents"
                ),
                {"kind": kind, "data": data, "seconds": seconds},
            )
    known = await get(path)
    assert [known[name]["value"] for name in measured] == [120.0, 1.0, 0.0]
    months = await get("/api/analytics/months")
    assert f"{kit.clock():%Y-%m}" in months
    assert months[f"{kit.clock():%Y-%m}"]["time_to_acknowledge"]["n"] in (0, 1)
    assert (await get("/api/analytics"))["time_to_acknowledge"]["value"] == 120.0
    async with kit.deps.engine.begin() as conn:
        await conn.execute(text("UPDATE timeline SET at = at - interval '1 h'"))
    assert (await get(path))["time_to_acknowledge"]["state"] == "invalid"


async def test_the_audit_log_is_paged(kit: Kit) -> None:
    for _ in range(3):
        await kit.http.post("/api/sends/pause", headers=kit.auth("approver"))
        await kit.http.post("/api/sends/resume", headers=kit.auth("approver"))
    headers = kit.auth("compliance")
    first = (await kit.http.get("/api/audit?limit=4&kind=switch", headers=headers)).json()
    rest = await kit.http.get(
        "/api/audit", params={"kind": "switch", "cursor": first["next"]}, headers=headers
    )
    assert len(first["items"]) == 4 and len(rest.json()["items"]) == 2
    assert first["items"][0]["actor"] == "the approver"
