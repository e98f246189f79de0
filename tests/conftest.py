"""What the tests share: a real PostgreSQL, a migrated database each, the shipped policy."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.db.engine import make_engine
from adapters.db.migrate import upgrade
from domain.policy import Policy
from runtime.policy_file import load_policy
from runtime.servers import PostgresServer

ROOT = Path(__file__).parents[1]
TEMPLATE = "forewarn_template"
SLOW_SECONDS = 60
LONGEST_FAILURE = 4_000
# Nothing here has to survive a power failure.
UNSAFE_BUT_FAST = ("fsync", "synchronous_commit", "full_page_writes")


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(NamedAtOnce(config))


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests first: at the end one worker would wait for the other's last."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


class NamedAtOnce:
    """Says at once which test failed or is slow: a run that is cut off ends without a summary."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        terminal = self._config.pluginmanager.get_plugin("terminalreporter")
        if terminal is None or not (report.failed or report.duration > SLOW_SECONDS):
            return
        took = f"{report.when} {report.outcome} after {report.duration:.0f} s"
        terminal.write_line(f"\n{report.nodeid}: {took}")
        if report.failed:
            terminal.write_line(report.longreprtext[-LONGEST_FAILURE:])


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """A PostgreSQL server of the test run's own."""
    server = PostgresServer(tmp_path_factory.mktemp("postgres"))
    server.start()
    try:
        with psycopg.connect(server.database_url, autocommit=True) as connection:
            for setting in UNSAFE_BUT_FAST:
                connection.execute(f"ALTER SYSTEM SET {setting} = off")
            connection.execute("SELECT pg_reload_conf()")
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="session")
def migrated_template(postgres: PostgresServer) -> str:
    """The name of a migrated database that others are copied from."""
    upgrade(create_database(postgres, TEMPLATE))
    return TEMPLATE


@pytest.fixture
def empty_database_url(postgres: PostgresServer) -> Iterator[str]:
    """A fresh database without any schema, for the tests of what creates one."""
    name = f"test_{uuid4().hex}"
    yield create_database(postgres, name)
    drop_database(postgres, name)


@pytest.fixture
def database_url(postgres: PostgresServer, migrated_template: str) -> Iterator[str]:
    """A fresh migrated database, dropped afterwards."""
    name = f"test_{uuid4().hex}"
    yield create_database(postgres, name, migrated_template)
    drop_database(postgres, name)


@pytest.fixture
async def engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    """An engine on the test's own database."""
    opened = make_engine(database_url)
    yield opened
    await opened.dispose()


@pytest.fixture(scope="session")
def policy() -> Policy:
    """The shipped default policy."""
    return load_policy(ROOT / "content/policy/default.yaml")


@pytest.fixture
def now() -> datetime:
    """A fixed instant: Tuesday 10 March 2026, 14:00 UTC."""
    return datetime(2026, 3, 10, 14, 0, tzinfo=UTC)


def create_database(postgres: PostgresServer, name: str, template: str | None = None) -> str:
    with psycopg.connect(postgres.database_url, autocommit=True) as connection:
        suffix = f" TEMPLATE {template}" if template else ""
        connection.execute(f"CREATE DATABASE {name}{suffix}")
    return postgres.database_url.rsplit("/", 1)[0] + f"/{name}"


def drop_database(postgres: PostgresServer, name: str) -> None:
    with psycopg.connect(postgres.database_url, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
