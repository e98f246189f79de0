"""Which policy rules: a changed file, a person's choice, and what the log says of both."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.db.audit import Audit
from adapters.db.policies_in_force import PoliciesInForce
from domain.policy import Policy


def every(policy: Policy, rhythm: str) -> Policy:
    content = policy.model_dump(mode="json")
    content["severities"]["P1"]["update_every"] = rhythm
    return Policy.model_validate(content)


async def logged(engine: AsyncEngine) -> list[dict[str, object]]:
    return [entry.body for entry in await Audit(engine).page(kind="policy_changed")]


async def test_the_first_start_puts_the_file_in_force(
    engine: AsyncEngine, policy: Policy, now: datetime
) -> None:
    store = PoliciesInForce(engine)
    assert await store.now() is None
    assert await store.begin(policy, "default.yaml", now) == policy
    assert await store.now() == policy.hash
    (entry,) = await logged(engine)
    assert (entry["old"], entry["new"], entry["source"]) == (None, policy.hash, "default.yaml")


async def test_programs_that_start_together_write_it_once(
    engine: AsyncEngine, policy: Policy, now: datetime
) -> None:
    await asyncio.gather(*(PoliciesInForce(engine).begin(policy, "f", now) for _ in range(6)))
    assert len(await PoliciesInForce(engine).history()) == 1
    assert len(await logged(engine)) == 1


async def test_a_persons_choice_survives_restarts_until_the_file_changes(
    engine: AsyncEngine, policy: Policy, now: datetime
) -> None:
    store, chosen = PoliciesInForce(engine), every(policy, "20m")
    await store.begin(policy, "default.yaml", now)
    done = await store.apply(chosen, "ada", "mine.yaml", now)
    assert (done.changed, done.previous, done.hash) == (True, policy.hash, chosen.hash)
    assert [(c.path, c.old, c.new) for c in done.changes] == [
        ("severities.P1.update_every", "30m", "20m")
    ]
    assert await PoliciesInForce(engine).begin(policy, "default.yaml", now) == chosen
    edited = every(policy, "45m")
    assert await PoliciesInForce(engine).begin(edited, "default.yaml", now) == edited
    assert await store.now() == edited.hash


async def test_a_file_that_catches_up_with_the_choice_changes_nothing(
    engine: AsyncEngine, policy: Policy, now: datetime
) -> None:
    store, chosen = PoliciesInForce(engine), every(policy, "20m")
    await store.begin(policy, "default.yaml", now)
    await store.apply(chosen, "ada", "mine.yaml", now)
    await store.begin(chosen, "default.yaml", now)
    await store.apply(policy, "bob", "old.yaml", now)
    assert await store.begin(chosen, "default.yaml", now) == policy, "the file is as it was"
    assert len(await logged(engine)) == 3


async def test_the_log_names_who_changed_what(
    engine: AsyncEngine, policy: Policy, now: datetime
) -> None:
    store = PoliciesInForce(engine)
    await store.begin(policy, "default.yaml", now)
    await store.apply(every(policy, "20m"), "ada", "mine.yaml", now + timedelta(hours=1))
    entries = await Audit(engine).page(kind="policy_changed")
    assert [e.actor for e in entries] == ["forewarn", "ada"]
    assert entries[1].body["changes"] == [
        {"path": "severities.P1.update_every", "old": "30m", "new": "20m"}
    ]
    assert (await Audit(engine).verify()).ok


async def test_the_same_again_is_no_change(
    engine: AsyncEngine, policy: Policy, now: datetime
) -> None:
    store = PoliciesInForce(engine)
    await store.begin(policy, "default.yaml", now)
    assert not (await store.apply(policy, "ada", "same.yaml", now)).changed
    assert len(await logged(engine)) == 1


async def test_history_tells_until_when_each_ruled(
    engine: AsyncEngine, policy: Policy, now: datetime
) -> None:
    store, later = PoliciesInForce(engine), now + timedelta(hours=1)
    await store.begin(policy, "default.yaml", now)
    await store.apply(every(policy, "20m"), "ada", "mine.yaml", later)
    newest, first = await store.history()
    assert (newest.by, newest.since, newest.until) == ("ada", later, None)
    assert (first.hash, first.until) == (policy.hash, later)
    assert len(await store.history(limit=1)) == 1
