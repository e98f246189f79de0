"""The driver's own connection, for the statements that run once per batch of messages.

Through SQLAlchemy a claimed and settled row takes half as much time again, and a broadcast is
bound by that time; its pool still owns the connections.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from psycopg import AsyncConnection, Error
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.errors import Transient

_NAMED = re.compile(r"(?<!:):(\w+)")
AWAY = "the database did not answer"


@asynccontextmanager
async def plain_connection(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """A pooled connection; what its user does not commit is rolled back.

    A lost or restarting database, a deadlock and a serialisation failure are raised as Transient.
    """
    try:
        async with engine.connect() as pooled:
            driver = (await pooled.get_raw_connection()).driver_connection
            if not isinstance(driver, AsyncConnection):
                raise TypeError("the engine does not use psycopg")
            try:
                yield driver
            except BaseException as error:
                # Lost, or cut off in the middle of a statement: nobody may use it again.
                if driver.closed or not isinstance(error, Exception):
                    await pooled.invalidate()
                raise
    except DBAPIError as error:
        if passing(error.orig, error.connection_invalidated):
            raise Transient(AWAY) from error
        raise
    except Error as error:
        if passing(error):
            raise Transient(AWAY) from error
        raise


def passing(error: BaseException | None, lost: bool = False) -> bool:
    """Whether the transaction may simply be repeated: the server is away, or it was in the way."""
    # 40: deadlock or serialisation.
    state = getattr(error, "sqlstate", None) or ""
    return lost or state[:2] in ("", "08", "40", "57")


def for_driver(statement: str) -> str:
    """The statement with psycopg's own placeholders instead of SQLAlchemy's."""
    return _NAMED.sub(r"%(\1)s", statement.replace("%", "%%"))
