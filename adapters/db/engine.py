"""The one way to open the database."""

from __future__ import annotations

from urllib.parse import urlsplit, urlunsplit

from sqlalchemy import Engine, create_engine
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

SCHEMES = ("postgresql", "postgres", "postgresql+psycopg")
# Times are stored as instants; the session's zone only decides how they come back.
CONNECT = {"application_name": "forewarn", "options": "-c timezone=UTC"}


def make_engine(database_url: str, pool_size: int = 10) -> AsyncEngine:
    """An engine for a libpq address; a connection that died meanwhile is replaced silently."""
    return create_async_engine(
        driver_url(database_url),
        pool_size=pool_size,
        max_overflow=0,
        pool_pre_ping=True,
        connect_args=CONNECT,
    )


def make_sync_engine(database_url: str) -> Engine:
    """The same without an event loop and without a pool: for migrations."""
    return create_engine(driver_url(database_url), poolclass=NullPool, connect_args=CONNECT)


def driver_url(database_url: str) -> str:
    """The libpq address in the form that makes SQLAlchemy use psycopg 3; raises ValueError."""
    parts = urlsplit(database_url)
    if parts.scheme not in SCHEMES:
        # The rest of the address may hold a password.
        raise ValueError(f"DATABASE_URL: scheme {parts.scheme!r} not allowed; allowed: postgresql")
    return urlunsplit(parts._replace(scheme="postgresql+psycopg"))
