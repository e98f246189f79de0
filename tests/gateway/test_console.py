"""The console works without JavaScript, and shows outside text as text."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import datetime

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.policy import Policy
from tests.gateway.staff_kit import Kit, make_incident, staff_kit

HOSTILE = '<script>alert(1)</script>"><img src=x onerror=alert(1)>'


@pytest.fixture
async def kit(engine: AsyncEngine, policy: Policy, now: datetime) -> AsyncIterator[Kit]:
    async with staff_kit(engine, policy, now) as opened:
        yield opened


async def _sign_in(kit: Kit, role: str) -> None:
    done = await kit.http.post("/console/sign-in", data={"token": kit.secrets[role]})
    assert (done.status_code, done.headers["location"]) == (303, "/console")


def _hidden(page: str, action: str) -> dict[str, str]:
    form = page.split(f'action="{action}"')[1].split("</form>")[0]
    return dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', form))


async def test_signing_in(kit: Kit) -> None:
    ask = await kit.http.get("/console")
    assert ask.status_code == 401 and 'name="token"' in ask.text
    wrong = await kit.http.post("/console/sign-in", data={"token": "fw_wrong"})
    assert wrong.status_code == 401 and "fw_wrong" not in wrong.text
    await _sign_in(kit, "viewer")
    async with kit.deps.engine.connect() as conn:
        kinds = await conn.execute(text("SELECT kind, actor FROM audit_log"))
        assert [tuple(row) for row in kinds] == [("sign_in", "the viewer")]
    await kit.http.post("/console/sign-out")
    assert (await kit.http.get("/console")).status_code == 401


@pytest.mark.parametrize("back", ["https://evil.example", "//evil.example", "/console//evil", ""])
async def test_signing_in_never_leads_elsewhere(kit: Kit, back: str) -> None:
    data = {"token": kit.secrets["viewer"], "back": back}
    done = await kit.http.post("/console/sign-in", data=data)
    assert done.headers["location"] == "/console"


async def test_outside_text_is_shown_as_text(kit: Kit) -> None:
    incident_id = await make_incident(kit, title=HOSTILE)
    async with kit.deps.engine.begin() as conn:
        await conn.execute(text("UPDATE draft_texts SET html = html || :h"), {"h": HOSTILE})
    await _sign_in(kit, "approver")
    for path in ("/console", f"/console/incidents/{incident_id}"):
        page = await kit.http.get(path)
        assert page.status_code == 200
        assert "<script" not in page.text and "<img src=x" not in page.text
        policy = page.headers["content-security-policy"]
        assert "default-src 'none'" in policy and "script-src" not in policy
        assert page.headers["cache-control"] == "no-store"
    assert "<iframe sandbox " in page.text
    assert "Approve version 1" in page.text


async def test_a_viewer_sees_no_buttons_and_cannot_press_them(kit: Kit) -> None:
    incident_id = await make_incident(kit)
    await _sign_in(kit, "viewer")
    page = await kit.http.get(f"/console/incidents/{incident_id}")
    assert "Approve version" not in page.text and "/resolve" not in page.text
    data = {"csrf": "x", "once": "x"}
    path = f"/console/incidents/{incident_id}/resolve"
    assert (await kit.http.post(path, data=data)).status_code == 403


async def test_reporting_and_its_double_click(kit: Kit) -> None:
    await _sign_in(kit, "responder")
    hidden = _hidden((await kit.http.get("/console")).text, "/console/incidents")
    data = hidden | {"title": "Payments fail", "components": "payments", "customer_impact": "1"}
    first = await kit.http.post("/console/incidents", data=data)
    second = await kit.http.post("/console/incidents", data=data)
    assert first.status_code == second.status_code == 303
    assert first.headers["location"] == second.headers["location"]
    shown = await kit.http.get(first.headers["location"])
    assert shown.status_code == 200 and "Payments fail" in shown.text


async def test_a_bad_form_says_what_is_wrong(kit: Kit) -> None:
    incident_id = await make_incident(kit)
    await _sign_in(kit, "approver")
    path = f"/console/incidents/{incident_id}"
    hidden = _hidden((await kit.http.get(path)).text, f"{path}/reject")
    assert (await kit.http.post(f"{path}/reject", data=hidden)).status_code == 422
    empty = await kit.http.post(f"{path}/update", data=hidden | {"message": " "})
    assert empty.status_code == 422 and "message" in empty.text
    forged = await kit.http.post(f"{path}/approve", data=hidden | {"csrf": "x.y"})
    assert forged.status_code == 403
    down = await kit.http.post(f"{path}/approve", data=hidden)
    assert down.status_code == 503 and "Nothing was changed" in down.text
    assert (await kit.http.post(f"{path}/nonsense", data=hidden)).status_code == 404
