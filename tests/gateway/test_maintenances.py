"""Planned work through its doors: staff plan it, the public reads of it and may object."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.db.models import AccountRow
from domain.message import Channel
from domain.policy import Policy
from domain.tokens import sign
from tests.gateway.maintenance_kit import SECRET, Doors, doors_on

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@pytest.fixture
async def doors(engine: AsyncEngine, policy: Policy) -> AsyncIterator[Doors]:
    async with doors_on(engine, policy) as made:
        yield made


async def test_it_is_planned_approved_and_ended_by_the_api(doors: Doors) -> None:
    made = await doors.schedule(starts_in=HOUR / 2)
    id_ = made["id"]
    assert (made["stage"], made["workflow_id"]) == ("scheduled", f"maintenance/{id_}")
    assert made["url"] == f"https://status.example/maintenances/{id_}"
    await doors.approve(id_, "maintenance_notice")
    await doors.world.until_sent(Channel.STATUS_PAGE, 1)
    shown = await doors.get(f"/api/maintenances/{id_}", "viewer")
    assert shown["told_start"] == made["starts_at"]
    assert shown["audience"]["recipients"] > 0
    began = await doors.ask("POST", f"/api/maintenances/{id_}/start", "responder")
    assert began.json()["stage"] == "in_progress"
    await doors.world.until_sent(Channel.STATUS_PAGE, 2)
    await doors.ask("POST", f"/api/maintenances/{id_}/complete", "responder")
    await doors.world.until_sent(Channel.STATUS_PAGE, 3)
    await doors.world.handle(id_).result()
    lines = await doors.get(f"/api/maintenances/{id_}/timeline", "viewer")
    assert "maintenance_completed" in [line["kind"] for line in lines["items"]]
    listed = await doors.get("/api/maintenances?open=true", "viewer")
    assert listed["items"] == []
    again = await doors.ask("POST", f"/api/maintenances/{id_}/complete", "responder")
    assert again.status_code == 409
    assert again.json()["type"].endswith("not_open")


async def test_the_same_request_again_plans_it_once(doors: Doors) -> None:
    key = {"Idempotency-Key": "once"}
    start = (doors.deps.now() + DAY).isoformat()
    body = {
        "title": "Faster storage", "components": ["payments"], "starts_at": start,
        "ends_at": (doors.deps.now() + DAY + HOUR).isoformat(), "impact": "none",
    }  # fmt: skip
    answers = [
        await doors.ask("POST", "/api/maintenances", "responder", json=body, headers=key)
        for _ in range(2)
    ]
    assert answers[0].json()["id"] == answers[1].json()["id"]
    doors.world.incidents[answers[0].json()["id"]] = None
    assert len((await doors.get("/api/maintenances", "viewer"))["items"]) == 1
    assert (await doors.get("/api/incidents", "viewer"))["items"] == [], "it is no incident"
    await doors.world.pending(answers[0].json()["id"], "maintenance_notice")
    waiting = await doors.get("/api/incidents?waiting=true", "viewer")
    assert [item["id"] for item in waiting["items"]] == [answers[0].json()["id"]]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"ends_at": "2020-01-01T00:00:00Z"}, "ends_at"),
        ({"starts_at": "2020-01-01T00:00:00Z"}, "starts_at"),
        ({"starts_at": "2026-03-01T22:00:00"}, "starts_at"),
        ({"starts_at": "2099-01-01T00:00:00Z", "ends_at": "2099-01-01T01:00:00Z"}, "starts_at"),
        ({"components": ["nothing-we-know"]}, "components.0"),
        ({"components": []}, "components"),
        ({"regions": ["moon"]}, "regions.0"),
        ({"impact": "terrible"}, "impact"),
        ({"title": ""}, "title"),
        ({"title": "x" * 301}, "title"),
        ({"objections_until": "2099-01-01T00:00:00Z"}, "objections_until"),
        ({"colour": "blue"}, "colour"),
    ],
)
async def test_bad_input_names_its_field(doors: Doors, changes: dict[str, Any], field: str) -> None:
    start = doors.deps.now() + DAY
    body = {
        "title": "Faster storage", "components": ["payments"], "starts_at": start.isoformat(),
        "ends_at": (start + HOUR).isoformat(), "impact": "degraded",
    } | changes  # fmt: skip
    answer = await doors.ask("POST", "/api/maintenances", "responder", json=body)
    assert answer.status_code == 422, answer.text
    named = {error["field"].removeprefix("body.") for error in answer.json()["errors"]}
    assert field in named, answer.text
    assert all(error["allowed"] for error in answer.json()["errors"])


async def test_words_that_customers_should_not_read_are_left_out_and_named(doors: Doors) -> None:
    made = await doors.schedule(title="Database failover on db-7.internal.acme.example")
    assert {item["field"] for item in made["withheld"]} == {"title"}
    id_ = made["id"]
    await doors.approve(id_, "maintenance_notice")
    mails = await doors.world.until_sent(Channel.EMAIL, 1)
    assert "atabase" not in mails[0].text


async def test_roles_and_unknown_ids(doors: Doors) -> None:
    assert (await doors.ask("GET", "/api/maintenances")).status_code == 401
    body: dict[str, Any] = {}
    assert (await doors.ask("POST", "/api/maintenances", "viewer", json=body)).status_code == 403
    unknown = await doors.ask("POST", "/api/maintenances/mnt_nothing/start", "responder")
    assert unknown.status_code == 404


async def test_it_waits_in_postgresql_while_temporal_is_away(doors: Doors) -> None:
    doors.deps.temporal.mark_down()
    made = await doors.schedule()
    assert made["stage"] == "scheduled"

    async def told() -> bool:
        if doors.deps.temporal.down:
            return False
        await doors.relay.run_once()
        return True

    await doors.world.until("Temporal is back", told)
    await doors.world.pending(made["id"], "maintenance_notice")


async def test_the_status_page_and_its_json_show_it(doors: Doors) -> None:
    id_ = await doors.announced(starts_in=HOUR / 2)
    upcoming = await doors.get("/api/v2/scheduled-maintenances/upcoming.json")
    work = upcoming["scheduled_maintenances"][0]
    assert (work["id"], work["status"], work["impact"]) == (id_, "scheduled", "maintenance")
    assert work["scheduled_for"] < work["scheduled_until"]
    assert [c["id"] for c in work["components"]] == ["payments"]
    assert (await doors.get("/api/v2/scheduled-maintenances/active.json"))[
        "scheduled_maintenances"
    ] == []
    assert (await doors.get("/api/v2/incidents.json"))["incidents"] == []
    page = await doors.ask("GET", "/?lang=en")
    assert f"/maintenances/{id_}" in page.text
    assert "Planned maintenance" in page.text
    detail = await doors.ask("GET", f"/maintenances/{id_}?lang=de")
    assert detail.status_code == 200
    assert "Kann langsam sein" in detail.text

    await doors.ask("POST", f"/api/maintenances/{id_}/start", "responder")
    await doors.world.until_sent(Channel.STATUS_PAGE, 2)
    await doors.forward(timedelta(seconds=2))

    # The page reads its records at most once a second.
    async def shown(path: str, status: str) -> bool:
        found = (await doors.get(path))["scheduled_maintenances"]
        return bool(found) and found[0]["status"] == status

    await doors.world.until(
        "it is in progress", lambda: shown("/api/v2/summary.json", "in_progress")
    )
    summary = await doors.get("/api/v2/summary.json?lang=en")
    assert summary["status"] == {
        "indicator": "maintenance",
        "description": "Service Under Maintenance",
    }
    states = {c["id"]: c["status"] for c in summary["components"]}
    assert states["payments"] == "under_maintenance"
    assert states["dashboard"] == "operational"
    update = summary["scheduled_maintenances"][0]["incident_updates"][0]
    assert update["affected_components"][0]["new_status"] == "under_maintenance"

    await doors.ask("POST", f"/api/maintenances/{id_}/complete", "responder")
    await doors.world.until_sent(Channel.STATUS_PAGE, 3)
    await doors.world.handle(id_).result()
    await doors.world.until(
        "it is completed", lambda: shown("/api/v2/scheduled-maintenances.json", "completed")
    )
    summary = await doors.get("/api/v2/summary.json")
    assert summary["scheduled_maintenances"] == []
    assert summary["status"]["indicator"] == "none"


async def test_feeds_calendar_and_banner_tell_of_it(doors: Doors) -> None:
    id_ = await doors.announced(starts_in=2 * HOUR)
    assert f"urn:forewarn:maintenance:{id_}" in (await doors.ask("GET", "/history.atom")).text
    calendar = (await doors.ask("GET", "/maintenances.ics")).text
    assert f"UID:{id_}@forewarn\r\n" in calendar
    assert all(len(line.encode()) <= 75 for line in calendar.split("\r\n"))
    shown = (await doors.get("/api/incidents/active?lang=en"))["items"]
    assert [(i["id"], i["level"], i["dismissible"]) for i in shown] == [(id_, "info", True)]
    assert shown[0]["status_url"].endswith(f"/maintenances/{id_}")
    heard = doors.world.senders[Channel.IN_APP].sent[0].recipient.account_id
    other = sign(SECRET, "account", {"a": "somebody-else"})
    assert (await doors.get(f"/api/incidents/active?token={other}"))["items"] == []
    own = sign(SECRET, "account", {"a": heard})
    assert len((await doors.get(f"/api/incidents/active?token={own}"))["items"]) == 1


async def test_work_that_is_far_ahead_is_not_in_the_banner(doors: Doors) -> None:
    await doors.announced(starts_in=3 * DAY)
    assert (await doors.get("/api/incidents/active"))["items"] == []


async def test_nothing_is_public_before_it_is_approved(doors: Doors) -> None:
    made = await doors.schedule()
    await doors.world.pending(made["id"], "maintenance_notice")
    assert (await doors.ask("GET", f"/maintenances/{made['id']}")).status_code == 404
    whole = await doors.get("/api/v2/scheduled-maintenances.json")
    assert whole["scheduled_maintenances"] == []


async def personal(doors: Doors, id_: str) -> tuple[str, str]:
    """A link as it stands in a mail, and its account."""
    mail = doors.world.senders[Channel.EMAIL].sent[0]
    account = mail.recipient.account_id or ""
    held = {"m": id_, "c": mail.recipient.contact_id, "a": account}
    return f"/maintenances/{id_}/object/{sign(SECRET, 'objection', held)}", account


async def objections(doors: Doors, id_: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (
        await doors.get(f"/api/maintenances/{id_}/objections", "viewer")
    )["items"]
    return found


async def test_an_objection_by_link_becomes_a_task(doors: Doors) -> None:
    id_ = await doors.announced(starts_in=4 * DAY)
    link, account = await personal(doors, id_)
    asked = await doors.ask("GET", f"{link}?lang=en")
    assert asked.status_code == 200
    assert "Object to this time" in asked.text
    assert await objections(doors, id_) == [], "whoever only looks does not object"
    done = await doors.ask("POST", link, data={"reason": "Our sale\x00 starts <b>then</b>"})
    assert done.status_code == 200
    found = await objections(doors, id_)
    assert (found[0]["account_id"], found[0]["late"]) == (account, False)
    assert found[0]["reason"] == "Our sale  starts <b>then</b>"
    async with doors.deps.engine.connect() as conn:
        csm = await conn.scalar(select(AccountRow.csm).where(AccountRow.id == account))
    assert found[0]["assignee"] == (csm or "support lead")
    await doors.ask("POST", link)
    assert len(await objections(doors, id_)) == 1, "twice is once"

    async def noted() -> bool:
        return "objection" in await doors.world.timeline(id_)

    await doors.world.until("the objection on the timeline", noted)


async def test_a_late_objection_is_recorded_as_late(doors: Doors) -> None:
    id_ = await doors.announced(starts_in=DAY)
    link, _ = await personal(doors, id_)
    done = await doors.ask("POST", f"{link}?lang=en")
    assert "deadline" in done.text
    found = await objections(doors, id_)
    assert (found[0]["late"], found[0]["assignee"]) == (True, None)


async def test_a_link_is_good_for_its_own_maintenance_only(doors: Doors) -> None:
    id_ = await doors.announced(starts_in=4 * DAY)
    held = {"m": "mnt_another", "a": "x"}
    forged = sign(SECRET, "objection", held)
    unsubscribe = sign(SECRET, "unsubscribe", {"m": id_, "c": "c"})
    for token in (forged, unsubscribe, "nonsense"):
        for method in ("GET", "POST"):
            answer = await doors.ask(method, f"/maintenances/{id_}/object/{token}")
            assert answer.status_code == 404
    assert await objections(doors, id_) == []


async def test_an_objection_by_reply_is_recorded_by_staff(doors: Doors) -> None:
    id_ = await doors.announced(starts_in=4 * DAY)
    account = doors.world.senders[Channel.EMAIL].sent[0].recipient.account_id
    async with doors.deps.engine.begin() as conn:
        await conn.execute(update(AccountRow).where(AccountRow.id == account).values(csm="casey"))
    path = f"/api/maintenances/{id_}/objections"
    body = {"account_id": account, "reason": "They called."}
    answer = await doors.ask("POST", path, "responder", json=body)
    assert answer.status_code == 201
    assert answer.json()["assignee"] == "casey"
    unknown = await doors.ask("POST", path, "responder", json={"account_id": "nobody"})
    assert unknown.status_code == 422
    assert unknown.json()["errors"][0]["field"] == "account_id"


async def test_an_overrun_is_validated_and_can_become_an_incident(doors: Doors) -> None:
    id_ = await doors.announced(starts_in=HOUR / 2)
    await doors.ask("POST", f"/api/maintenances/{id_}/start", "responder")
    path = f"/api/maintenances/{id_}/extend"
    early = await doors.ask(
        "POST", path, "responder", json={"ends_at": doors.deps.now().isoformat()}
    )
    assert early.status_code == 422
    assert early.json()["errors"][0]["field"] == "ends_at"
    answer = await doors.ask("POST", f"/api/maintenances/{id_}/escalate", "responder")
    assert answer.status_code == 201, answer.text
    incident = answer.json()["incident_id"]
    doors.world.incidents[incident] = None
    assert incident.startswith("inc_")
    shown = await doors.get(f"/api/maintenances/{id_}", "viewer")
    assert shown["incidents"] == [incident]
    assert (await doors.get(f"/api/incidents/{incident}", "viewer"))["components"] == ["payments"]


async def test_advice_has_a_buffer_and_admits_what_it_does_not_know(doors: Doors) -> None:
    path = "/api/maintenances/advice?estimate=2h&component=payments"
    found = await doors.get(path, "viewer")
    assert (found["estimate"], found["lasts"]) == (120, 180)
    assert found["enough_data"] is False
    assert found["windows"] == []
    bad = await doors.ask("GET", "/api/maintenances/advice?estimate=x&component=payments", "viewer")
    assert bad.json()["errors"][0]["field"] == "estimate"
