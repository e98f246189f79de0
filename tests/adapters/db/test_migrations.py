from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import inspect, text
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.db.engine import driver_url, make_sync_engine
from adapters.db.ids import ALPHABET, new_id
from adapters.db.migrate import pending, upgrade
from adapters.db.models import Base


def test_the_migrations_create_exactly_the_models(database_url: str) -> None:
    engine = make_sync_engine(database_url)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_server_default": True})
        assert compare_metadata(context, Base.metadata) == []


def test_callers_at_the_same_time_wait_for_each_other(empty_database_url: str) -> None:
    assert pending(empty_database_url)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(upgrade, [empty_database_url] * 4))
    assert not pending(empty_database_url)
    with make_sync_engine(empty_database_url).connect() as connection:
        assert set(Base.metadata.tables) < set(inspect(connection).get_table_names())
        held = connection.scalar(text("SELECT count(*) FROM pg_locks WHERE locktype='advisory'"))
    assert held == 0


async def test_upgrade_works_beside_a_running_event_loop_and_says_nothing(
    empty_database_url: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert asyncio.get_running_loop().is_running()
    upgrade(empty_database_url)
    assert capfd.readouterr() == ("", "")


def test_a_database_of_a_newer_program_needs_nothing(database_url: str) -> None:
    with make_sync_engine(database_url).begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = 'from-the-future'"))
    assert not pending(database_url)


async def test_times_come_back_in_utc(engine: AsyncEngine) -> None:
    async with engine.connect() as connection:
        at = await connection.scalar(text("SELECT timestamptz '2026-03-10 15:00+01'"))
    assert at is not None
    assert at.isoformat() == "2026-03-10T14:00:00+00:00"


def test_a_foreign_address_is_refused_without_showing_its_password() -> None:
    with pytest.raises(ValueError, match="postgresql") as caught:
        driver_url("mysql://user:hush@db.example/x")
    assert "hush" not in str(caught.value)


def test_ids_carry_their_kind_and_differ() -> None:
    ids = {new_id("inc") for _ in range(1000)}
    assert len(ids) == 1000
    assert all(i.startswith("inc_") and len(i) == 16 and set(i[4:]) <= set(ALPHABET) for i in ids)
