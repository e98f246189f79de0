"""`incident show` against the real doors: what an incident is made of and belongs with."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

import pytest
import uvicorn
from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncEngine
from typer.testing import CliRunner

from adapters.db.link_models import MergedIncidentRow, SplitIncidentRow
from domain.policy import Policy
from runtime.commands.incident_shown import whole
from starter import app
from tests.adapters.db.intake_desk import Desk
from tests.gateway.staff_kit import Kit, make_incident, staff_kit

HOST = "127.0.0.1"
MINUTE = timedelta(minutes=1)


@pytest.fixture
async def kit(
    engine: AsyncEngine, policy: Policy, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Kit]:
    async with staff_kit(engine, policy, now) as opened:
        listening = socket.create_server((HOST, 0))
        port = listening.getsockname()[1]
        server = uvicorn.Server(uvicorn.Config(opened.app, log_config=None, lifespan="off"))
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        monkeypatch.setenv("FOREWARN_TOKEN", opened.secrets["viewer"])
        monkeypatch.setenv("FOREWARN_PUBLIC_URL", f"http://{HOST}:{port}")
        yield opened
        server.should_exit = True
        await serving


async def show(*arguments: str) -> Any:
    command = ["incident", "show", *arguments]
    done = await asyncio.to_thread(CliRunner().invoke, app, command)
    assert done.exit_code == 0, done.output
    return done.output


async def test_sub_issues_are_lines_of_their_own(kit: Kit) -> None:
    desk = Desk(kit.deps.engine, kit.deps.policy, kit.clock())
    one = (await desk.take("a")).incident_id or ""
    await desk.take("b", components=("reporting",), after=MINUTE)
    await desk.take("c", components=("reporting",), after=MINUTE)
    await desk.take("a", status="resolved", after=2 * MINUTE)
    lines = (await show(one)).splitlines()
    at = lines.index("sub-issues: ")
    began = [f"{kit.clock() + after:%Y-%m-%d %H:%M:%S} UTC" for after in (MINUTE * 0, MINUTE)]
    assert lines[at + 1 : at + 3] == [
        f"  payments: since {began[0]}, 1 alert, quiet",
        f"  reporting: since {began[1]}, 2 alerts, firing",
    ]
    found = json.loads(await show(one, "--json"))
    assert [issue["component"] for issue in found["sub_issues"]] == ["payments", "reporting"]
    assert found["workflow_id"] == f"incident/{one}"


async def test_what_it_belongs_with_is_named(kit: Kit) -> None:
    one, merged, split = [await make_incident(kit) for _ in range(3)]
    common = {"by": "ada", "at": kit.clock()}
    async with kit.deps.engine.begin() as conn:
        took_in = {"incident_id": merged, "into_id": one} | common
        await conn.execute(insert(MergedIncidentRow).values(took_in))
        beside = {"incident_id": split, "from_id": one} | common
        await conn.execute(insert(SplitIncidentRow).values(beside))
    lines = (await show(one)).splitlines()
    assert f"took in: {merged}" in lines
    assert f"split off: {split}" in lines
    # The other half of each link is kept with the run's state, which stands here by itself.
    shown = whole({"merged_into": "inc_b", "split_from": "inc_a", "merged": [], "split_off": []})
    assert shown == {"merged into": "inc_b", "split from": "inc_a"}


async def test_what_there_is_none_of_has_no_line(kit: Kit) -> None:
    shown = await show(await make_incident(kit), "--data-dir", "none")
    for word in ("merged", "took in", "split", "sub-issues", "sub_issues"):
        assert word not in shown
