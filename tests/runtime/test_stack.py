"""The local stack with stand-ins for worker and gateway on the real servers."""

import json
import os
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import psycopg
import pytest

from runtime.processes import free_port
from runtime.servers import PostgresServer
from runtime.stack_state import client_environment, read_stack, write_private

HARNESS = '''
"""Runs a stack whose worker sleeps and whose gateway only says that it is ready."""
import asyncio, sys
from pathlib import Path
from runtime.processes import ChildSpec
from runtime.stack import StackOptions, answers_ok, run_stack

GATEWAY = """
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
class Ready(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers()
HTTPServer(("127.0.0.1", int(sys.argv[1])), Ready).serve_forever()
"""

def programs(env, port):
    worker = "import os, time; assert os.environ['TEMPORAL_ADDRESS']; time.sleep(600)"
    url = f"http://127.0.0.1:{port}/readyz"
    return [
        ChildSpec("worker", [sys.executable, "-c", worker], env, stop_rank=2),
        ChildSpec("gateway", [sys.executable, "-c", GATEWAY, str(port)], env,
                  probe=lambda: answers_ok(url), stop_rank=2),
    ]

async def create_token(env):
    print("TOKEN", flush=True)
    return "token-for-" + env["FOREWARN_SECRET_KEY"][:4]

async def on_ready(info):
    print("READY", flush=True)

options = StackOptions(
    port=int(sys.argv[2]), data_dir=Path(sys.argv[1]), sources=("pagerduty", "generic"),
    create_token=create_token, upgrade=lambda url: print("UPGRADE", flush=True), programs=programs,
)
sys.exit(asyncio.run(run_stack(options, lambda line: print(line, flush=True), on_ready)))
'''
NAMES = {"postgres", "temporal", "smtp", "worker", "gateway"}


class Up:
    """One run of the harness; its lines are collected while it runs."""

    def __init__(self, data_dir: Path, port: int, given: Mapping[str, str]) -> None:
        self.data_dir = data_dir
        unwanted = ("TEMPORAL_", "SMTP_", "DATABASE_URL", "FOREWARN_", "PAGERDUTY_", "GENERIC_")
        env = {name: v for name, v in os.environ.items() if not name.startswith(unwanted)}
        self.process = subprocess.Popen(
            [sys.executable, "-c", HARNESS, str(data_dir), str(port)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            env=env | dict(given),
        )
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.strip())

    @property
    def pids(self) -> dict[str, int]:
        info = read_stack(self.data_dir)
        return info.pids if info else {}

    def ready(self) -> None:
        until(lambda: "READY" in self.lines or self.process.poll() is not None, 60)
        assert "READY" in self.lines, self.lines

    def interrupt(self) -> int:
        os.killpg(self.process.pid, signal.SIGINT)
        code = self.process.wait(20)
        self.end()
        return code

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(10)
        self._reader.join(10)
        if self.process.stdout is not None:
            self.process.stdout.close()


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Callable[..., Up]]:
    """Starts stacks on one data directory and port; ends what is left of them."""
    port, runs = free_port(), []

    def start(**given: str) -> Up:
        runs.append(Up(tmp_path / "data", port, given))
        return runs[-1]

    yield start
    for run in runs:
        run.end()


def until(condition: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "not within the time"
        time.sleep(0.05)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def test_stack_runs_restarts_survives_sigkill_and_stops(up: Callable[..., Up]) -> None:
    first = up()
    first.ready()
    path = first.data_dir / "stack.json"
    content = json.loads(path.read_text())
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert set(content["pids"]) == NAMES
    assert all(alive(pid) for pid in content["pids"].values())
    assert set(content["secrets"]) == {"pagerduty", "generic"}
    assert content["temporal"].count(":") == 1
    assert "://" not in content["temporal"]
    psycopg.connect(content["database_url"]).close()
    assert client_environment(first.data_dir)["DATABASE_URL"] == content["database_url"]

    # Every crashed child comes back under a new process id, at the same address.
    for name in sorted(NAMES):
        os.kill(content["pids"][name], signal.SIGKILL)
    until(lambda: all(first.pids[name] != content["pids"][name] for name in NAMES), 20)
    until(lambda: sum(line.endswith("is back") for line in first.lines) == len(NAMES), 30)
    psycopg.connect(content["database_url"]).close()
    after = json.loads(path.read_text())
    assert {**after, "pids": {}} == {**content, "pids": {}}

    # Nothing outlives the supervisor, and a new one goes on with the same token and secrets.
    first.process.kill()
    until(lambda: not any(alive(pid) for pid in after["pids"].values()), 10)
    first.end()
    second = up()
    second.ready()
    again = json.loads(path.read_text())
    assert {**again, "pids": {}} == {**content, "pids": {}}
    assert "TOKEN" not in second.lines

    assert second.interrupt() == 0
    assert not any(alive(pid) for pid in again["pids"].values())


def test_servers_given_by_the_user_are_not_started(
    up: Callable[..., Up], postgres: PostgresServer
) -> None:
    run = up(
        DATABASE_URL=postgres.database_url,
        SMTP_URL="smtp://mail.example:25",
        PAGERDUTY_WEBHOOK_SECRET="given",
    )
    run.ready()
    info = read_stack(run.data_dir)
    assert info is not None
    assert set(info.pids) == {"temporal", "worker", "gateway"}
    assert (info.database_url, info.smtp) == (postgres.database_url, "smtp://mail.example:25")
    assert info.mail is None
    assert info.secrets["pagerduty"] == "given"
    assert "given" not in (run.data_dir / "state.json").read_text()
    assert "UPGRADE" in run.lines
    assert run.interrupt() == 0


def test_second_stack_on_the_same_directory_is_refused(
    up: Callable[..., Up], postgres: PostgresServer
) -> None:
    given = {"DATABASE_URL": postgres.database_url, "SMTP_URL": "smtp://mail.example:25"}
    first = up(**given)
    first.ready()
    second = up(**given)
    assert second.process.wait(30) != 0
    second.end()
    assert any("another stack is running" in line for line in second.lines)
    assert alive(first.pids["gateway"])
    assert first.interrupt() == 0


def test_private_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "stack.json"
    seen: set[str] = set()
    texts = {str(number) * 50_000 for number in range(10)}
    write_private(path, "0" * 50_000)
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            seen.add(path.read_text().strip())

    reader = threading.Thread(target=read)
    reader.start()
    for _ in range(5):
        for text in sorted(texts):
            write_private(path, text)
    done.set()
    reader.join()
    assert seen <= texts
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == ["stack.json"]
