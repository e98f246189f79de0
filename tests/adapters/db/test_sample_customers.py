from __future__ import annotations

from datetime import datetime
from pathlib import Path

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.db.customers import CustomerStore
from adapters.db.sample_customers import generate, load, write_csv
from domain.policy import Policy

COUNTS = text(
    "SELECT (SELECT count(*) FROM accounts) AS accounts,"
    " (SELECT count(*) FROM contacts) AS contacts,"
    " (SELECT count(DISTINCT email) FROM contacts) AS addresses,"
    " (SELECT md5(string_agg(c::text, '' ORDER BY id)) FROM contacts c) AS digest"
)


def test_the_same_seed_makes_the_same_people(now: datetime) -> None:
    assert list(generate(50, 7, now)) == list(generate(50, 7, now))
    assert list(generate(50, 7, now)) != list(generate(50, 8, now))


def test_the_demo_sees_known_people_in_both_languages(now: datetime) -> None:
    accounts = list(generate(12, 1, now))
    contacts = [contact for account in accounts for contact in account.contacts]
    assert len(contacts) == 12
    assert accounts[0].name == "Northwind Traders"
    assert {contact.locale for contact in contacts} == {"en", "de"}
    assert all(contact.email.endswith(".example") for contact in contacts)


async def test_file_and_direct_load_are_the_same_valid_customers(
    engine: AsyncEngine, policy: Policy, now: datetime, tmp_path: Path
) -> None:
    file = tmp_path / "customers.csv"
    write_csv(file, 2_000, 3, now)
    with file.open("rb") as lines:
        report = await CustomerStore(engine).import_csv(lines, policy, now, by="test")
    assert (report.contacts, report.skipped) == (2_000, 0)
    async with engine.begin() as connection:
        imported = (await connection.execute(COUNTS)).one()
        await connection.execute(text("TRUNCATE accounts, contacts CASCADE"))
    await load(engine, 2_000, 3, now)
    async with engine.connect() as connection:
        assert (await connection.execute(COUNTS)).one() == imported
    assert imported.addresses == 2_000
