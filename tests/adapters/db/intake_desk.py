"""An intake with the arguments that no test varies, and looks at what it wrote."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import count
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.db.intake import Intake
from adapters.db.models import IncidentRow
from adapters.db.signal_rows import Accepted
from domain.policy import Policy
from domain.signal import Signal

numbers = count()
MINUTE = timedelta(minutes=1)
# Each depends on the next.
NEAR = ("payments", "rest-api", "database", "reporting")


class Desk:
    """An intake with the arguments that no test varies."""

    def __init__(self, engine: AsyncEngine, policy: Policy, now: datetime) -> None:
        self.engine = engine
        self.intake = Intake(engine)
        self.policy = policy
        self.now = now

    async def take(
        self, dedup: str = "a", *, after: timedelta = MINUTE * 0, **changes: Any
    ) -> Accepted:
        separate = changes.pop("separate", False)
        facts = {
            "source": "generic",
            "external_id": f"e{next(numbers)}",
            "dedup_key": dedup,
            "status": "firing",
            "title": "Payments fail",
            "components": ("payments",),
        }
        return await self.intake.receive(
            Signal.model_validate(facts | changes),
            self.policy,
            now=self.now + after,
            correlation_id="corr-1",
            dry_run=False,
            policy_hash=self.policy.hash,
            separate=separate,
        )

    async def human(self, key: str, **changes: Any) -> Accepted:
        return await self.intake.start_by_human(
            self.policy,
            key=key,
            title="Checkout is down",
            now=self.now,
            correlation_id="corr-2",
            dry_run=False,
            opened_by="dana",
            **changes,
        )

    async def incident(self, incident_id: str | None) -> IncidentRow:
        async with self.engine.connect() as conn:
            row = (
                await conn.execute(select(IncidentRow).where(IncidentRow.id == incident_id))
            ).one()
        return row  # type: ignore[return-value]  # a Row has the columns as attributes

    async def change(self, incident_id: str | None, **values: Any) -> None:
        async with self.engine.begin() as conn:
            await conn.execute(
                update(IncidentRow).where(IncidentRow.id == incident_id).values(**values)
            )

    async def how_many(self, model: Any) -> int:
        async with self.engine.connect() as conn:
            return (await conn.execute(select(func.count()).select_from(model))).scalar_one()
