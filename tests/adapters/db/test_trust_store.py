"""The figures of the trust ladder, from what stands in PostgreSQL."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from sqlalchemy import insert, text
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.target import TargetActivities, TargetInput
from adapters.db.models import IncidentRow
from adapters.db.trust import TrustStore
from domain.duties import Trust
from domain.incident import AudienceCount, IncidentState
from domain.policy import Policy
from domain.ports import AudienceRule
from domain.signal import Severity

LOCAL = "local_degradation"


async def incident(engine: AsyncEngine, name: str, now: datetime, dry_run: bool = False) -> None:
    async with engine.begin() as conn:
        await conn.execute(
            insert(IncidentRow).values(
                id=name, title="t", severity="P2", stage="closed", components=[], category=LOCAL,
                regions=[], dry_run=dry_run, started_at=now, opened_at=now, last_alert_at=now,
                policy_hash="p", correlation_id="c", updated_at=now,
            )
        )  # fmt: skip


async def draft(engine: AsyncEngine, of: str, at: datetime, version: int, **given: object) -> None:
    values = {
        "incident_id": of, "version": version, "moment": "initial", "decision": "approved",
        "by": "ada", "based_on": None, "at": at,
    }  # fmt: skip
    async with engine.begin() as conn:
        await conn.execute(
            text(
                "INSERT INTO drafts (incident_id, version, request, moment, number, facts,"
                " audience_rule, hash, findings, state, author, based_on, created_at, decided_by,"
                " decided_at, decision) VALUES (:incident_id, :version, 'r' || :version, :moment,"
                " 1, '{}', 'r', 'h', '[]', 'sent', 'template', :based_on, :at, :by, :at, :decision)"
            ),
            values | given,
        )


async def taken_back(engine: AsyncEngine, of: str, at: datetime, channels: str) -> None:
    async with engine.begin() as conn:
        await conn.execute(
            text(
                "INSERT INTO broadcasts (incident_id, n, version, hash, moment, number, severity,"
                " stage, channels, dry_run, allowed_by, policy_hash, correlation_id, created_at)"
                " VALUES (:of, 1, 1, 'h', 'false_alarm', 1, 'P2', 'false_alarm',"
                " cast(:channels AS text[]), false, 'ada', 'p', 'c', :at)"
            ),
            {"of": of, "at": at, "channels": channels},
        )


async def test_people_decide_and_policy_and_dry_runs_do_not_count(
    engine: AsyncEngine, policy: Policy, now: datetime
) -> None:
    await incident(engine, "inc_a", now)
    await incident(engine, "inc_dry", now, dry_run=True)
    await draft(engine, "inc_a", now, 1)
    await draft(engine, "inc_a", now, 2, based_on=1)
    await draft(engine, "inc_a", now, 3, decision="rejected")
    await draft(engine, "inc_a", now, 4, by="policy: nobody answered")
    await draft(engine, "inc_a", now, 5, moment="post_mortem")
    await draft(engine, "inc_dry", now, 1)
    found = {s.category: s for s in await TrustStore(engine).standings(policy, now)}
    local = found[LOCAL]
    assert (local.unedited, local.edited, local.rejected, local.counted) == (1, 1, 1, 3)
    assert found["regional_outage"].counted == 0
    assert set(found) == set(policy.categories)


async def test_only_the_last_decisions_count(
    engine: AsyncEngine, policy: Policy, now: datetime
) -> None:
    assert policy.trust is not None
    await incident(engine, "inc_a", now)
    for number in range(policy.trust.window + 5):
        edited = 1 if number < 5 else None  # the oldest
        await draft(engine, "inc_a", now + timedelta(hours=number), number + 2, based_on=edited)
    (local,) = [s for s in await TrustStore(engine).standings(policy, now) if s.category == LOCAL]
    assert (local.state, local.share) == ("proposed", 1.0)


@pytest.mark.parametrize(
    ("channels", "counts"), [("{email,internal}", True), ("{internal}", False)]
)
async def test_a_message_taken_back_from_customers_is_a_bad_send(
    engine: AsyncEngine, now: datetime, channels: str, counts: bool
) -> None:
    await incident(engine, "inc_a", now)
    await taken_back(engine, "inc_a", now, channels)
    store = TrustStore(engine)
    assert (await store.last_bad_send(LOCAL) == now) == counts
    assert await store.last_bad_send("regional_outage") is None


class OneAudience:
    async def snapshot(self, *_: object) -> AudienceCount:
        return AudienceCount(audience_id="aud_1")

    async def is_fresh(self, taken: str, rule: AudienceRule, now: datetime) -> bool:
        return True


class OnePolicy:
    def __init__(self, policy: Policy) -> None:
        self._policy = policy

    async def by_hash(self, policy_hash: str) -> Policy:
        return self._policy


async def test_targeting_says_whether_trust_is_taken_back(
    engine: AsyncEngine, policy: Policy, now: datetime
) -> None:
    await incident(engine, "inc_a", now)
    await taken_back(engine, "inc_a", now, "{email}")
    state = IncidentState(
        id="inc_b", severity=Severity.P2, category=LOCAL, started_at=now, opened_at=now
    )

    async def told(**accepted: datetime) -> bool:
        trust = Trust(window=20, unedited=0.95, accepted=accepted)
        known = OnePolicy(policy.model_copy(update={"trust": trust}))
        steps = TargetActivities(OneAudience(), known, lambda: now, TrustStore(engine))
        return (await steps.take_audience(TargetInput(state=state, policy_hash="p"))).tightened

    assert await told(local_degradation=now - timedelta(days=1))
    assert not await told(local_degradation=now + timedelta(minutes=1))
    assert not await told()
