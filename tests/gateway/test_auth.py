"""Who gets in, and as what."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime, timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine
from structlog.testing import capture_logs

from adapters.db.tokens import Tokens
from domain.errors import BadInput, NotFound
from domain.policy import Policy
from tests.gateway.staff_kit import ROLES, Kit, make_incident, staff_kit

READ = ("/api/incidents", *(f"/api/incidents/ID{tail}" for tail in (
    "", "/timeline", "/audience", "/drafts", "/deliveries", "/deliveries?summary=1")),
    "/api/analytics", "/console", "/console/incidents/ID")  # fmt: skip
COMMANDS = ("updates", "severity", "confirm", "dismiss", "resolve", "false-alarm", "draft-check",
            "acknowledge")  # fmt: skip
RESPOND = tuple(f"/api/incidents/ID/{name}" for name in COMMANDS)
APPROVE = ("/api/incidents/ID/decision", "/api/sends/pause", "/api/sends/resume")
ALLOWED: dict[tuple[str, str], set[str]] = {
    **{("GET", path): set(ROLES) for path in READ},
    ("GET", "/api/audit"): {"compliance", "admin"},
    ("POST", "/api/incidents"): {"responder", "approver", "admin"},
    **{("POST", path): {"responder", "approver", "admin"} for path in RESPOND},
    **{("POST", path): {"approver", "admin"} for path in APPROVE},
}
BODIES = {
    "/api/incidents": {"title": "x"},
    "updates": {"message": "x"},
    "severity": {"severity": "P1"},
    "draft-check": {"channel": "email", "locale": "en", "text": "x"},
    "decision": {"draft": 1, "decision": "approve"},
}


@pytest.fixture
async def kit(engine: AsyncEngine, policy: Policy, now: datetime) -> AsyncIterator[Kit]:
    async with staff_kit(engine, policy, now) as opened:
        yield opened


async def test_every_route_for_every_role(kit: Kit) -> None:
    incident_id = await make_incident(kit)
    for (method, route), allowed in ALLOWED.items():
        path = route.replace("ID", incident_id)
        body = BODIES.get(route) or BODIES.get(route.rsplit("/", 1)[-1])
        without = await kit.http.request(method, path, json=body)
        assert without.status_code == 401, (method, route)
        for role in ROLES:
            # Temporal is down here: a command that is let in ends with 503.
            answer = await kit.http.request(method, path, json=body, headers=kit.auth(role))
            let_in = answer.status_code in (200, 201, 503)
            assert let_in == (role in allowed), (method, route, role, answer.text)
            if not let_in:
                assert answer.status_code == 403, (method, route, role, answer.text)
                assert answer.json()["type"] == "urn:forewarn:problem:forbidden"


@pytest.mark.parametrize(
    "header", ["Bearer", "Bearer ", "Bearer fw_wrong", "Basic Zm9vOmJhcg==", "fw_", "Bearer \xff"]
)
async def test_bad_credentials_are_refused_and_never_logged(kit: Kit, header: str) -> None:
    with capture_logs() as logs:
        answer = await kit.http.get(
            "/api/incidents", headers={b"Authorization": header.encode("latin-1")}
        )
    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"
    assert "fw_wrong" not in str(logs)


async def test_failures_are_counted_within_a_minute(kit: Kit) -> None:
    bad = {"Authorization": "Bearer fw_wrong"}
    with capture_logs() as logs:
        await kit.http.get("/api/incidents", headers=bad)
        await kit.http.get("/api/incidents", headers=bad)
        kit.clock.forward(timedelta(minutes=2))
        await kit.http.get("/api/incidents", headers=bad)
    counts = [line["failures_last_minute"] for line in logs if line["event"] == "sign_in_failed"]
    assert counts == [1, 2, 1]


async def test_a_revoked_token_ends_its_sessions(kit: Kit) -> None:
    signed = await kit.http.post("/console/sign-in", data={"token": kit.secrets["viewer"]})
    assert signed.status_code == 303
    cookie = signed.headers["set-cookie"].lower()
    assert "httponly" in cookie and "samesite=strict" in cookie
    assert kit.secrets["viewer"].lower() not in cookie
    assert (await kit.http.get("/api/incidents")).status_code == 200
    await Tokens(kit.deps.engine).revoke("the viewer", kit.clock())
    assert (await kit.http.get("/api/incidents")).status_code == 401
    assert (await kit.http.get("/api/incidents", headers=kit.auth("viewer"))).status_code == 401


async def test_a_session_runs_out_and_cannot_be_forged(kit: Kit) -> None:
    await kit.http.post("/console/sign-in", data={"token": kit.secrets["viewer"]})
    cookie = kit.http.cookies["forewarn_session"]
    kit.clock.forward(timedelta(hours=13))
    assert (await kit.http.get("/api/incidents")).status_code == 401
    kit.clock.forward(-timedelta(hours=13))
    kit.http.cookies.clear()
    forged = {"Cookie": f"forewarn_session={cookie[:-2]}AA"}
    assert (await kit.http.get("/api/incidents", headers=forged)).status_code == 401


async def test_a_session_cannot_command_from_another_site(kit: Kit) -> None:
    await kit.http.post("/console/sign-in", data={"token": kit.secrets["approver"]})
    answer = await kit.http.post("/api/sends/pause")
    assert answer.status_code == 403
    cross = {"Sec-Fetch-Site": "cross-site"}
    data = {"token": kit.secrets["approver"]}
    assert (await kit.http.post("/console/sign-in", data=data, headers=cross)).status_code == 403


async def test_only_a_hash_is_kept(kit: Kit) -> None:
    async with kit.deps.engine.connect() as conn:
        rows = str((await conn.execute(text("SELECT t::text FROM tokens t"))).all())
    assert kit.secrets["admin"] not in rows and kit.secrets["admin"][3:] not in rows


async def test_tokens_need_a_name_and_known_roles(kit: Kit) -> None:
    tokens = Tokens(kit.deps.engine)
    for name, roles in (("", ["viewer"]), ("x", []), ("x", ["root"]), ("a\x00b", ["viewer"])):
        with pytest.raises(BadInput):
            await tokens.create(name, roles)
    with pytest.raises(NotFound):
        await tokens.revoke("nobody", kit.clock())
