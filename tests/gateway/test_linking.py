"""Merging and splitting at the door, and what staff and the public see of it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
import uvicorn
from sqlalchemy import insert, text
from sqlalchemy.ext.asyncio import AsyncEngine
from typer.testing import CliRunner

from adapters.db.link_models import MergedIncidentRow
from domain.policy import Policy
from runtime.servers import TemporalServer
from starter import app
from tests.adapters.db.intake_desk import Desk
from tests.gateway.public_site import Site
from tests.gateway.staff_kit import Kit, make_incident, staff_kit, stand_in

MINUTE = timedelta(minutes=1)


@pytest.fixture(scope="module")
def temporal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    server = TemporalServer(tmp_path_factory.mktemp("temporal"))
    server.start()
    yield server.address
    server.stop()


@pytest.fixture
async def kit(
    engine: AsyncEngine, policy: Policy, now: datetime, temporal: str
) -> AsyncIterator[Kit]:
    async with stand_in(temporal) as client, staff_kit(engine, policy, now, client) as opened:
        yield opened


async def post(kit: Kit, path: str, body: object, role: str = "responder", key: str = "") -> Any:
    url = f"/api/incidents/{path}"
    return await kit.http.post(url, json=body, headers=kit.auth(role, key or None))


async def two(kit: Kit) -> tuple[str, str]:
    one = await make_incident(kit)
    return one, await make_incident(kit)


async def test_a_merge_reaches_the_workflow_and_the_audit_log(kit: Kit) -> None:
    one, other = await two(kit)
    done = await post(kit, f"{one}/merge", {"into": other})
    assert done.status_code == 200, done.text
    assert (done.json()["incident_id"], done.json()["other"]) == (one, other)
    assert await kit.seen(one) == [f"merge_into {other} by the responder"]
    async with kit.deps.engine.connect() as conn:
        body = await conn.scalar(
            text("SELECT body FROM audit_log WHERE kind = 'command' AND incident_id = :i"),
            {"i": one},
        )
    assert body == {"command": "merge", "other": other}


async def test_a_split_repeated_under_its_key_names_the_same_incident(kit: Kit) -> None:
    one = await make_incident(kit)
    body = {"components": ["payments"]}
    first = await post(kit, f"{one}/split", body, key="k1")
    again = await post(kit, f"{one}/split", body, key="k1")
    assert first.status_code == 200, first.text
    assert first.json() == again.json()
    assert first.json()["other"].startswith("inc_")
    assert len(await kit.seen(one)) == 1


async def test_what_is_refused_at_the_door(kit: Kit) -> None:
    one, other = await two(kit)
    async with kit.deps.engine.begin() as conn:
        await conn.execute(
            text("UPDATE incidents SET open = false, stage = 'closed' WHERE id = :i"), {"i": other}
        )
    unknown = await post(kit, f"{one}/merge", {"into": "inc_nobody"})
    assert unknown.status_code == 422
    assert unknown.json()["errors"][0]["field"] == "into"
    assert (await post(kit, f"{one}/merge", {"into": other})).status_code == 409
    assert (await post(kit, f"{one}/merge", {"into": one}, "viewer")).status_code == 403
    assert (await post(kit, "inc_nobody/merge", {"into": one})).status_code == 404
    strange = await post(kit, f"{one}/split", {"components": ["teapot"]})
    assert strange.json()["errors"][0]["field"] == "components.0"
    assert (await post(kit, f"{one}/split", {"components": []})).status_code == 422
    assert await kit.seen(one) == []


async def test_the_incident_shows_its_sub_issues_and_what_it_belongs_with(kit: Kit) -> None:
    desk = Desk(kit.deps.engine, kit.deps.policy, kit.clock())
    one = (await desk.take("a")).incident_id
    await desk.take("b", components=("reporting",), after=MINUTE)
    await desk.take("a", status="resolved", after=2 * MINUTE)
    other = await make_incident(kit)
    async with kit.deps.engine.begin() as conn:
        values = {"incident_id": other, "into_id": one, "by": "ada", "at": kit.clock()}
        await conn.execute(insert(MergedIncidentRow).values(values))
    shown = (await kit.http.get(f"/api/incidents/{one}", headers=kit.auth("viewer"))).json()
    assert shown["merged"] == [other]
    found = [(i["component"], i["firing"], i["alerts"]) for i in shown["sub_issues"]]
    assert found == [("payments", False, 1), ("reporting", True, 1)]
    await kit.http.post("/console/sign-in", data={"token": kit.secrets["viewer"]})
    page = (await kit.http.get(f"/console/incidents/{one}")).text
    assert "Sub-issues" in page and f'href="/console/incidents/{other}"' in page


async def test_the_commands_merge_and_split(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = await two(kit)
    listening = socket.create_server(("127.0.0.1", 0))
    port = listening.getsockname()[1]
    server = uvicorn.Server(uvicorn.Config(kit.app, log_config=None, lifespan="off"))
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    monkeypatch.setenv("FOREWARN_TOKEN", kit.secrets["responder"])
    monkeypatch.setenv("FOREWARN_PUBLIC_URL", f"http://127.0.0.1:{port}")
    try:
        for arguments in (
            ["incident", "merge", one, "--into", other, "--json"],
            ["incident", "split", one, "--components", "payments, reporting", "--json"],
        ):
            done = await asyncio.to_thread(CliRunner().invoke, app, arguments)
            assert done.exit_code == 0, done.output
    finally:
        server.should_exit = True
        await serving
    merge, split = await kit.seen(one)
    assert merge.startswith(f"merge_into {other}")
    assert split.startswith("split payments,reporting as inc_")


# ---------------------------------------------------------------- what the public sees


async def merged(site: Site, one: str, into: str) -> None:
    async with site.engine.begin() as conn:
        await conn.execute(
            text(
                "INSERT INTO merged_incidents (incident_id, into_id, by, at)"
                " VALUES (:one, :into, 'ada', :at)"
            ),
            {"one": one, "into": into, "at": site.now},
        )
    await site.change(one, open=False, stage="closed", closed_at=site.now)


async def test_a_merged_incident_stands_until_the_other_one_has_spoken(
    engine: AsyncEngine, policy: Policy, now: datetime
) -> None:
    site = Site(engine, policy, now)
    await site.incident("inc_a")
    await site.announce("inc_a", "Some payments may fail.")
    await site.incident("inc_b", components=["webhooks"])
    await site.announce(
        "inc_b", "Webhooks are late.", components=("webhooks",), subject="Webhooks", later=MINUTE
    )
    site.now += MINUTE
    await merged(site, "inc_a", "inc_b")

    # Nobody has taken back what was said: the page does not call payments operational.
    summary = (await site.get("/api/v2/summary.json")).json()
    states = {c["name"]: c["status"] for c in summary["components"]}
    assert states["Payment processing"] != "operational"
    assert {i["id"] for i in summary["incidents"]} == {"inc_a", "inc_b"}
    assert (await site.get("/incidents/inc_a")).status_code == 200

    await site.announce(
        "inc_b", "Payments and webhooks.", moment="update",
        components=("payments", "webhooks"), later=MINUTE,
    )  # fmt: skip
    site.now += MINUTE
    summary = (await site.get("/api/v2/summary.json")).json()
    assert [i["id"] for i in summary["incidents"]] == ["inc_b"]
    states = {c["name"]: c["status"] for c in summary["components"]}
    assert states["Payment processing"] != "operational"
    led = await site.get("/incidents/inc_a")
    assert (led.status_code, led.headers["location"]) == (307, "/incidents/inc_b")
    assert "inc_a" not in (await site.get("/")).text
    assert "inc_a" not in (await site.get("/history.rss")).text
