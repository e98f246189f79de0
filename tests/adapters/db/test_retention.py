"""What is no longer kept goes, what proves something stays, and open incidents keep everything."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from sqlalchemy import insert, text
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.db.audit import Audit
from adapters.db.ledger import Ledger
from adapters.db.model_drafts import ModelDraftRow
from adapters.db.models import (
    AlertRow,
    AudienceExclusionRow,
    DraftRow,
    DraftTextRow,
    IdempotencyRow,
    ImportRow,
    SignalRow,
    TokenRow,
)
from adapters.db.retention import LOCK, TASKS, RetentionReport, RetentionRun
from adapters.db.slack_models import SlackActionRow, StaffPostRow
from domain.errors import Refused
from domain.message import Channel, Moment
from domain.policy import Policy
from domain.policy_sections import Retention
from domain.ports import Outcome
from runtime.retention import run_if_due
from tests.adapters.db.ledger_world import (
    AUDIENCE,
    EVERYTHING,
    INCIDENT,
    audience,
    customers,
    incident,
    run,
    spec,
)

CONTACTS = 5
YEARS = timedelta(days=800)


class World:
    """One incident with everything that can be kept, and a small batch to go through it."""

    def __init__(self, engine: AsyncEngine, policy: Policy, now: datetime) -> None:
        self.engine, self.policy, self.now = engine, policy, now
        self.audit = Audit(engine)
        self.keeper = RetentionRun(engine, batch=2)

    async def build(self) -> None:
        engine, now = self.engine, self.now
        await incident(engine, now)
        await customers(engine, now, CONTACTS)
        await audience(engine, now, range(CONTACTS))
        await self.send(1, Moment.INITIAL)
        await self.send(2, Moment.RESOLUTION)
        async with engine.begin() as conn:
            for n in range(4):
                await conn.execute(
                    insert(SignalRow).values(
                        id=f"sig_{n}", source="generic", external_id=str(n), dedup_key=f"key {n}",
                        status="firing", signal={"title": "words of the monitor"},
                        category="local_degradation", severity="P1", severity_stated=True,
                        confirms=True, components=[], regions=[], reasons=["r"],
                        correlation_id="c", incident_id=INCIDENT if n else None,
                        disposition="started", received_at=now + timedelta(minutes=n),
                        relayed_at=now,
                    )
                )  # fmt: skip
            await conn.execute(
                insert(AlertRow).values(
                    fingerprint="f", incident_id=INCIDENT, firing=False, open=False,
                    last_seen_at=now,
                )
            )  # fmt: skip
            for version, state, moment in ((1, "sent", "initial"), (2, "sent", "resolution"),
                                           (3, "rejected", "update"), (4, "superseded", "update"),
                                           (5, "approved", "post_mortem")):  # fmt: skip
                await conn.execute(
                    insert(DraftRow).values(
                        incident_id=INCIDENT, version=version, request=str(version), moment=moment,
                        number=1, facts={}, audience_rule="r", hash=f"hash{version}", findings=[],
                        state=state, author="template", created_at=now,
                    )
                )  # fmt: skip
                await conn.execute(
                    insert(DraftTextRow).values(
                        incident_id=INCIDENT, version=version, channel="email", locale="en",
                        subject="s", text="t", html=None,
                    )
                )  # fmt: skip
            await conn.execute(
                insert(ModelDraftRow).values(
                    incident_id=INCIDENT, request="draft-1", model="m", asked_at=now
                )
            )
            await conn.execute(
                insert(AudienceExclusionRow).values(
                    audience_id=AUDIENCE, account_id="acc_9", reason="region eu"
                )
            )
            await conn.execute(
                insert(SlackActionRow).values(
                    id="a1", user_id="U1", action="approve", payload={}, correlation_id="c",
                    received_at=now, not_before=now, settled_at=now,
                )
            )  # fmt: skip
            await conn.execute(
                insert(StaffPostRow).values(
                    incident_id=INCIDENT, key="card", place="C1", message="m", digest="d",
                    final=True, posted_at=now, updated_at=now,
                )
            )  # fmt: skip
            await conn.execute(
                insert(IdempotencyRow).values(
                    key="k", actor="t", request_hash="h", status=200, body="{}", created_at=now
                )
            )
            for name, revoked in (("old", now), ("in use", None)):
                await conn.execute(
                    insert(TokenRow).values(
                        id=f"tok_{name}", name=name, token_hash=name.encode(), roles=["viewer"],
                        revoked_at=revoked,
                    )
                )  # fmt: skip
            for _ in range(2):
                await conn.execute(
                    insert(ImportRow).values(at=now, accounts=1, contacts=1, skipped=0)
                )

    async def send(self, n: int, moment: Moment) -> None:
        ledger = Ledger(self.engine)
        broadcast = await ledger.open(
            spec(self.now, n=n, moment=moment), self.policy, self.now, EVERYTHING
        )
        while (claim := await ledger.claim(broadcast, Channel.EMAIL, 50, 60, self.now)).recipients:
            outcomes = [
                Outcome(
                    delivery_id=r.delivery_id,
                    fence=claim.fences[r.delivery_id],
                    state="failed" if r.contact_id == "con_1" else "sent",
                    reason=f"550 {r.address}" if r.contact_id == "con_1" else None,
                    sent_at=None if r.contact_id == "con_1" else self.now,
                    text_hash="h",
                )
                for r in claim.recipients
            ]
            await ledger.settle(outcomes, broadcast, self.now)
        await ledger.finish(broadcast, self.now)
        await run(
            self.engine,
            "INSERT INTO delivery_events (delivery_id, kind, reason, at)"
            " SELECT max(id), 'bounced', 'user0@example.com', now() FROM deliveries",
        )

    async def close(self) -> None:
        await run(
            self.engine,
            "UPDATE incidents SET open = false, stage = 'closed', closed_at = :now",
            now=self.now,
        )

    async def keep(self, at: datetime, *, dry_run: bool = False) -> dict[str, int]:
        report = await self.keeper.run(self.policy.retention, at, "test", dry_run=dry_run)
        return counts(report)

    async def one(self, query: str) -> object:
        async with self.engine.connect() as conn:
            return (await conn.execute(text(query))).scalar()


def counts(report: RetentionReport) -> dict[str, int]:
    return {f"{line.table} {line.action}": line.rows for line in report.lines if line.rows}


@pytest.fixture
async def world(engine: AsyncEngine, policy: Policy, now: datetime) -> World:
    built = World(engine, policy, now)
    await built.build()
    return built


# What belongs to no incident, or only to itself.
LOOSE = {
    "signals deleted": 1, "slack_actions deleted": 1, "idempotency deleted": 1,
    "tokens deleted": 1, "imports deleted": 1,
}  # fmt: skip
ALL = LOOSE | {
    "signals deleted": 3, "signals blanked": 1, "alerts deleted": 1,
    # The failed recipient of the start gets no end.
    "deliveries blanked": 2 * CONTACTS - 1, "delivery_events blanked": 2,
    "draft_texts deleted": 2, "model_drafts deleted": 1, "audience_members deleted": CONTACTS,
    "audience_exclusions deleted": 1, "staff_posts deleted": 1,
}  # fmt: skip


async def test_everything_that_is_due_goes_and_the_proof_stays(world: World) -> None:
    await world.close()
    before = await world.audit.verify()
    rows = await world.one("SELECT count(*) FROM deliveries")
    states = await world.one("SELECT string_agg(state, ',' ORDER BY id) FROM deliveries")

    assert await world.keep(world.now + YEARS, dry_run=True) == ALL
    assert await world.one("SELECT count(*) FROM deliveries WHERE address IS NULL") == 0
    assert (await world.audit.verify()).entries == before.entries

    assert await world.keep(world.now + YEARS) == ALL
    after = await world.audit.verify(before.head)
    assert before.ok and after.ok, after
    assert after.sends_checked == before.sends_checked
    assert after.entries == before.entries + 1
    assert await world.one("SELECT count(*) FROM deliveries") == rows
    assert await world.one("SELECT string_agg(state, ',' ORDER BY id) FROM deliveries") == states
    assert await world.one("SELECT count(*) FROM deliveries WHERE name || address <> ''") == 0
    assert "user1@" not in str(await world.one("SELECT string_agg(reason, ' ') FROM deliveries"))
    kept = "SELECT string_agg(version::text, ',' ORDER BY version) FROM "
    assert await world.one(f"{kept} draft_texts") == "1,2,5"
    assert await world.one(f"{kept} drafts") == "1,2,3,4,5"
    # When it was first heard of is part of every record of a send.
    assert await world.one("SELECT string_agg(id, ',') FROM signals") == "sig_1"
    assert await world.one("SELECT signal::text || dedup_key FROM signals") == "{}"
    assert await world.one("SELECT name FROM tokens") == "in use"

    assert await world.keep(world.now + YEARS) == {}


async def test_an_open_incident_keeps_everything_of_its_own(world: World) -> None:
    assert await world.keep(world.now + YEARS) == LOOSE
    assert await world.one("SELECT count(*) FROM deliveries WHERE address IS NULL") == 0


async def test_an_incident_with_something_on_its_way_keeps_everything(world: World) -> None:
    await world.close()
    await run(world.engine, "UPDATE broadcasts SET finished_at = NULL WHERE n = 2")
    assert await world.keep(world.now + YEARS) == LOOSE


async def test_nothing_goes_before_its_time(world: World) -> None:
    await world.close()
    assert await world.keep(world.now + timedelta(days=6)) == {}
    assert await world.keep(world.now + timedelta(days=8)) == {"idempotency deleted": 1}
    half_a_year = await world.keep(world.now + timedelta(days=181))
    assert "deliveries blanked" in half_a_year and "draft_texts deleted" not in half_a_year


async def test_what_has_no_figure_is_kept_for_good(world: World) -> None:
    await world.close()
    report = await world.keeper.run(Retention(), world.now + YEARS, "test")
    assert report.lines == ()
    assert await world.one("SELECT count(*) FROM signals") == 4


async def test_two_runs_do_not_meet(world: World) -> None:
    await world.close()
    seen: list[tuple[str, int]] = []

    async with world.engine.connect() as conn:
        # As the other run holds it.
        await conn.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": LOCK})
        with pytest.raises(Refused, match="under way"):
            await world.keep(world.now + YEARS)
    # In batches of two, told one by one.
    await world.keeper.run(
        world.policy.retention, world.now + YEARS, "test", progress=lambda *at: seen.append(at)
    )
    assert [rows for table, rows in seen if table == "deliveries"] == [2, 4, 6, 8, 9]


async def test_the_gateway_does_it_once_a_day(world: World) -> None:
    await world.close()
    later = world.now + YEARS
    assert await run_if_due(world.engine, world.policy, later)
    assert not await run_if_due(world.engine, world.policy, later + timedelta(hours=23))
    assert await run_if_due(world.engine, world.policy, later + timedelta(hours=25))


def test_every_group_of_the_policy_has_a_table_and_a_figure(policy: Policy) -> None:
    assert {task.group for task in TASKS} == set(Retention.model_fields)
    assert all(getattr(policy.retention, group) for group in Retention.model_fields)
