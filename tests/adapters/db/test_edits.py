"""The report on edits, over versions as the doors write them."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.db import edits as edits_module
from adapters.db.drafts import DraftStore
from adapters.db.edits import EditReport, Edits
from adapters.db.incidents import IncidentStore
from adapters.db.models import IncidentRow
from domain.facts import draft_hash
from domain.incident import IncidentState
from domain.message import Channel, DraftText, DraftVersion, Facts, Moment
from domain.ports import Decision
from domain.signal import Severity

DAY = timedelta(days=1)
BEFORE = "We are sorry for the disruption. Our engineers are looking for the cause."


class Desk:
    """Writes versions as drafter, editor and approver do."""

    def __init__(self, engine: AsyncEngine, now: datetime) -> None:
        self.engine, self.now = engine, now
        self.drafts, self.records = DraftStore(engine), IncidentStore(engine)

    async def incident(self, name: str) -> str:
        async with self.engine.begin() as conn:
            await conn.execute(
                insert(IncidentRow).values(
                    id=name, title="t", severity="P1", stage="investigating", components=[],
                    category="local_degradation", regions=[], dry_run=False, started_at=self.now,
                    opened_at=self.now, last_alert_at=self.now, policy_hash="p",
                    correlation_id="c", updated_at=self.now,
                )
            )  # fmt: skip
        return name

    async def draft(self, incident: str, text: str = BEFORE) -> int:
        facts = Facts(
            incident_id=incident, moment=Moment.INITIAL, severity="P1", stage="investigating",
            category="local_degradation", names=("Acme Cloud",),
        )  # fmt: skip
        texts = tuple(
            DraftText(channel=channel, locale="en", subject="Alert", text=text)
            for channel in (Channel.EMAIL, Channel.STATUS_PAGE)
        )
        draft = DraftVersion(
            incident_id=incident, version=0, moment=Moment.INITIAL, number=1, texts=texts,
            facts=facts, audience_rule="r", hash=draft_hash(texts, "r"), created_at=self.now,
        )  # fmt: skip
        saved = await self.drafts.save(draft, f"d{self.now.isoformat()}", supersede=False)
        return saved.version

    async def edit(self, incident: str, version: int, text: str) -> int:
        mail = DraftText(channel=Channel.EMAIL, locale="en", subject="Alert", text=text)
        made = await self.drafts.edited(incident, version, [mail], "Ada", self.now)
        saved = await self.drafts.save(made, f"e{version}-{text}", supersede=False)
        return saved.version

    async def approve(self, incident: str, version: int) -> None:
        state = IncidentState(
            id=incident, severity=Severity.P1, category="local_degradation", started_at=self.now,
            opened_at=self.now, steps=version,
        )  # fmt: skip
        for step in ("approved", "sent"):
            decision = Decision(
                version=version, state=step, decision=step, by="Bob", reason="", at=self.now
            )
            await self.records.record(state, self.now, [], [], [decision])

    async def report(self) -> EditReport:
        return await Edits(self.engine).report(self.now - DAY, self.now + DAY)


@pytest.fixture
def desk(engine: AsyncEngine, now: datetime) -> Desk:
    return Desk(engine, now)


async def test_nothing_is_said_of_nothing(desk: Desk) -> None:
    report = await desk.report()
    assert (report.approved, report.share_unedited, report.complete) == (0, None, True)
    assert not (report.shares or report.removed or report.added)


async def test_shares_count_what_was_let_out_against_what_was_drafted(desk: Desk) -> None:
    for name, twice in (("inc_a", True), ("inc_b", False)):
        await desk.incident(name)
        version = await desk.draft(name)
        if twice:
            version = await desk.edit(name, version, BEFORE + " Please wait.")
            version = await desk.edit(name, version, BEFORE + " Please wait a little.")
        await desk.approve(name, version)
    await desk.incident("inc_c")
    await desk.draft("inc_c")
    report = await desk.report()
    shares = {(s.moment, s.channel, s.locale): (s.approved, s.unedited) for s in report.shares}
    assert shares == {
        ("initial", "email", "en"): (2, 1),
        ("initial", "status_page", "en"): (2, 2),
    }
    assert (report.approved, report.unedited, report.share_unedited) == (4, 3, 0.75)
    assert report.edited_versions == 2


async def test_an_edit_that_was_taken_back_by_another_counts_as_unedited(desk: Desk) -> None:
    await desk.incident("inc_a")
    version = await desk.edit("inc_a", await desk.draft("inc_a"), "Something else.")
    await desk.approve("inc_a", await desk.edit("inc_a", version, BEFORE))
    assert (await desk.report()).share_unedited == 1.0


async def test_phrases_of_several_incidents_lead_and_those_of_one_stay_out(desk: Desk) -> None:
    for name in ("inc_a", "inc_b", "inc_c"):
        await desk.incident(name)
        version = await desk.draft(name)
        text = BEFORE.replace("are sorry", "apologise") + f" Signed, {name} Jane Miller"
        await desk.edit(name, version, text)
    await desk.incident("inc_d")
    await desk.edit("inc_d", await desk.draft("inc_d"), BEFORE + " only this once")
    report = await desk.report()
    assert [(p.phrase, p.incidents, p.edits, p.channels) for p in report.removed] == [
        ("are sorry", 3, 3, ("email",))
    ]
    added = {p.phrase for p in report.added}
    assert "apologise" in added and "only this once" not in added
    assert "jane" not in report.model_dump_json().lower()
    assert "miller" not in report.model_dump_json().lower()


async def test_the_window_and_the_pages_bound_what_is_read(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("inc_a", "inc_b", "inc_c"):
        await desk.incident(name)
        await desk.edit(name, await desk.draft(name), BEFORE.replace("sorry", "sad"))
    monkeypatch.setattr(edits_module, "PAGE", 1)
    assert (await desk.report()).removed[0].incidents == 3, "every page is counted, once"
    monkeypatch.setattr(edits_module, "MOST_VERSIONS", 2)
    report = await desk.report()
    assert (report.edited_versions, report.complete) == (2, False)
    early = await Edits(desk.engine).report(desk.now - 2 * DAY, desk.now)
    assert early.edited_versions == 0, "until is exclusive"
