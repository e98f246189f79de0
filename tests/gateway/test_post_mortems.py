"""Post-mortems at the doors: read, stated, refused, written again."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from datetime import datetime

import pytest
from sqlalchemy import insert, text
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.db.models import AccountRow
from adapters.db.notes import Notes
from adapters.db.post_mortems import PostMortemStore
from domain.policy import Policy
from domain.post_mortem import Statement
from runtime.servers import TemporalServer
from tests.gateway.staff_kit import URL, Kit, make_incident, staff_kit, stand_in

GOOD = {
    "summary": "Payments failed.", "cause": "A change of ours had a fault.",
    "root_cause": "db-primary-7.internal was locked", "error_rate_percent": 4.5,
    "prevention": [{"text": "We test twice", "visible": True, "owner": "Ada"}],
}  # fmt: skip


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


async def _under_review(kit: Kit) -> str:
    pending = {"draft": 1, "moment": "post_mortem", "hash": "h", "next_update_at": None}
    incident_id = await make_incident(kit, stage="resolved", post_mortem="drafted", pending=pending)
    await PostMortemStore(kit.deps.engine).save_internal(
        incident_id, True, kit.clock(), "# Post-mortem\n\n- one <b>\n", 1
    )
    return incident_id


async def test_reading_it(kit: Kit) -> None:
    incident_id = await _under_review(kit)
    await Notes(kit.deps.engine).save(
        incident_id, "We restart db-primary-7.internal.", "Ada", kit.clock()
    )
    path = f"/api/incidents/{incident_id}/post-mortem"
    got = await kit.http.get(path, headers=kit.auth("viewer"))
    assert got.status_code == 200, got.text
    found = got.json()
    assert (found["state"], found["version"], found["report_url"]) == ("drafted", 1, None)
    assert found["markdown"].startswith("# Post-mortem")
    assert "<h1>Post-mortem</h1>" in found["html"] and "one &lt;b&gt;" in found["html"]
    assert found["left_out"][0]["where"] == "update 1, paragraph 1"
    assert (await kit.http.get(path)).status_code == 401
    await PostMortemStore(kit.deps.engine).finish(incident_id, "published", 1, "Bob", kit.clock())
    found = (await kit.http.get(path, headers=kit.auth("viewer"))).json()
    assert found["report_url"] == f"{URL}/incidents/{incident_id}/report"


async def test_an_incident_without_one(kit: Kit) -> None:
    incident_id = await make_incident(kit)
    path = f"/api/incidents/{incident_id}/post-mortem"
    found = (await kit.http.get(path, headers=kit.auth("viewer"))).json()
    assert (found["state"], found["markdown"], found["html"]) == ("none", None, None)
    nowhere = await kit.http.get("/api/incidents/inc_x/post-mortem", headers=kit.auth("viewer"))
    assert nowhere.status_code == 404


async def test_what_is_stated_has_the_draft_written_again_once(kit: Kit) -> None:
    incident_id = await _under_review(kit)
    path = f"/api/incidents/{incident_id}/post-mortem"
    for _ in range(2):
        got = await kit.http.post(path, json=GOOD, headers=kit.auth("responder", "k1"))
        assert got.json() == {"incident_id": incident_id, "rewriting": True}, got.text
    assert await kit.seen(incident_id) == ["reject 1 by the responder as approver"]
    found = (await kit.http.get(path, headers=kit.auth("viewer"))).json()
    assert found["statement"]["prevention"][0]["owner"] == "Ada"
    assert found["statement"]["error_rate_percent"] == 4.5


async def test_before_there_is_a_draft_it_is_only_kept(kit: Kit) -> None:
    incident_id = await make_incident(kit)
    path = f"/api/incidents/{incident_id}/post-mortem"
    got = await kit.http.post(path, json=GOOD, headers=kit.auth("responder"))
    assert got.json()["rewriting"] is False
    assert await kit.seen(incident_id) == []


@pytest.mark.parametrize(
    ("body", "rule", "where"),
    [
        ({"cause": "db-primary-7.internal failed."}, "internal", "cause:0"),
        ({"summary": "Globex Corporation told us."}, "customer_name", "summary:0"),
        ({"prevention": [{"text": "x"}, {"text": "See OPS-1234", "visible": True}]}, "ticket_id",
         "prevention.1.text:4"),
        ({"fixed": "The new password is Tr0ub4dor."}, "secret", "fixed:8"),
    ],
)  # fmt: skip
async def test_what_customers_must_not_read_is_refused_with_its_place(
    kit: Kit, body: object, rule: str, where: str
) -> None:
    incident_id = await _under_review(kit)
    async with kit.deps.engine.begin() as conn:
        await conn.execute(
            insert(AccountRow).values(
                id="acc_1", name="Globex Corporation", features=[], activity={}, regimes=[],
                imported_at=kit.clock(),
            )
        )  # fmt: skip
    path = f"/api/incidents/{incident_id}/post-mortem"
    got = await kit.http.post(path, json=body, headers=kit.auth("responder"))
    assert got.status_code == 422, got.text
    assert (rule, where) in {(f["rule"], f["where"]) for f in got.json()["findings"]}
    assert await kit.seen(incident_id) == []
    found = (await kit.http.get(path, headers=kit.auth("viewer"))).json()
    assert found["statement"]["cause"] == "", "nothing was kept"


async def test_who_may_and_when(kit: Kit) -> None:
    incident_id = await _under_review(kit)
    path = f"/api/incidents/{incident_id}/post-mortem"
    assert (await kit.http.post(path, json=GOOD, headers=kit.auth("viewer"))).status_code == 403
    bad = {"prevention": [{"text": "x", "visibel": True}]}
    refused = await kit.http.post(path, json=bad, headers=kit.auth("responder"))
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["field"] == "prevention.0.visibel"
    async with kit.deps.engine.begin() as conn:
        await conn.execute(text("UPDATE incidents SET post_mortem = 'published'"))
    late = await kit.http.post(path, json=GOOD, headers=kit.auth("responder"))
    assert (late.status_code, late.json()["type"]) == (409, "urn:forewarn:problem:already_sent")


async def test_the_console_shows_it(kit: Kit) -> None:
    incident_id = await _under_review(kit)
    await kit.http.post("/console/sign-in", data={"token": kit.secrets["viewer"]})
    page = await kit.http.get(f"/console/incidents/{incident_id}/post-mortem")
    assert page.status_code == 200
    assert "<h1>Post-mortem</h1>" in page.text and "one &lt;b&gt;" in page.text
    whole = await kit.http.get(f"/console/incidents/{incident_id}")
    assert f'href="/console/incidents/{incident_id}/post-mortem"' in whole.text


async def test_the_console_takes_a_statement(kit: Kit) -> None:
    incident_id = await make_incident(kit)
    store = PostMortemStore(kit.deps.engine)
    await store.state(incident_id, Statement.model_validate(GOOD), "Ada", kit.clock())
    await kit.http.post("/console/sign-in", data={"token": kit.secrets["responder"]})
    path = f"/console/incidents/{incident_id}/post-mortem"
    page = (await kit.http.get(path)).text
    hidden = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', page))
    typed = {"summary": "Payments failed.\r\nFor long.", "visible": "We test twice\r\n",
             "internal": "Move it", "error_rate_percent": ""}  # fmt: skip
    done = await kit.http.post(path, data=hidden | typed)
    assert (done.status_code, done.headers["location"]) == (303, f"{path}?done=stated")
    kept = await store.statement(incident_id)
    assert kept.summary == "Payments failed.\nFor long." and kept.error_rate_percent is None
    assert [(a.text, a.visible, a.owner) for a in kept.prevention] == [
        ("We test twice", True, "Ada"), ("Move it", False, ""),
    ]  # fmt: skip
    page = (await kit.http.get(path)).text
    hidden = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', page))
    refused = await kit.http.post(path, data=hidden | {"summary": "db-primary-7.internal broke"})
    assert refused.status_code == 422 and "Nothing was changed" in refused.text
    assert (await store.statement(incident_id)).summary == kept.summary


async def test_the_report_on_edits(kit: Kit) -> None:
    got = await kit.http.get("/api/analytics/edits", headers=kit.auth("viewer"))
    assert got.status_code == 200, got.text
    assert got.json()["share_unedited"] is None and got.json()["complete"] is True
    long = {"since": "2020-01-01T00:00:00Z"}
    refused = await kit.http.get("/api/analytics/edits", params=long, headers=kit.auth("viewer"))
    assert refused.status_code == 422 and refused.json()["errors"][0]["field"] == "since"
    assert (await kit.http.get("/api/analytics/edits")).status_code == 401
