"""An old worker runs on the new schema until it is replaced: migrations only add (expand)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from alembic import command
from alembic.config import Config
from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    LargeBinary,
    MetaData,
    Numeric,
    delete,
    insert,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import DOUBLE_PRECISION, INTEGER, JSONB

from adapters.db.engine import make_sync_engine
from adapters.db.migrate import CONFIG, upgrade

# The schema of the last release (0.1.0); moves on with each release.
RELEASED = "0001"


def released_schema(database_url: str) -> MetaData:
    """The tables as the last release's program knows them."""
    engine = make_sync_engine(database_url)
    with engine.connect() as connection:
        config = Config(CONFIG)
        config.attributes["connection"] = connection
        command.upgrade(config, RELEASED)
    known = MetaData()
    known.reflect(engine)
    engine.dispose()
    return known


def test_the_last_release_reads_and_writes_every_table_of_the_new_schema(
    empty_database_url: str,
) -> None:
    known = released_schema(empty_database_url)
    upgrade(empty_database_url)
    engine = make_sync_engine(empty_database_url)
    with engine.begin() as connection:
        # Rows of one table without those they point to: only the columns are in question here.
        connection.execute(text("SET session_replication_role = replica"))
        for table in known.tables.values():
            if table.name == "alembic_version":
                continue
            # Only what it must: what it leaves out, today's schema has to fill or to allow.
            row = {c.name: value(c) for c in table.columns if must_be_given(c)}
            connection.execute(insert(table).values(row))
            full = {c.name: value(c) for c in table.columns if not (c.primary_key or c.identity)}
            if full:
                connection.execute(update(table).values(full))
            found = connection.execute(select(table)).mappings().one()
            assert {name: found[name] for name in full} == full, table.name
            connection.execute(delete(table))
    engine.dispose()


def must_be_given(column: Column[Any]) -> bool:
    filled = column.identity is not None or column.server_default is not None
    return not column.nullable and not filled


def value(column: Column[Any]) -> Any:
    """Something that a column of this type takes."""
    kinds: tuple[tuple[type, Any], ...] = (
        (ARRAY, ["x"]),
        (JSONB, {"x": 1}),
        (Boolean, True),
        (BigInteger, 7),
        (INTEGER, 7),
        (DOUBLE_PRECISION, 0.5),
        (Numeric, 7),
        (LargeBinary, b"x"),
        (DateTime, datetime(2026, 3, 10, 14, tzinfo=UTC)),
    )
    return next((given for kind, given in kinds if isinstance(column.type, kind)), "x")
