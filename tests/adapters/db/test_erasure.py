"""An erased person is nowhere any more, and nothing that was proven before is less proven."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.db.customers import CustomerStore
from adapters.db.erasure import Erasure
from adapters.db.unsubscribes import UnsubscribeStore
from domain.errors import BadInput, NotFound, Refused
from domain.message import Moment
from domain.policy import Policy
from domain.ports import Outcome
from tests.adapters.db.erasure_world import EMAIL, NAME, OTHERS, PHONE, World, scatter
from tests.adapters.db.ledger_world import (
    INCIDENT,
    rows,
    run,
)


@pytest.fixture
async def world(engine: AsyncEngine, policy: Policy, now: datetime) -> World:
    built = World(engine, policy, now)
    await built.build()
    return built


async def test_nothing_is_left_and_everything_still_holds(world: World) -> None:
    await UnsubscribeStore(world.engine).unsubscribe("c-1", world.now)
    await world.send(1, fail="c-ada")
    await world.send(2, Moment.UPDATE)
    await world.send(3, Moment.RESOLUTION)
    await run(
        world.engine, "UPDATE incidents SET open = false, stage = 'closed', closed_at = now()"
    )
    await scatter(world)
    before = await world.audit.verify()
    counts = await world.ledger.incident_summary(INCIDENT)
    assert before.ok and EMAIL in await world.everything()

    report = await world.erasure.erase("c-ada", world.now, "test")

    everything = (await world.everything()).lower()
    left = everything.replace(OTHERS[0], "").replace(OTHERS[1], "")
    in_html = ("O&#x27;Lovelace", "O&#39;Lovelace")
    for trace in (EMAIL, EMAIL.replace("@", "%40"), NAME, *in_html, PHONE, "o'lovelace"):
        assert trace.lower() not in left, [
            line for line in left.splitlines() if trace.lower() in line
        ]
    assert report.left == {} and report.contacts == 2
    # Two contacts in two broadcasts, and the end for the one of them that was told.
    assert (report.deliveries, report.suppressed) == (5, 0)
    assert set(report.texts) >= {"signals", "notes", "timeline", "idempotency", "slack_actions",
                                 "drafts", "draft_texts", "delivery_events"}  # fmt: skip
    # The others keep what is theirs, to the letter.
    assert all(everything.count(f",{other},") for other in OTHERS)
    assert "kept as it is" in everything and "analytical engines" in everything
    assert await world.ledger.incident_summary(INCIDENT) == counts
    after = await world.audit.verify(before.head)
    assert after.ok, after
    assert (after.sends_checked, after.entries) == (before.sends_checked, before.entries + 1)
    entry = (await world.audit.page(after=before.entries))[0]
    assert (entry.kind, entry.actor) == ("erasure", "test")
    assert entry.body == {"contacts": 2, "deliveries": 5, "suppressed": 0, "refusals": 0}
    # Once more, by an address that is only a hash now: harmless.
    again = await world.erasure.erase(EMAIL, world.now, "test")
    assert (again.contacts, again.deliveries, again.texts, again.left) == (0, 0, {}, {})


async def test_what_waits_for_them_is_suppressed_and_counts_as_closed(world: World) -> None:
    await world.send(1)
    update = await world.open(2, Moment.UPDATE)
    report = await world.erasure.erase(EMAIL, world.now, "test")
    assert report.suppressed == 1
    states = await rows(world.engine, update)
    assert states[("email", "c-ada")] == ("suppressed", "erased")
    assert states[("email", "c-ada-2")] == ("suppressed", "duplicate")
    assert states[("email", "con_1")] == ("pending", "")
    mails = []
    while (claim := await world.claim(update)).recipients:
        mails += [r.address for r in claim.recipients]
        await world.ledger.settle(
            [Outcome(delivery_id=i, fence=f, state="sent", sent_at=world.now, text_hash="h")
             for i, f in claim.fences.items()], update, world.now,
        )  # fmt: skip
    await world.finish(update)
    assert len(mails) == 5 and EMAIL not in mails and None not in mails

    end = await world.send(3, Moment.RESOLUTION)
    assert (await rows(world.engine, end))[("email", "c-ada")] == ("suppressed", "no_address")
    await run(world.engine, "UPDATE incidents SET open = false, stage = 'closed'")
    report_ = await world.audit.verify()
    assert report_.ok, report_


async def test_an_end_that_waited_counts_as_closed_too(world: World) -> None:
    await world.send(1)
    end = await world.open(2, Moment.RESOLUTION)
    await world.erasure.erase("c-ada", world.now, "test")
    while (claim := await world.claim(end)).recipients:
        await world.ledger.settle(
            [Outcome(delivery_id=i, fence=f, state="sent", sent_at=world.now, text_hash="h")
             for i, f in claim.fences.items()], end, world.now,
        )  # fmt: skip
    await world.finish(end)
    await run(world.engine, "UPDATE incidents SET open = false, stage = 'closed'")
    assert (await world.audit.verify()).ok


async def test_a_message_on_its_way_is_waited_for(world: World) -> None:
    broadcast = await world.open(1)
    claim = await world.claim(broadcast)
    with pytest.raises(Refused, match="being sent right now"):
        await world.erasure.erase("c-ada", world.now, "test", patience=0)
    assert await world.one("SELECT count(*) FROM contacts WHERE id = 'c-ada'") == 1
    waiting = asyncio.create_task(world.erasure.erase("c-ada", world.now, "test", patience=30))
    await asyncio.sleep(0)
    outcomes = [
        Outcome(delivery_id=i, fence=f, state="sent", sent_at=world.now, text_hash="h")
        for i, f in claim.fences.items()
    ]
    assert await world.ledger.settle(outcomes, broadcast, world.now) == len(outcomes)
    assert (await waiting).suppressed == 0
    assert (await rows(world.engine, broadcast))[("email", "c-ada")][0] == "sent"


async def test_of_what_a_dead_worker_held_nobody_knows_whether_it_arrived(world: World) -> None:
    broadcast = await world.open(1)
    claim = await world.claim(broadcast)
    await run(world.engine, "UPDATE deliveries SET lease_until = clock_timestamp() - interval '1s'")
    await world.erasure.erase("c-ada", world.now, "test", patience=0)
    assert (await rows(world.engine, broadcast))[("email", "c-ada")] == ("unknown", "lease_expired")
    # The worker was only slow: its fence is old, and the settled row stays as it is.
    outcomes = [
        Outcome(delivery_id=i, fence=f, state="sent", sent_at=world.now, text_hash="h")
        for i, f in claim.fences.items()
    ]
    assert await world.ledger.settle(outcomes, broadcast, world.now) == len(outcomes) - 1


async def test_an_import_does_not_take_them_in_again(world: World) -> None:
    await UnsubscribeStore(world.engine).unsubscribe("c-ada", world.now)
    report = await world.erasure.erase("c-ada", world.now, "test")
    assert report.refusals == 1
    assert await world.one("SELECT count(*) FROM suppressions") == 0
    lines = (f"acc_a,c-ada,new@example.com,{PHONE}", f"acc_a,c-other,{EMAIL.lower()},",
             "acc_a,c-new,new2@example.com,")  # fmt: skip
    imported = await world.import_(*lines)
    assert (imported.contacts, imported.erased, imported.readmitted) == (1, 2, 0)
    assert imported.skipped == 0
    # Taken back on purpose: what they had refused is refused still, and they are no longer marked.
    back = await world.import_(lines[1], readmit_erased=True)
    assert (back.contacts, back.erased, back.readmitted) == (1, 0, 1)
    assert await world.one("SELECT address FROM suppressions") == EMAIL.lower()
    again = await world.import_(lines[1])
    assert (again.contacts, again.erased) == (1, 0)


async def test_a_refused_telephone_stays_refused_whoever_brings_it(world: World) -> None:
    await run(
        world.engine,
        "INSERT INTO suppressions VALUES ('sms', :phone, 'unsubscribed', now())",
        phone=PHONE,
    )
    await world.erasure.erase("c-ada", world.now, "test")
    imported = await world.import_(f"acc_a,c-new,new@example.com,{PHONE}")
    assert (imported.contacts, imported.erased) == (1, 0)
    assert await world.one("SELECT channel || address FROM suppressions") == f"sms{PHONE}"


async def test_a_colleague_keeps_the_shared_telephone(world: World) -> None:
    await run(world.engine, "UPDATE contacts SET phone = :p WHERE id = 'c-0'", p=PHONE)
    await world.erasure.erase("c-ada", world.now, "test")
    assert await world.one("SELECT phone FROM contacts WHERE id = 'c-0'") == PHONE


async def test_who_is_unknown_is_refused(world: World) -> None:
    before = await world.everything()
    for who in ("nobody", "nobody@example.com", ""):
        with pytest.raises(NotFound, match="nothing was changed"):
            await world.erasure.erase(who, world.now, "test")
    assert await world.everything() == before


async def test_with_another_key_nobody_would_be_recognised(world: World) -> None:
    await world.erasure.erase("c-ada", world.now, "test")
    with pytest.raises(BadInput, match="another key"):
        await Erasure(world.engine, "x" * 32).erase("c-1", world.now, "test")
    store, line = (
        CustomerStore(world.engine),
        b"account_id,contact_id,email\nacc_a,c-ada,n@x.example\n",
    )
    for key in (None, "x" * 32):
        with pytest.raises(BadInput, match="recognised"):
            await store.import_csv(
                line.splitlines(), world.policy, world.now, by="t", erasure_key=key
            )
    # The database alone does not tell who it was.
    marks = await world.one("SELECT string_agg(t::text, ' ') FROM erasures t")
    assert isinstance(marks, str) and "ada" not in marks.lower()


async def test_an_approved_text_stays_and_is_reported(world: World) -> None:
    await world.send(1)
    await scatter(world)
    report = await world.erasure.erase("c-ada", world.now, "test")
    assert report.left == {"drafts.findings": 1, "drafts.reason": 1, "draft_texts.html": 1,
                           "draft_texts.subject": 1, "draft_texts.text": 1}  # fmt: skip
    await run(world.engine, "UPDATE incidents SET open = false, stage = 'closed'")
    again = await world.erasure.erase(EMAIL, world.now, "test")
    # The name is no longer known; the address is, because it was given.
    assert again.texts == {"drafts": 1, "draft_texts": 1}


async def test_an_audience_being_frozen_is_waited_for(world: World) -> None:
    async with world.engine.begin() as conn:
        await conn.execute(text("SELECT count(*) FROM contacts"))
        erasing = asyncio.create_task(world.erasure.erase("c-ada", world.now, "test"))
        await asyncio.sleep(0.3)
        assert not erasing.done()
        await conn.execute(
            text(
                "INSERT INTO broadcasts (incident_id, n, version, hash, moment, number, severity,"
                " stage, channels, dry_run, allowed_by, policy_hash, correlation_id, created_at)"
                " VALUES (:i, 7, 7, 'h', 'initial', 1, 'P1', 'investigating', '{email}', false,"
                " 'x', 'p', 'c', now())"
            ),
            {"i": INCIDENT},
        )
        await conn.execute(
            text(
                "INSERT INTO deliveries (broadcast_id, incident_id, channel, recipient, contact_id,"
                " address, locale, timezone, why, priority, state) SELECT id, :i, 'email', 'c-ada',"
                " 'c-ada', :email, 'en', 'UTC', 'w', 0, 'pending' FROM broadcasts WHERE n = 7"
            ),
            {"i": INCIDENT, "email": EMAIL},
        )
    assert (await erasing).suppressed == 1
    assert EMAIL.lower() not in (await world.everything()).lower().replace(OTHERS[0], "").replace(
        OTHERS[1], ""
    )


def test_the_wait_is_longer_than_a_lease() -> None:
    from adapters.db.erasure import PATIENCE_SECONDS
    from adapters.db.ledger import LONGEST_LEASE

    assert timedelta(seconds=PATIENCE_SECONDS) > timedelta(seconds=LONGEST_LEASE)
