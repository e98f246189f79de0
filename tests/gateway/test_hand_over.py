"""Handing over, and the blast radius, through the staff API, the console and the door's checks."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.db.policies import PolicyStore
from domain.incident import AudienceCount, IncidentState, Pending, Stage
from domain.message import Channel, Moment
from domain.policy import Policy
from domain.signal import Severity
from tests.adapters.db.ledger_world import AUDIENCE, audience, customers
from tests.gateway.staff_kit import Kit, make_incident, staff_kit


@pytest.fixture
async def kit(engine: AsyncEngine, policy: Policy, now: datetime) -> AsyncIterator[Kit]:
    """Temporal is down: what is refused here is refused before it."""
    async with staff_kit(engine, policy, now) as made:
        yield made


async def waiting(kit: Kit, engine: AsyncEngine) -> str:
    """An incident with a pending draft, an audience, and all that its workflow wrote."""
    policy, now = kit.deps.policy, kit.clock()
    await PolicyStore(engine).save(policy, "test", now)
    pending = Pending(
        draft=1, moment=Moment.INITIAL, number=1, hash="h", channels=(Channel.EMAIL,),
        audience=AudienceCount(audience_id=AUDIENCE), stage=Stage.INVESTIGATING, asked_at=now,
        escalation_level=1, approvals=("ada",), approvals_needed=2,
    )  # fmt: skip
    state = IncidentState(
        id="inc_x", severity=Severity.P2, stage=Stage.INVESTIGATING,
        category="local_degradation", components=("payments",), started_at=now, opened_at=now,
        pending=pending, people={"commander": "Dana <b>"},
    )  # fmt: skip
    incident = await make_incident(
        kit,
        audience_id=AUDIENCE,
        state=state.model_dump(mode="json"),
        pending={
            "draft": 1, "moment": "initial", "hash": "h", "next_update_at": None,
            "asked_at": now.isoformat(), "channels": ["email"], "approvals": 1,
            "approvals_needed": 2,
        },
    )  # fmt: skip
    await customers(engine, now, 3)
    await audience(engine, now, range(3), incident_id=incident)
    return incident


async def test_who_is_asked_shows_hand_over_and_escalation(kit: Kit, engine: AsyncEngine) -> None:
    incident = await waiting(kit, engine)
    shown = await kit.http.get(f"/api/incidents/{incident}", headers=kit.auth("viewer"))
    assert shown.json()["asked"] == {"approver": "incident manager", "commander": "Dana <b>"}
    response = shown.json()["response"]
    assert response["acknowledged_at"] is None
    assert response["missing"] == ["cause", "eta", "share"]
    page = await kit.http.get(f"/console/incidents/{incident}", headers=kit.auth("approver"))
    assert "to approve: incident manager; commander: Dana &lt;b&gt;" in page.text
    assert "1 of 2 approvals." in page.text
    assert "nobody has acted yet" in page.text
    assert "cause, expected end, share of customers affected" in page.text
    assert "3 recipients in 3 accounts" in page.text
    assert "never imported" in page.text


async def test_the_blast_radius_has_its_own_route(kit: Kit, engine: AsyncEngine) -> None:
    incident = await waiting(kit, engine)
    path = f"/api/incidents/{incident}/blast-radius"
    answer = await kit.http.get(path, headers=kit.auth("viewer"))
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body["channels"] == {"email": {"reached": 3, "suppressed": {}}}
    assert body["summary"]["recipients"] == 3
    assert "user1@example.com" not in answer.text
    assert (await kit.http.get(path)).status_code == 401
    without = await make_incident(kit)
    none = await kit.http.get(f"/api/incidents/{without}/blast-radius", headers=kit.auth("viewer"))
    assert none.status_code == 404


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "role"),
        ({"role": "ceo", "to": "Dana"}, "role"),
        ({"role": "approver", "to": " "}, "to"),
        ({"role": "approver", "to": "x" * 101}, "to"),
        ({"role": "approver", "to": "a\x00b"}, "to"),
        ({"role": "approver", "to": "Dana", "when": "now"}, "when"),
    ],
)
async def test_a_bad_hand_over_names_its_field(kit: Kit, body: dict[str, str], field: str) -> None:
    incident = await make_incident(kit)
    path = f"/api/incidents/{incident}/hand-over"
    answer = await kit.http.post(path, json=body, headers=kit.auth("approver"))
    assert answer.status_code == 422
    assert field in {error["field"] for error in answer.json()["errors"]}


async def test_only_an_approver_hands_approval_over(kit: Kit) -> None:
    incident = await make_incident(kit)
    path = f"/api/incidents/{incident}/hand-over"
    for role, duty, expected in (
        ("viewer", "commander", 403),
        ("responder", "approver", 403),
        ("responder", "commander", 503),
        ("approver", "approver", 503),
    ):
        body = {"role": duty, "to": "Dana"}
        answer = await kit.http.post(path, json=body, headers=kit.auth(role))
        assert answer.status_code == expected, (role, duty, answer.text)
    missing = await kit.http.post(
        "/api/incidents/inc_none/hand-over",
        json={"role": "commander", "to": "Dana"},
        headers=kit.auth("admin"),
    )
    assert missing.status_code == 404
