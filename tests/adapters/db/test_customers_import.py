from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.db.customers import CustomerStore
from domain.errors import BadInput
from domain.policy import Policy

HEADER = "account_id,account_name,plan,features,contact_id,email,channels"


def lines(*rows: str, header: str = HEADER) -> list[bytes]:
    return [f"{row}\n".encode() for row in (header, *rows)]


async def rows(engine: AsyncEngine, query: str) -> list[tuple[object, ...]]:
    async with engine.connect() as connection:
        return [tuple(row) for row in await connection.execute(text(query))]


async def test_what_is_not_given_gets_its_default(
    engine: AsyncEngine, policy: Policy, now: datetime
) -> None:
    store = CustomerStore(engine)
    report = await store.import_csv(
        lines("a1,Acme,pro,payments;api,c1,ada@example.com,"), policy, now, by="test"
    )
    assert (report.accounts, report.contacts, report.skipped) == (1, 1, 0)
    assert await rows(engine, "SELECT features, regimes, activity, active FROM accounts") == [
        (["payments", "api"], [], {}, True)
    ]
    assert await rows(engine, "SELECT locale, timezone, channels FROM contacts") == [
        ("en", "UTC", ["email", "in_app"])
    ]
    assert await rows(engine, "SELECT kind, body FROM audit_log") == [
        ("import", {"accounts": 1, "contacts": 1, "skipped": 0})
    ]
    assert await store.features_in_use() == {"payments", "api"}


async def test_an_import_updates_only_the_columns_it_has(
    engine: AsyncEngine, policy: Policy, now: datetime
) -> None:
    store = CustomerStore(engine)
    first = lines("a1,Acme,pro,payments,c1,ada@example.com,sms")
    await store.import_csv(first, policy, now, by="test")
    again = lines("a1,c1,ada@new.example", header="account_id,contact_id,email")
    later = now + timedelta(hours=1)
    await store.import_csv(again, policy, later, by="test")
    assert await rows(engine, "SELECT name, plan, features, imported_at FROM accounts") == [
        ("Acme", "pro", ["payments"], later)
    ]
    assert await rows(engine, "SELECT email, channels FROM contacts") == [
        ("ada@new.example", ["sms"])
    ]


async def test_rows_of_one_account_complete_each_other(
    engine: AsyncEngine, policy: Policy, now: datetime
) -> None:
    given = lines(
        "a1,Acme,pro,payments,c1,a@example.com,",
        "a2,,,,c2,b@example.com,",
        "a1,,enterprise,,c3,c@example.com,",
    )
    await CustomerStore(engine).import_csv(given, policy, now, by="test")
    assert await rows(engine, "SELECT id, name, plan, features FROM accounts ORDER BY id") == [
        ("a1", "Acme", "enterprise", ["payments"]),
        ("a2", None, None, []),
    ]


async def test_one_bad_row_keeps_everything_out_unless_skipped(
    engine: AsyncEngine, policy: Policy, now: datetime
) -> None:
    given = lines("a1,Acme,pro,,c1,a@example.com,", "a2,Bad,gold,,c2,nobody,")
    store = CustomerStore(engine)
    with pytest.raises(BadInput) as caught:
        await store.import_csv(given, policy, now, by="test")
    assert [fault.field for fault in caught.value.errors] == [
        "line 3, column email",
        "line 3, column plan",
    ]
    counts = "SELECT (SELECT count(*) FROM accounts), (SELECT count(*) FROM imports)"
    assert await rows(engine, counts) == [(0, 0)]
    report = await store.import_csv(given, policy, now, by="test", skip_bad=True)
    assert (report.contacts, report.skipped) == (1, 1)
    assert await rows(engine, "SELECT id FROM accounts") == [("a1",)]


async def test_cells_are_data(engine: AsyncEngine, policy: Policy, now: datetime) -> None:
    name = "=1+1'); DROP TABLE contacts; --"
    given = lines(f'a1,"{name}",pro,,c1,a@example.com,')
    await CustomerStore(engine).import_csv(given, policy, now, by="test")
    assert await rows(engine, "SELECT name FROM accounts") == [(name,)]
