"""Credits on the real database: the right accounts, one outage once, decided by a person."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import insert, text
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.db.audit import Audit
from adapters.db.credits import CreditStore
from adapters.db.maintenance_models import MaintenanceRow
from adapters.db.models import AccountRow, AudienceMemberRow, AudienceRow, IncidentRow
from domain.errors import BadInput, NotFound, Refused
from domain.incident import AudienceCount, IncidentState, Stage
from domain.policy import Policy
from domain.signal import Severity

Felt = Callable[..., Awaitable[IncidentState]]


@pytest.fixture
def store(engine: AsyncEngine) -> CreditStore:
    return CreditStore(engine)


@pytest.fixture
async def accounts(engine: AsyncEngine, now: datetime) -> None:
    """One account per plan and fee."""
    rows = [("big", "enterprise", 1000), ("pro", "pro", 80), ("free", "free", 0),
            ("dark", "enterprise", None)]  # fmt: skip
    async with engine.begin() as conn:
        for account, plan, fee in rows:
            await conn.execute(
                insert(AccountRow).values(
                    id=account, plan=plan, monthly_fee=fee, features=[], activity={}, regimes=[],
                    imported_at=now,
                )
            )  # fmt: skip


@pytest.fixture
def felt(engine: AsyncEngine, policy: Policy, now: datetime, accounts: None) -> Felt:
    """An incident that some accounts felt, from so many minutes after now to so many."""

    async def _felt(
        name: str, begin: float, end: float, *who: str, severity: str = "P1", **other: Any
    ) -> IncidentState:
        started, ended = now + timedelta(minutes=begin), now + timedelta(minutes=end)
        values = {
            "id": name, "title": "t", "severity": severity, "stage": "resolved",
            "category": "c", "components": [], "regions": [], "dry_run": False,
            "started_at": started, "opened_at": started, "resolved_at": ended,
            "last_alert_at": started, "policy_hash": policy.hash, "correlation_id": "c",
            "updated_at": ended, "announced": True, "audience_id": f"aud_{name}",
            "audience_accounts": len(who),
        } | other  # fmt: skip
        async with engine.begin() as conn:
            await conn.execute(insert(IncidentRow).values(values))
            await conn.execute(
                insert(AudienceRow).values(
                    id=f"aud_{name}", incident_id=name, rule="r", created_at=now, choices={},
                    accounts=len(who), recipients=len(who), active_accounts=len(who),
                )
            )  # fmt: skip
            for account in who:
                for contact in range(2):
                    await conn.execute(
                        insert(AudienceMemberRow).values(
                            audience_id=f"aud_{name}", contact_id=f"{account}-{contact}",
                            account_id=account, reason="r", added_at=now,
                        )
                    )  # fmt: skip
        return IncidentState(
            id=name, severity=Severity(severity), stage=Stage.MONITORING, category="c",
            started_at=started, opened_at=started, resolved_at=ended,
            dry_run=bool(values["dry_run"]),
            audience=AudienceCount(audience_id=f"aud_{name}", accounts=len(who)),
        )  # fmt: skip

    return _felt


async def propose(store: CreditStore, policy: Policy, state: IncidentState) -> tuple[int, str, int]:
    assert state.resolved_at is not None
    done = await store.propose(state, policy, state.resolved_at, state.resolved_at)
    return done.accounts, done.total, done.unknown


async def amounts(store: CreditStore, incident: str) -> dict[str, Any]:
    page = await store.page(incident)
    return {item.account_id: item.amount for item in page.items}


async def test_each_account_by_its_plan(store: CreditStore, policy: Policy, felt: Felt) -> None:
    state = await felt("one", 0, 130, "big", "pro", "free", "dark")
    assert await propose(store, policy, state) == (3, "104.00 USD", 1)
    assert await amounts(store, "one") == {"big": 100, "pro": 4, "dark": None}
    found = next(i for i in (await store.page("one")).items if i.account_id == "big")
    assert found.working["minutes"] == 130 and found.working["over_minutes"] == 120
    # Worked out again it is the same, not the double.
    assert await propose(store, policy, state) == (3, "104.00 USD", 1)


async def test_an_overlap_is_one_outage_and_paid_once(
    store: CreditStore, policy: Policy, felt: Felt
) -> None:
    first = await felt("first", 0, 60, "big", "pro")
    second = await felt("second", 50, 130, "big", "pro")
    await felt("stranger", 120, 900, "free")
    await felt("mild", 0, 900, "big", severity="P4")
    await felt("alarm", 0, 900, "big", stage="false_alarm")
    assert await propose(store, policy, first) == (2, "104.00 USD", 0)
    # The outage of both lasts 130 minutes, and the first incident brought all that it is worth.
    assert await propose(store, policy, second) == (0, "0 USD", 0)
    assert await store.reject("first", None, "not ours", "ada", second.opened_at) == 2
    assert await propose(store, policy, second) == (2, "104.00 USD", 0)


async def test_a_month_gives_back_no_more_than_its_fee(
    store: CreditStore, policy: Policy, felt: Felt
) -> None:
    totals = []
    for n in range(5):
        state = await felt(f"i{n}", n * 600, n * 600 + 500, "big")
        totals.append((await propose(store, policy, state))[1])
    assert totals == ["250.00 USD"] * 4 + ["0 USD"]


async def test_an_approval_is_for_the_sum_that_was_seen(
    store: CreditStore, engine: AsyncEngine, policy: Policy, felt: Felt, now: datetime
) -> None:
    await propose(store, policy, await felt("one", 0, 130, "big", "pro", "free", "dark"))
    with pytest.raises(Refused, match=r"come to 104\.00 by now, not 4"):
        await store.approve("one", Decimal(4), None, "ada", now)
    assert {item.state for item in (await store.page("one")).items} == {"proposed"}
    with pytest.raises(BadInput):
        await store.approve("one", Decimal(0), ["dark"], "ada", now)
    done = await store.approve("one", Decimal(104), None, "ada", now)
    assert (done.accounts, done.currency) == (2, "USD")
    assert done.percents == {"enterprise": "10", "pro": "5"}
    # Said again, because the answer was lost: the same. By somebody else: nothing is left.
    assert await store.approve("one", Decimal(104), None, "ada", now) == done
    with pytest.raises(BadInput):
        await store.approve("one", Decimal(104), ["big"], "bob", now)
    await store.set_amount("one", "dark", Decimal("12.50"), "bob", now)
    assert (await store.approve("one", Decimal("12.50"), None, "bob", now)).accounts == 1
    with pytest.raises(NotFound):
        await store.set_amount("one", "big", Decimal(1), "bob", now)
    assert [(t.state, t.total) for t in await store.totals("one")] == [
        ("approved", Decimal("116.50"))
    ]
    assert (await Audit(engine).verify()).ok
    async with engine.connect() as conn:
        said = await conn.execute(text("SELECT body->>'decision' FROM audit_log ORDER BY seq"))
        assert [row[0] for row in said] == ["approved", "amount", "approved"]


async def test_one_share_for_all_is_said_so(
    store: CreditStore, policy: Policy, felt: Felt, now: datetime
) -> None:
    await propose(store, policy, await felt("one", 0, 40, "big"))
    done = await store.approve("one", Decimal(50), None, "ada", now)
    assert done.percents == {"*": "5"}


async def test_what_was_decided_stays_when_it_is_worked_out_again(
    store: CreditStore, policy: Policy, felt: Felt, now: datetime
) -> None:
    state = await felt("one", 0, 130, "big", "pro")
    await propose(store, policy, state)
    await store.approve("one", Decimal(100), ["big"], "ada", now)
    longer = state.model_copy(update={"resolved_at": now + timedelta(hours=9)})
    assert await propose(store, policy, longer) == (1, "8.00 USD", 0)
    assert await amounts(store, "one") == {"big": 100, "pro": 8}


async def test_announced_work_does_not_count_and_its_overrun_does(
    store: CreditStore, engine: AsyncEngine, policy: Policy, felt: Felt, now: datetime
) -> None:
    state = await felt("one", 0, 130, "big", "pro")
    # Announced for the first half hour to one of them, and told later that it takes longer.
    work = await felt("mnt_1", 0, 30, "big", severity="P4", category="maintenance")
    half = now + timedelta(minutes=30)
    async with engine.begin() as conn:
        await conn.execute(
            insert(MaintenanceRow).values(
                id=work.id, description="", advice="", impact="unavailable", starts_at=now,
                ends_at=half, told_start=now, told_end=half + timedelta(hours=5),
            )
        )  # fmt: skip
        await conn.execute(
            text("UPDATE incidents SET state = jsonb_build_object('first_end', cast(:end AS text))"
                 " WHERE id = 'mnt_1'"),
            {"end": half.isoformat()},
        )  # fmt: skip
    assert await propose(store, policy, state) == (2, "54.00 USD", 0)
    big = next(i for i in (await store.page("one")).items if i.account_id == "big")
    assert big.working["minutes"] == 100
    assert [span["case"] for span in big.working["excluded"]] == ["mnt_1"]


async def test_a_rehearsal_and_a_policy_without_credits_owe_nothing(
    store: CreditStore, policy: Policy, felt: Felt
) -> None:
    state = await felt("one", 0, 130, "big")
    bare = policy.model_copy(update={"credits": None})
    assert await propose(store, bare, state) == (0, "0", 0)
    rehearsed = await felt("dry", 1000, 1130, "big", dry_run=True)
    assert await propose(store, policy, rehearsed) == (0, "0", 0)
