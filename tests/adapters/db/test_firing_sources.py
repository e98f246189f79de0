"""A batch names the sources that still fire, also those whose alerts came in an earlier one."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.db.intake import Intake
from domain.policy import Policy
from domain.signal import AlertBatch, Signal, SignalStatus


def alert(source: str, key: str, status: str = "firing") -> Signal:
    return Signal(
        source=source,
        external_id=f"{key} {status}",
        dedup_key=key,
        status=SignalStatus(status),
        title="Payments fail",
        components=("payments",),
    )


async def test_sources_are_those_whose_alerts_fire_now(
    engine: AsyncEngine, policy: Policy, now: datetime
) -> None:
    intake = Intake(engine)

    async def tell(given: Signal) -> AlertBatch:
        taken = await intake.receive(
            given, policy, now=now, correlation_id="c", dry_run=False, policy_hash=policy.hash
        )
        assert taken.incident_id is not None
        async with intake.telling(taken.incident_id, now) as untold:
            assert untold is not None
            return untold.batch

    assert (await tell(alert("generic", "a:1"))).firing_sources == ("generic",)
    assert (await tell(alert("generic", "b"))).firing_sources == ("generic",)
    assert (await tell(alert("pagerduty", "c"))).firing_sources == ("generic", "pagerduty")
    assert (await tell(alert("generic", "a:1", "resolved"))).firing_sources == (
        "generic",
        "pagerduty",
    ), "another alert of it still fires"
    assert (await tell(alert("generic", "b", "resolved"))).firing_sources == ("pagerduty",)
    assert (await tell(alert("pagerduty", "c", "resolved"))).firing_sources == ()
