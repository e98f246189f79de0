"""The blast radius counts as the broadcast will: who is reached, and why others are not."""

from __future__ import annotations

from datetime import datetime

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.db.blast_radius import BlastRadiusRead
from adapters.db.ledger import Ledger
from domain.errors import NotFound
from domain.message import Channel
from domain.policy import Policy
from tests.adapters.db.ledger_world import (
    AUDIENCE,
    EVERYTHING,
    audience,
    customers,
    incident,
    rows,
    run,
    spec,
    suppress,
)

CHANNELS = (Channel.EMAIL, Channel.IN_APP, Channel.SMS, Channel.SLACK, Channel.STATUS_PAGE)


async def test_it_counts_what_the_ledger_will_hold(
    engine: AsyncEngine, policy: Policy, now: datetime
) -> None:
    await incident(engine, now)
    await customers(engine, now, 8)
    await customers(engine, now, 2, channels=("in_app",), segment="smb", start=8)
    await audience(engine, now, range(10))
    await suppress(engine, now, "user0@example.com", "unsubscribed")
    await suppress(engine, now, "USER1@example.com", "bounced")
    await run(engine, "UPDATE contacts SET email = 'USER2@example.com' WHERE id = 'con_3'")
    await run(engine, "UPDATE contacts SET email = '' WHERE id = 'con_4'")
    await run(engine, "UPDATE contacts SET phone = NULL WHERE id = 'con_5'")
    await run(engine, "UPDATE accounts SET slack_channel = 'C' || id WHERE id IN ('acc_1','acc_9')")
    await run(engine, "UPDATE accounts SET arr = 100 WHERE id <> 'acc_0'")

    radius = await BlastRadiusRead(engine).read(AUDIENCE, CHANNELS, policy, now)

    # `suppress` writes addresses as given; the ledger compares in lower case on the other side.
    ledger = Ledger(engine)
    broadcast = await ledger.open(spec(now, channels=CHANNELS), policy, now, EVERYTHING)
    expected: dict[str, tuple[int, dict[str, int]]] = {}
    for (channel, _), (state, reason) in (await rows(engine, broadcast)).items():
        reached, left = expected.get(channel, (0, {}))
        if state == "suppressed":
            left[reason] = left.get(reason, 0) + 1
        expected[channel] = (reached + (state == "pending"), left)
    expected.pop("status_page")
    found = {c: (r.reached, r.suppressed) for c, r in radius.channels.items()}
    assert found == expected
    assert found["email"][1] == {
        "preference": 2, "unsubscribed": 1, "bounced": 1, "duplicate": 1, "no_address": 1,
    }  # fmt: skip
    assert found["slack"] == (1, {})
    assert (radius.value, radius.accounts_without_value) == (900.0, 1)
    assert radius.summary.stale, "customers were never imported"


async def test_an_unknown_audience_is_not_found(
    engine: AsyncEngine, policy: Policy, now: datetime
) -> None:
    with pytest.raises(NotFound):
        await BlastRadiusRead(engine).read("aud_none", CHANNELS, policy, now)
