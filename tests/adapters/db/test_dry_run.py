"""Dry run at each level: the stack, a category, one incident; real and practice stay apart."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.db.intake import Intake
from adapters.db.signal_rows import Accepted
from domain.drill import drilled
from domain.policy import Policy
from domain.signal import Signal
from tests.adapters.db.intake_desk import Desk, numbers


class Stack(Desk):
    """A desk that can take an alert as an exercise, and under another policy."""

    async def tell(
        self, dedup: str, *, dry_run: bool, drill: bool = False, **changes: Any
    ) -> Accepted:
        facts: dict[str, Any] = {
            "source": "generic", "external_id": f"e{next(numbers)}", "dedup_key": dedup,
            "status": "firing", "title": "Payments fail", "components": ("payments",),
        }  # fmt: skip
        signal = Signal.model_validate(facts | changes)
        return await self.intake.receive(
            drilled(signal) if drill else signal,
            self.policy,
            now=self.now,
            correlation_id="c",
            dry_run=dry_run,
            policy_hash=self.policy.hash,
        )


@pytest.fixture
def stack(engine: AsyncEngine, policy: Policy, now: datetime) -> Stack:
    return Stack(engine, policy, now)


async def test_a_real_alert_never_folds_into_an_exercise(stack: Stack) -> None:
    practice = await stack.tell("a", dry_run=True, drill=True)
    real = await stack.tell("a", dry_run=False)
    other = await stack.tell("b", dry_run=False, components=("rest-api",))
    assert real.incident_id not in (None, practice.incident_id)
    assert other.incident_id == real.incident_id
    assert (await stack.incident(practice.incident_id)).dry_run is True
    assert (await stack.incident(real.incident_id)).dry_run is False


async def test_an_exercise_neither_joins_nor_ends_a_real_incident(stack: Stack) -> None:
    real = await stack.tell("a", dry_run=False)
    joined = await stack.tell("b", dry_run=True, drill=True)
    ended = await stack.tell("a", dry_run=True, drill=True, status="resolved")
    assert joined.incident_id != real.incident_id
    assert ended.disposition == "ignored"
    again = await stack.tell("c", dry_run=True, drill=True)
    assert again.incident_id == joined.incident_id


async def test_the_policy_holds_a_category(engine: AsyncEngine, policy: Policy,
                                           now: datetime) -> None:  # fmt: skip
    content = policy.model_dump(mode="json")
    content["categories"]["security"]["dry_run"] = True
    stack = Stack(engine, Policy.model_validate(content), now)
    stack.intake = Intake(engine)
    security = await stack.tell("a", dry_run=False, labels={"category": "breach"})
    plain = await stack.tell("b", dry_run=False)
    assert (await stack.incident(security.incident_id)).dry_run is True
    assert (await stack.incident(plain.incident_id)).dry_run is False


async def test_the_stack_holds_everything(stack: Stack) -> None:
    first = await stack.tell("a", dry_run=True)
    second = await stack.tell("b", dry_run=True)
    assert first.incident_id == second.incident_id
    assert (await stack.incident(first.incident_id)).dry_run is True
