"""A mail server that is away, refuses, dawdles or hangs up: nobody is lost, nothing is hidden."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.client import Client

from domain.message import Channel
from domain.policy import Policy
from runtime.servers import TemporalServer
from runtime.temporal import connect
from tests.activities.delivery_world import Provider
from tests.adapters.db.ledger_world import spec
from tests.stack.post_office import PostOffice, post_office
from tests.stack.sending_world import SendingWorld, until

EMAIL, PAGE = Channel.EMAIL, Channel.STATUS_PAGE


@pytest.fixture(scope="module")
def temporal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TemporalServer]:
    server = TemporalServer(tmp_path_factory.mktemp("temporal"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
async def client(temporal: TemporalServer) -> Client:
    return await connect(temporal.address)


@pytest.fixture
def world(engine: AsyncEngine, policy: Policy, client: Client) -> SendingWorld:
    return SendingWorld(engine, policy, client)


@pytest.fixture
async def office() -> AsyncIterator[PostOffice]:
    async with post_office() as opened:
        yield opened


def everybody(number: int) -> Counter[str]:
    return Counter(f"user{i}@example.com" for i in range(number))


async def test_a_server_that_is_away_delays_only_mail_and_costs_nobody_his(
    world: SendingWorld, office: PostOffice
) -> None:
    await world.customers(40)
    world.change(max_attempts=3)
    await office.close()
    page = Provider(PAGE)
    async with world.working({EMAIL: office.sender(), PAGE: page}):
        handle = await world.start(spec(world.now(), channels=[EMAIL, PAGE]))

        async def tried_often() -> bool:
            return any(r.attempts > 3 for r in await world.rows("attempts"))

        async def page_told() -> bool:
            return bool(page.accepted)

        await until("the page is told", page_told)
        await until("the mail server was asked again and again", tried_often, 60)
        counts = await world.counts()
        assert (counts.pending, counts.sent, counts.failed) == (40, 0, 0)
        waiting = await world.rows("reason, not_before", "attempts > 0 AND channel = 'email'")
        assert all(r.reason.startswith("cannot connect") and r.not_before for r in waiting)
        await office.open()
        result = await handle.result()
    assert office.taken == everybody(40)
    assert result.channels[EMAIL].sent == 40
    assert result.channels[EMAIL].resent == 0  # nothing was ever in doubt


async def test_who_is_refused_for_good_fails_in_the_servers_words_and_the_others_go(
    world: SendingWorld, office: PostOffice
) -> None:
    await world.customers(30)
    office.refused["user7@example.com"] = "550 5.1.1 <user7@example.com>: no such user here"
    office.refused["user8@example.com"] = "550 5.7.1 blocked by a rule\r"
    async with world.working({EMAIL: office.sender()}):
        result = await (await world.start(spec(world.now()))).result()
    failed = await world.rows("recipient, reason, attempts", "state = 'failed'")
    assert [(r.recipient, r.reason, r.attempts) for r in failed] == [
        ("con_7", "550 5.1.1 <address>: no such user here", 1),
        ("con_8", "550 5.7.1 blocked by a rule", 1),
    ]
    assert result.totals.sent == 28
    assert office.taken == everybody(30) - Counter(office.refused.keys())


async def test_a_full_mailbox_is_tried_again_up_to_the_limit_and_holds_up_nobody(
    world: SendingWorld, office: PostOffice
) -> None:
    await world.customers(30)
    world.change(max_attempts=4)
    office.refused["user3@example.com"] = "452 4.2.2 mailbox full"
    async with world.working({EMAIL: office.sender()}):
        result = await (await world.start(spec(world.now()))).result()
    (row,) = await world.rows("state, reason, attempts", "recipient = 'con_3'")
    assert (row.state, row.reason, row.attempts) == ("failed", "452 4.2.2 mailbox full", 4)
    assert office.asked["user3@example.com"] == 4
    assert result.totals.sent == 29


async def test_a_slow_server_is_waited_for(world: SendingWorld, office: PostOffice) -> None:
    await world.customers(24)
    office.seconds = 0.4
    async with world.working({EMAIL: office.sender(timeout=5)}):
        result = await (await world.start(spec(world.now()))).result()
    assert office.taken == everybody(24)
    assert (result.totals.sent, result.totals.resent) == (24, 0)


async def test_a_session_closed_in_the_middle_is_no_doubt(
    world: SendingWorld, office: PostOffice
) -> None:
    await world.customers(40)
    office.hangs_up = {f"user{i}@example.com" for i in range(0, 40, 3)}
    async with world.working({EMAIL: office.sender()}):
        result = await (await world.start(spec(world.now()))).result()
    assert office.taken == everybody(40)  # once each: before its data nothing was accepted
    assert (result.totals.sent, result.totals.resent) == (40, 0)
    tried = await world.rows("attempts", "attempts = 2")
    assert len(tried) == len(office.hangs_up)


@pytest.mark.parametrize(("on_unknown", "mails", "states"), [
    ("resend", 2, {"sent": 40, "resent": 3, "unknown": 0}),
    ("hold", 1, {"sent": 37, "resent": 0, "unknown": 3}),
])  # fmt: skip
async def test_an_answer_that_got_lost_is_counted_and_treated_as_policy_says(
    world: SendingWorld,
    office: PostOffice,
    on_unknown: str,
    mails: int,
    states: dict[str, int],
) -> None:
    await world.customers(40)
    world.change(on_unknown={EMAIL: on_unknown})
    office.silent = {f"user{i}@example.com" for i in (5, 20, 35)}
    async with world.working({EMAIL: office.sender()}):
        result = await (await world.start(spec(world.now()))).result()
    twice = dict.fromkeys(office.silent, mails)
    assert office.taken == everybody(40) | Counter(twice)
    totals = result.totals.model_dump()
    assert {name: totals[name] for name in states} == states
    doubtful = await world.rows("recipient", "resent = 1 OR state = 'unknown'")
    assert {r.recipient for r in doubtful} == {"con_5", "con_20", "con_35"}


async def test_while_the_server_is_away_words_that_grew_old_are_dropped(
    world: SendingWorld, office: PostOffice
) -> None:
    await world.customers(6)
    await office.close()
    given = spec(world.now(), expires_at=world.now() + timedelta(hours=1))
    async with world.working({EMAIL: office.sender()}):
        handle = await world.start(given)

        async def tried() -> bool:
            return any(r.attempts for r in await world.rows("attempts"))

        await until("a first try", tried)
        world.moved = timedelta(hours=2)
        await office.open()
        result = await handle.result()
    assert not office.taken
    assert (result.totals.suppressed, result.totals.settled) == (6, True)
    assert {r.reason for r in await world.rows("reason")} == {"expired"}
