"""The one way to open the database."""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.exc import InvalidatePoolError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

SCHEMES = ("postgresql", "postgres", "postgresql+psycopg")
# Times are stored as instants; the session's zone only decides how they come back.
# A connection used within this time is taken to be alive.
IDLE_SECONDS = 1.0
CONNECT = {"application_name": "forewarn", "options": "-c timezone=UTC"}


def make_engine(database_url: str, pool_size: int = 10) -> AsyncEngine:
    """An engine for a libpq address; a connection that died while idle is replaced silently."""
    engine = create_async_engine(
        driver_url(database_url), pool_size=pool_size, max_overflow=0, connect_args=CONNECT
    )
    _ping_the_idle(engine.sync_engine)
    return engine


def make_sync_engine(database_url: str) -> Engine:
    """The same without an event loop and without a pool: for migrations."""
    return create_engine(driver_url(database_url), poolclass=NullPool, connect_args=CONNECT)


def _ping_the_idle(engine: Engine) -> None:
    """As `pool_pre_ping`, but not in a storm, where it would be one round trip in three."""

    @event.listens_for(engine, "checkin")
    def used(connection: Any, record: Any) -> None:
        record.info["used"] = time.monotonic()

    @event.listens_for(engine, "checkout")
    def ping(connection: Any, record: Any, proxy: Any) -> None:
        if time.monotonic() - record.info.get("used", float("inf")) < IDLE_SECONDS:
            return
        try:
            engine.dialect.do_ping(connection)
        except engine.dialect.loaded_dbapi.Error as error:
            # Whatever ended this connection has most likely ended the others too.
            raise InvalidatePoolError("the connection died while idle") from error


def driver_url(database_url: str) -> str:
    """The libpq address in the form that makes SQLAlchemy use psycopg 3; raises ValueError."""
    parts = urlsplit(database_url)
    if parts.scheme not in SCHEMES:
        # The rest of the address may hold a password.
        raise ValueError(f"DATABASE_URL: scheme {parts.scheme!r} not allowed; allowed: postgresql")
    return urlunsplit(parts._replace(scheme="postgresql+psycopg"))
