"""The policy by HTTP: putting one in force at once, and whom that is allowed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.db.models import IncidentRow
from adapters.db.policies_in_force import PoliciesInForce
from domain.policy import Policy
from gateway import policy_api, status_page
from tests.gateway.staff_kit import Kit, make_incident, staff_kit


@pytest.fixture
async def kit(engine: AsyncEngine, policy: Policy, now: datetime) -> AsyncIterator[Kit]:
    await PoliciesInForce(engine).begin(policy, "default.yaml", now)
    async with staff_kit(engine, policy, now) as kit:
        kit.app.include_router(policy_api.router(kit.deps))
        kit.app.router.routes.extend(status_page.Pages(kit.deps).routes)
        yield kit


def content(policy: Policy, name: str = "Acme Sky") -> dict[str, Any]:
    whole = policy.model_dump(mode="json")
    whole["company"]["name"] = name
    whole["components"][0]["names"]["en"] = "The whole web"
    return whole


async def test_a_policy_rules_at_once_everywhere_in_the_gateway(kit: Kit, policy: Policy) -> None:
    assert "Acme Cloud" in (await kit.http.get("/")).text
    body = {"policy": content(policy), "source": "mine.yaml"}
    done = await kit.http.post("/api/policy", json=body, headers=kit.auth("admin"))
    assert done.status_code == 200, done.text
    answer = done.json()
    assert answer["changed"] and answer["previous"] == policy.hash
    assert {"path": "company.name", "old": "Acme Cloud", "new": "Acme Sky"} in answer["changes"]

    page = (await kit.http.get("/")).text
    assert "Acme Sky" in page and "The whole web" in page
    started = await kit.http.post(
        "/api/incidents",
        json={"title": "Payments fail", "components": ["payments"]},
        headers=kit.auth("responder"),
    )
    async with kit.deps.engine.connect() as conn:
        begun = select(IncidentRow.policy_hash).where(IncidentRow.id == started.json()["id"])
        assert await conn.scalar(begun) == answer["hash"]
    now = (await kit.http.get("/api/policy", headers=kit.auth("viewer"))).json()
    assert now["hash"] == answer["hash"] == kit.deps.policy_hash
    assert [entry["by"] for entry in now["history"]] == ["the admin", "forewarn"]
    old = await kit.http.get(f"/api/policy/{policy.hash}", headers=kit.auth("viewer"))
    assert old.json()["policy"]["company"]["name"] == "Acme Cloud"


async def test_a_wrong_policy_changes_nothing_and_says_where(kit: Kit, policy: Policy) -> None:
    wrong = content(policy)
    wrong["approval"]["remind_after"] = "soon"
    done = await kit.http.post("/api/policy", json={"policy": wrong}, headers=kit.auth("admin"))
    assert done.status_code == 422
    assert done.json()["errors"][0]["field"] == "approval.remind_after"
    assert kit.deps.policy_hash == policy.hash
    assert await PoliciesInForce(kit.deps.engine).now() == policy.hash


@pytest.mark.parametrize("role", ["viewer", "responder", "approver", "compliance"])
async def test_only_an_admin_may(kit: Kit, policy: Policy, role: str) -> None:
    body = {"policy": content(policy)}
    assert (await kit.http.post("/api/policy", json=body)).status_code == 401
    done = await kit.http.post("/api/policy", json=body, headers=kit.auth(role))
    assert done.status_code == 403
    incident = await make_incident(kit)
    one = await kit.http.post(f"/api/incidents/{incident}/policy", json={}, headers=kit.auth(role))
    assert one.status_code == 403


async def test_what_is_not_there_is_not_found(kit: Kit) -> None:
    admin = kit.auth("admin")
    assert (await kit.http.get("/api/policy/" + "0" * 16, headers=admin)).status_code == 404
    assert (await kit.http.get("/api/policy/default.yaml", headers=admin)).status_code == 422
    body = {"hash": "0" * 16}
    incident = await make_incident(kit)
    gone = await kit.http.post(f"/api/incidents/{incident}/policy", json=body, headers=admin)
    assert gone.status_code == 404
    none = await kit.http.post("/api/incidents/inc_none/policy", json={}, headers=admin)
    assert none.status_code == 404


async def test_editors_and_previews_follow(kit: Kit, policy: Policy) -> None:
    """What is built once at the start is told: a name that was allowed yesterday is jargon now."""
    incident = await make_incident(kit)
    text = {"channel": "status_page", "locale": "en", "subject": "Update", "text": "The wombat. "
            "[[link:status]] [[time:next_update]]"}  # fmt: skip

    async def rules() -> set[str]:
        answer = await kit.http.post(
            f"/api/incidents/{incident}/draft-check", json=text, headers=kit.auth("responder")
        )
        return {finding["rule"] for finding in answer.json()["findings"]}

    assert "jargon" not in await rules()
    stricter = content(policy)
    stricter["jargon"]["en"]["wombat"] = "our systems"
    await kit.http.post("/api/policy", json={"policy": stricter}, headers=kit.auth("admin"))
    assert "jargon" in await rules()
