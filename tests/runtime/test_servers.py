"""The real servers come up, and come back after a crash with what they had."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest

from runtime.processes import StartError
from runtime.servers import PostgresServer, TemporalServer
from runtime.temporal import connect

CRASHING_SUPERVISOR = """
import os, signal, sys
from pathlib import Path
from runtime.servers import PostgresServer
server = PostgresServer(Path(sys.argv[1]))
server.start()
print(server.process.pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_postgres_keeps_committed_rows_through_sigkill(tmp_path: Path) -> None:
    server = PostgresServer(tmp_path / "postgres")
    server.start()
    try:
        with psycopg.connect(server.database_url) as connection:
            level = connection.execute("SHOW wal_level").fetchone()
            connection.execute("CREATE TABLE kept AS SELECT 7 AS value")
        server.kill()
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(server.database_url, connect_timeout=2)
        server.start()
        with psycopg.connect(server.database_url) as connection:
            assert connection.execute("SELECT value FROM kept").fetchone() == (7,)
        assert level == ("logical",)
    finally:
        server.stop()


def test_postgres_wants_the_password(tmp_path: Path) -> None:
    server = PostgresServer(tmp_path / "postgres")
    server.start()
    try:
        scheme, _, rest = server.database_url.partition("://")
        wrong = f"{scheme}://forewarn:wrong@{rest.partition('@')[2]}"
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(wrong)
    finally:
        server.stop()


def test_postgres_works_below_a_private_directory(tmp_path: Path) -> None:
    # A checkout below /root is closed to the id PostgreSQL runs as.
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    server = PostgresServer(private / "postgres")
    server.start()
    try:
        psycopg.connect(server.database_url).close()
    finally:
        server.stop()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a child with its parent")
def test_child_does_not_outlive_a_killed_supervisor(tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-c", CRASHING_SUPERVISOR, str(tmp_path / "postgres")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == -signal.SIGKILL
    pid = int(result.stdout)
    deadline = time.monotonic() + 10
    while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline:
        if "zombie" in Path(f"/proc/{pid}/status").read_text():
            break
        time.sleep(0.05)
    else:
        assert not Path(f"/proc/{pid}").exists()


def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    first = PostgresServer(tmp_path / "first")
    first.start()
    second = PostgresServer(tmp_path / "second", port=first.port)
    try:
        # It answers on the port, but it is the other one, and its password differs.
        with pytest.raises(StartError, match=r"postgres .*log: .*postgres\.log"):
            second.start()
    finally:
        second.stop()
        first.stop()


async def test_temporal_registers_attributes_keeps_history_and_survives_sigkill(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in os.environ if name.startswith("TEMPORAL_")]:
        monkeypatch.delenv(name)
    server = TemporalServer(
        tmp_path / "temporal",
        search_attributes=lambda: [("SampleStage", "Keyword"), ("SampleDue", "Datetime")],
    )
    server.start()
    try:
        client = await connect(server.address)
        handle = await client.start_workflow("Nobody", id="kept", task_queue="nobody")
        found = [run.id async for run in client.list_workflows("SampleStage IS NULL")]
        server.kill()
        server.start()
        again = await connect(server.address)
        assert (
            await again.get_workflow_handle("kept").describe()
        ).run_id == handle.first_execution_run_id
        assert found in ([], ["kept"])
    finally:
        server.stop()
