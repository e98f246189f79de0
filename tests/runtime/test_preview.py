"""A preview says what would be said of an incident, and keeps nothing of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.db.policies import PolicyStore
from domain.errors import BadInput, Refused
from domain.incident import IncidentState, Pending, Promise, Stage
from domain.message import Channel, Moment
from domain.policy import Policy
from domain.signal import Severity
from runtime.commands.preview import as_rows, write_page
from runtime.preview import preview
from tests.gateway.staff_kit import Kit, make_incident, staff_kit

URL = "https://status.acme.example"


@pytest.fixture
async def kit(engine: AsyncEngine, policy: Policy, now: datetime) -> AsyncIterator[Kit]:
    await PolicyStore(engine).save(policy, "test", now)
    async with staff_kit(engine, policy, now) as opened:
        yield opened


async def incident(kit: Kit, waits: bool = False, **changes: object) -> str:
    """An incident that the workflow has recorded; with `waits` its draft 1 is pending."""
    now = kit.clock()
    made = await make_incident(kit, draft=waits)
    pending = Pending(
        draft=1, moment=Moment.INITIAL, number=1, hash="h", asked_at=now,
        stage=Stage.INVESTIGATING, channels=(Channel.EMAIL, Channel.STATUS_PAGE),
    ) if waits else None  # fmt: skip
    state = IncidentState(
        id=made, severity=Severity.P2, stage=Stage.INVESTIGATING, category="local_degradation",
        components=("payments",), started_at=now - timedelta(minutes=40), opened_at=now,
        pending=pending,
    ).model_copy(update=changes)  # fmt: skip
    async with kit.deps.engine.begin() as conn:
        await conn.execute(
            text("UPDATE incidents SET state = CAST(:state AS jsonb) WHERE id = :id"),
            {"state": state.model_dump_json(), "id": made},
        )
    return made


async def count_drafts(kit: Kit) -> int:
    async with kit.deps.engine.connect() as conn:
        return int(await conn.scalar(text("SELECT count(*) FROM drafts")) or 0)


async def test_the_waiting_version_is_shown_as_it_is(kit: Kit) -> None:
    found = await preview(kit.deps.engine, await incident(kit, waits=True), URL, kit.clock())
    assert found.version == 1 and found.facts.moment is Moment.INITIAL
    assert {one.channel for one in found.shown} == {Channel.EMAIL, Channel.STATUS_PAGE}
    mail = next(one for one in found.shown if one.channel is Channel.EMAIL)
    assert mail.mail is not None and mail.mail.startswith("<!DOCTYPE html>")
    assert "[[" not in mail.text + mail.mail


async def test_without_a_draft_the_next_message_is_written_and_not_kept(
    kit: Kit, policy: Policy
) -> None:
    name = await incident(kit)
    found = await preview(kit.deps.engine, name, URL, kit.clock())
    assert (found.version, found.facts.moment) == (None, Moment.INITIAL)
    assert {one.locale for one in found.shown} == set(policy.locales)
    routed = policy.channels(Severity.P2, Moment.INITIAL)
    assert {one.channel for one in found.shown} == set(routed)
    english = {one.channel: one for one in found.shown if one.locale == "en"}
    assert "15:00 UTC" in english[Channel.EMAIL].text, "an hour after now, as P2 promises"
    # Colleagues read the incident's id; the kit's ids are not spelt as real ones are.
    customers = [one for one in found.shown if one.channel is not Channel.INTERNAL]
    assert [finding for one in customers for finding in one.findings] == []
    assert await count_drafts(kit) == 0


async def test_news_after_the_first_message_has_the_number_and_the_promise_it_will_have(
    kit: Kit,
) -> None:
    due = kit.clock() - timedelta(minutes=10)
    missed = Promise(number=1, due=due, made_at=due - timedelta(hours=1), channels=(Channel.EMAIL,))
    name = await incident(kit, announced=True, updates=4, promise=missed)
    found = await preview(
        kit.deps.engine, name, URL, kit.clock(), message="We are copying the data back."
    )
    assert (found.facts.moment, found.facts.number) == (Moment.UPDATE, 5)
    mail = next(o for o in found.shown if o.channel is Channel.EMAIL and o.locale == "en")
    assert "We are copying the data back." in mail.text
    assert "13:50 UTC" in mail.text, "a promise that passed is admitted"


async def test_an_all_clear_before_the_end_says_how_long_it_took(kit: Kit) -> None:
    name = await incident(kit, announced=True)
    found = await preview(kit.deps.engine, name, URL, kit.clock(), Moment.RESOLUTION)
    mail = next(o for o in found.shown if o.channel is Channel.EMAIL and o.locale == "en")
    assert "40 minutes" in mail.text and found.facts.stage == "resolved"


@pytest.mark.parametrize("moment", [Moment.POST_MORTEM, Moment.MAINTENANCE_START])
async def test_what_is_not_written_from_an_incident_is_refused(kit: Kit, moment: Moment) -> None:
    name = await incident(kit)
    with pytest.raises(BadInput, match=moment.value) as refused:
        await preview(kit.deps.engine, name, URL, kit.clock(), moment)
    assert "resolution" in refused.value.errors[0].allowed


async def test_nothing_to_say_and_nothing_recorded_are_said(kit: Kit) -> None:
    quiet = await incident(kit, severity=Severity.P3)
    with pytest.raises(Refused, match="executive at P3 nowhere"):
        await preview(kit.deps.engine, quiet, URL, kit.clock(), Moment.EXECUTIVE)
    over = await incident(kit, stage=Stage.CLOSED, announced=True)
    with pytest.raises(Refused, match="is over"):
        await preview(kit.deps.engine, over, URL, kit.clock())
    with pytest.raises(Refused, match="nothing is recorded"):
        await preview(kit.deps.engine, await make_incident(kit), URL, kit.clock())


async def test_as_a_page_and_as_rows(kit: Kit, tmp_path: Path) -> None:
    found = await preview(kit.deps.engine, await incident(kit), URL, kit.clock())
    rows = as_rows(found, "de")
    assert rows and {row["locale"] for row in rows} == {"de"}
    assert {row["moment"] for row in rows} == {"initial"}
    write_page(found, None, tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text("utf-8")
    assert page.count("<iframe") == 3 * 8 and "Zahlungsabwicklung" in page
    assert "written now" in page
