"""Merging and splitting from an incident's page: what is offered, pressed and refused."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from datetime import datetime
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.policy import Policy
from runtime.servers import TemporalServer
from tests.gateway.staff_kit import Kit, make_incident, staff_kit, stand_in

HOSTILE = "</select><script>alert(1)</script>"


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


async def page_of(kit: Kit, incident_id: str, role: str = "responder") -> str:
    await kit.http.post("/console/sign-in", data={"token": kit.secrets[role]})
    page = await kit.http.get(f"/console/incidents/{incident_id}")
    assert page.status_code == 200
    return page.text


def form(page: str, incident_id: str, name: str) -> str:
    start = f'action="/console/incidents/{incident_id}/{name}"'
    return page.split(start)[1].split("</form>")[0] if start in page else ""


def hidden(shown: str) -> dict[str, str]:
    return dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', shown))


async def press(kit: Kit, incident_id: str, name: str, data: dict[str, Any]) -> Any:
    return await kit.http.post(f"/console/incidents/{incident_id}/{name}", data=data)


async def change(kit: Kit, incident_id: str, **columns: object) -> None:
    names = ", ".join(f"{name} = :{name}" for name in columns)
    async with kit.deps.engine.begin() as conn:
        await conn.execute(
            text(f"UPDATE incidents SET {names} WHERE id = :id"), {"id": incident_id, **columns}
        )


async def test_an_incident_is_merged_into_a_chosen_one(kit: Kit) -> None:
    one = await make_incident(kit)
    other = await make_incident(kit, title=HOSTILE, draft=False)
    page = await page_of(kit, one)
    shown = form(page, one, "merge")
    assert re.findall(r'<option value="([^"]*)">', shown) == ["", other]
    assert '<label for="merge-into">' in shown and "<script" not in page
    done = await press(kit, one, "merge", hidden(shown) | {"into": other})
    assert done.status_code == 303, done.text
    assert done.headers["location"] == f"/console/incidents/{one}?done=merge"
    assert await kit.seen(one) == [f"merge_into {other} by the responder"]


async def test_only_what_could_take_it_in_is_offered(kit: Kit) -> None:
    one = await make_incident(kit)
    over, ending, practice = [await make_incident(kit, draft=False) for _ in range(3)]
    await change(kit, over, open=False, stage="closed")
    await change(kit, ending, stage="resolved")
    await change(kit, practice, dry_run=True)
    assert form(await page_of(kit, one), one, "merge") == ""
    assert form(await page_of(kit, ending), ending, "merge") == ""


async def test_ticked_components_are_split_off(kit: Kit) -> None:
    one = await make_incident(kit, components=["payments", "reporting", "webhooks"])
    shown = form(await page_of(kit, one), one, "split")
    boxes = re.findall(r'<label><input type="checkbox" name="components" value="([^"]*)">', shown)
    assert boxes == ["payments", "reporting", "webhooks"]
    ticked = hidden(shown) | {"components": ["reporting", "webhooks"]}
    twice = [await press(kit, one, "split", ticked) for _ in range(2)]
    assert [done.status_code for done in twice] == [303, 303]
    (line,) = await kit.seen(one)
    assert line.startswith("split reporting,webhooks as inc_")


async def test_one_component_or_an_end_leaves_nothing_to_split(kit: Kit) -> None:
    one = await make_incident(kit)
    assert form(await page_of(kit, one), one, "split") == ""
    two = await make_incident(kit, components=["payments", "reporting"], stage="resolved")
    assert form(await page_of(kit, two), two, "split") == ""


async def test_what_is_refused_is_shown_and_changes_nothing(kit: Kit) -> None:
    one = await make_incident(kit, components=["payments", "reporting"])
    other = await make_incident(kit, draft=False)
    page = await page_of(kit, one)
    merge, split = hidden(form(page, one, "merge")), hidden(form(page, one, "split"))
    await change(kit, other, open=False, stage="closed")
    for name, data, status, words in (
        ("merge", merge, 422, "into"),
        ("merge", merge | {"into": "inc_nobody"}, 422, "there is no such incident"),
        ("merge", merge | {"into": other}, 409, "nothing can go on in it"),
        ("split", split, 422, "components"),
        ("split", split | {"components": ["teapot"]}, 422, "teapot"),
    ):
        refused = await press(kit, one, name, data)
        assert refused.status_code == status, (name, data)
        assert "Nothing was changed" in refused.text and words in refused.text
    forged = await press(kit, one, "merge", merge | {"into": other, "csrf": "x.y"})
    assert forged.status_code == 403
    assert await kit.seen(one) == []


async def test_a_viewer_neither_sees_nor_presses_them(kit: Kit) -> None:
    one = await make_incident(kit, components=["payments", "reporting"])
    other = await make_incident(kit, draft=False)
    page = await page_of(kit, one, "viewer")
    assert form(page, one, "merge") == form(page, one, "split") == ""
    # Without a session no form token is asked for: what refuses here is the role.
    kit.http.cookies.clear()
    kit.http.headers.update(kit.auth("viewer"))
    for name, data in (("merge", {"into": other}), ("split", {"components": ["reporting"]})):
        refused = await press(kit, one, name, {"once": "x"} | data)
        assert refused.status_code == 403 and "responder" in refused.text
    assert await kit.seen(one) == []
