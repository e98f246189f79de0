"""Credits at the door: seen by all roles, granted by approvers, told to the incident."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.db.credit_models import CreditRow
from domain.policy import Policy
from runtime.servers import TemporalServer
from tests.gateway.staff_kit import Kit, make_incident, staff_kit, stand_in


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


async def proposed(kit: Kit) -> str:
    """An incident with two proposals, one of them without a known fee."""
    incident_id = await make_incident(kit)
    working = {
        "spans": [], "excluded": [], "minutes": 130, "over_minutes": 120,
        "monthly_fee": "1000.00", "before": "0", "room": "1000.00",
    }  # fmt: skip
    async with kit.deps.engine.begin() as conn:
        for account, amount in (("big", Decimal(100)), ("dark", None)):
            await conn.execute(
                insert(CreditRow).values(
                    incident_id=incident_id, account_id=account, plan="enterprise", percent=10,
                    amount=amount, currency="USD", month="2026-05", working=working,
                    state="proposed", policy_hash="h", proposed_at=kit.clock.at,
                )
            )  # fmt: skip
    return incident_id


async def test_the_working_is_shown_and_the_incident_told(kit: Kit) -> None:
    incident_id = await proposed(kit)
    path = f"/api/incidents/{incident_id}/credits"
    seen = (await kit.http.get(path, headers=kit.auth("viewer"))).json()
    assert seen["totals"] == [
        {"state": "proposed", "accounts": 2, "total": "100.00", "unknown": 1, "currency": "USD"}
    ]
    assert [(i["account_id"], i["amount"]) for i in seen["items"]] == [
        ("big", "100.00"), ("dark", None),
    ]  # fmt: skip
    assert seen["items"][0]["working"]["over_minutes"] == 120
    body = {"decision": "approve", "total": "100.00"}
    for role, status in (("viewer", 403), ("responder", 403), ("approver", 200)):
        done = await kit.http.post(f"{path}/decision", json=body, headers=kit.auth(role))
        assert done.status_code == status, done.text
    assert await kit.seen(incident_id) == ["credits_approved 100.00 USD {'enterprise': '10'}"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"decision": "approve"}, "total"),
        ({"decision": "approve", "total": "-1"}, "total"),
        ({"decision": "approve", "total": "1.005"}, "total"),
        ({"decision": "approve", "total": "0", "accounts": ["dark"]}, "accounts"),
        ({"decision": "grant", "total": "100"}, "decision"),
    ],
)
async def test_a_bad_field_is_named(kit: Kit, body: dict[str, object], field: str) -> None:
    incident_id = await proposed(kit)
    path = f"/api/incidents/{incident_id}/credits/decision"
    got = await kit.http.post(path, json=body, headers=kit.auth("approver"))
    assert got.status_code == 422 and got.json()["errors"][0]["field"] == field, got.text
    assert await kit.seen(incident_id) == []


async def test_another_sum_than_was_seen_is_refused(kit: Kit) -> None:
    incident_id = await proposed(kit)
    path = f"/api/incidents/{incident_id}/credits"
    named = {"account_id": "dark", "amount": "5.00"}
    assert (
        await kit.http.post(f"{path}/amount", json=named, headers=kit.auth("approver"))
    ).status_code == 200
    body = {"decision": "approve", "total": "100.00"}
    got = await kit.http.post(f"{path}/decision", json=body, headers=kit.auth("approver"))
    assert got.status_code == 409 and "105.00" in got.json()["detail"]


async def test_after_the_end_an_approval_needs_no_workflow(kit: Kit) -> None:
    incident_id = await proposed(kit)
    kit.clock.forward(timedelta(days=20))
    async with kit.deps.engine.begin() as conn:
        await conn.exec_driver_sql("UPDATE incidents SET stage = 'closed'")
    body = {"decision": "approve", "total": "100.00"}
    path = f"/api/incidents/{incident_id}/credits/decision"
    got = await kit.http.post(path, json=body, headers=kit.auth("approver"))
    assert got.status_code == 200 and await kit.seen(incident_id) == []


async def test_the_console_grants_what_it_shows(kit: Kit) -> None:
    incident_id = await proposed(kit)
    await kit.http.post("/console/sign-in", data={"token": kit.secrets["approver"]})
    page = (await kit.http.get(f"/console/incidents/{incident_id}")).text
    assert "Approve 100.00 USD" in page and "130.0 min, over 120 min" in page
    form = page.split(f'action="/console/incidents/{incident_id}/credits"')[1].split("</form>")[0]
    hidden = {
        part.split('"')[0]: part.split('value="')[1].split('"')[0]
        for part in form.split('name="')[1:]
    }
    done = await kit.http.post(f"/console/incidents/{incident_id}/credits", data=hidden)
    assert done.status_code == 303, done.text
    again = (await kit.http.get(f"/console/incidents/{incident_id}")).text
    assert "approved: 100.00 USD" in again
