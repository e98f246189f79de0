"""Bringing a database to the newest schema.

Migrations are expand-then-contract, because an old worker runs on the new schema until it is
replaced: a release only adds (tables, nullable columns, columns with a server default, indexes);
what nothing uses any more goes one release later. They go forward only: going back is running the
old program, not undoing the schema.
"""

from __future__ import annotations

import time
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text

from adapters.db.engine import make_sync_engine

CONFIG = Path(__file__).with_name("alembic.ini")
# Any number that nothing else in the database uses as an advisory lock.
LOCK = 4_607_182_418
ASK_AGAIN_SECONDS = 0.2


def upgrade(database_url: str) -> None:
    """Migrate to the newest schema; of several callers one does it and the others wait."""
    engine = make_sync_engine(database_url)
    config = Config(CONFIG)
    try:
        # Autocommit: a lock holder inside a transaction would block CREATE INDEX CONCURRENTLY.
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as lock:
            # Asked for again and again: whoever waits inside a statement would block it, too.
            while not lock.scalar(text("SELECT pg_try_advisory_lock(:key)"), {"key": LOCK}):
                time.sleep(ASK_AGAIN_SECONDS)
            try:
                with engine.connect() as connection:
                    config.attributes["connection"] = connection
                    command.upgrade(config, "head")
            finally:
                lock.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": LOCK})
    finally:
        engine.dispose()


def pending(database_url: str) -> bool:
    """Whether `upgrade` would change the database; one of a newer program needs nothing."""
    scripts = ScriptDirectory.from_config(Config(CONFIG))
    known = {revision.revision for revision in scripts.walk_revisions()}
    engine = make_sync_engine(database_url)
    try:
        with engine.connect() as connection:
            current = MigrationContext.configure(connection).get_current_heads()
    finally:
        engine.dispose()
    return scripts.get_current_head() not in current and set(current) <= known
