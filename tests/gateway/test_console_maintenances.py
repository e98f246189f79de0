"""The staff pages of planned work: planned, steered and seen without JavaScript."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.message import Channel
from domain.policy import Policy
from tests.gateway.maintenance_kit import Doors, doors_on

HOSTILE = "<script>alert(1)</script> \u202eevil"
LIST = "/console/maintenances"


@pytest.fixture
async def doors(engine: AsyncEngine, policy: Policy) -> AsyncIterator[Doors]:
    async with doors_on(engine, policy) as made:
        yield made


async def test_it_is_planned_and_steered_by_forms(doors: Doors) -> None:
    assert (await doors.ask("GET", LIST)).status_code == 401
    start = doors.deps.now() + timedelta(days=3)
    form = {
        "once": "a", "title": HOSTILE, "components": ["payments"], "impact": "degraded",
        "starts_at": f"{start:%Y-%m-%dT%H:%M}",
        "ends_at": f"{start + timedelta(hours=2):%Y-%m-%dT%H:%M}",
    }  # fmt: skip
    answer = await doors.ask("POST", LIST, "responder", data=form)
    assert answer.status_code == 303, answer.text
    place = answer.headers["location"].partition("?")[0]
    id_ = place.rpartition("/")[2]
    doors.world.incidents[id_] = None
    page = await doors.ask("GET", place, "viewer")
    assert page.status_code == 200
    assert "<script>alert" not in page.text
    assert "\u202e" not in page.text
    assert "<form" not in re.sub(r"<form[^>]*sign-out.*?</form>", "", page.text, flags=re.S), (
        "a viewer may only look"
    )
    listed = await doors.ask("GET", LIST, "viewer")
    assert place in listed.text

    await doors.world.pending(id_, "maintenance_notice")
    queue = await doors.ask("GET", f"/console/incidents/{id_}", "approver")
    assert "also approves the fixed words" in queue.text
    assert "False alarm" not in queue.text, "what only incidents can be is not offered"
    done = await doors.ask("POST", f"{place}/start", "responder", data={"once": "b"})
    assert done.status_code == 303
    after = await doors.ask("GET", place, "responder")
    assert "It takes longer" in after.text


async def test_what_is_wrong_in_a_form_is_said_on_the_page(doors: Doors) -> None:
    form = {"once": "a", "title": "t", "components": ["payments"], "impact": "degraded"}
    answer = await doors.ask("POST", LIST, "responder", data=form)
    assert answer.status_code == 422
    assert "starts_at" in answer.text
    assert (await doors.ask("POST", LIST, "viewer", data=form)).status_code in (403, 422)


async def test_objections_and_sent_rows_are_shown(doors: Doors) -> None:
    id_ = await doors.announced(starts_in=timedelta(days=4))
    account = doors.world.senders[Channel.EMAIL].sent[0].recipient.account_id
    form = {"once": "o", "account_id": account, "reason": HOSTILE}
    done = await doors.ask("POST", f"{LIST}/{id_}/objection", "responder", data=form)
    assert done.status_code == 303, done.text
    page = await doors.ask("GET", f"{LIST}/{id_}", "viewer")
    assert str(account) in page.text
    assert "<script>alert" not in page.text
