"""What every benchmark is given: a folder, real servers, child processes, and how to report."""

from __future__ import annotations

import math
import os
import secrets
import shutil
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from adapters.db.migrate import upgrade
from runtime.processes import ChildProcess, ChildSpec, free_port, port_answers
from runtime.servers import HOST, PostgresServer, TemporalServer
from runtime.stack import answers_ok

ROOT = Path(__file__).resolve().parent.parent
# What a developer's shell may carry must not lead a measurement elsewhere.
OURS = ("TEMPORAL_", "DATABASE_URL", "SMTP_", "FOREWARN_", "SLACK_")
# Leaves no limit of a provider in the way of what is measured.
UNLIMITED = """\
extends: {default}
approval: {{second_over: null}}
delivery:
  rate_per_minute: {{email: null, sms: null}}
"""


class NotMeasured(Exception):
    """A part that cannot be measured here; the message says what is missing."""


@dataclass(frozen=True)
class Figure:
    """One measured number; `value` None means not measured, and the note says why.

    `ratio` is value / baseline_value, both of the same run; `met` says whether the goal holds.
    """

    name: str
    value: float | None
    unit: str
    baseline: str | None = None
    baseline_value: float | None = None
    ratio: float | None = None
    goal: str | None = None
    met: bool | None = None
    note: str = ""

    def as_json(self) -> dict[str, object]:
        return asdict(self)


def not_measured(name: str, unit: str, why: object, goal: str | None = None) -> Figure:
    """The row of something that could not be measured."""
    return Figure(name=name, value=None, unit=unit, goal=goal, note=f"not measured: {why}")


def percentile(values: Sequence[float], part: float) -> float:
    """The value that `part` (0…1) of all are at or below; raises ValueError for none."""
    if not values:
        raise ValueError("no values")
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * part) - 1)]


def median(values: Sequence[float]) -> float:
    return statistics.median(values)


def memory_mb(*pids: int) -> float:
    """Resident memory of processes and their children in MB, shared pages counted once."""
    listing = subprocess.run(
        ["ps", "-A", "-o", "pid=,ppid=,rss="], capture_output=True, text=True, check=True
    ).stdout
    processes = [tuple(map(int, line.split())) for line in listing.splitlines()]
    family = set(pids)
    for _ in range(5):
        family |= {pid for pid, parent, _ in processes if parent in family}
    return sum(_shared_once(pid, rss) for pid, _, rss in processes if pid in family) / 1000


def _shared_once(pid: int, rss: int) -> int:
    """Kilobytes of one process, its part of shared pages only, where the system knows that."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return rss
    return next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), rss)


@dataclass
class Servers:
    """PostgreSQL (migrated) and Temporal of one benchmark, and the environment of its programs."""

    postgres: PostgresServer
    temporal: TemporalServer | None
    env: dict[str, str] = field(default_factory=dict)

    @property
    def database_url(self) -> str:
        return self.postgres.database_url


@dataclass(frozen=True)
class Sink:
    """A mail server that takes everything: its port, which program it is, and its log."""

    port: int
    kind: str
    log: Path


@dataclass(frozen=True)
class Bench:
    """What a benchmark works with; `quick` asks for small sizes, to see that it works."""

    work_dir: Path
    quick: bool
    say: Callable[[str], None]

    def size(self, full: int, quick: int) -> int:
        """The number to measure with."""
        return quick if self.quick else full

    def folder(self, name: str) -> Path:
        """A folder of the run's own."""
        path = self.work_dir / name
        path.mkdir(parents=True, exist_ok=True)
        return path

    def program(self, name: str, package: str) -> str:
        """Path of a program that is not ours; raises NotMeasured naming the apt package."""
        path = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"))
        found = shutil.which(name, path=path)
        if found is None:
            raise NotMeasured(f"no program {name}; on Debian: apt-get install {package}")
        return found

    def unlimited_policy(self) -> Path:
        """A policy file: the default one with no rate limit."""
        path = self.work_dir / "unlimited.yaml"
        default = ROOT / "content" / "policy" / "default.yaml"
        path.write_text(UNLIMITED.format(default=default))
        return path

    @contextmanager
    def servers(self, name: str, temporal: bool = True) -> Iterator[Servers]:
        """Fresh servers, durable as in production; `env` is the whole environment of programs."""
        folder = self.folder(name)
        self.say(f"{name}: starting the servers")
        database = PostgresServer(folder / "postgres")
        flows = TemporalServer(folder / "temporal") if temporal else None
        started: list[PostgresServer | TemporalServer] = []
        try:
            for server in (database, flows):
                if server is not None:
                    started.append(server)
                    server.start()
            upgrade(database.database_url)
            env = {k: v for k, v in os.environ.items() if not k.startswith(OURS)}
            env |= {
                "DATABASE_URL": database.database_url,
                "FOREWARN_SECRET_KEY": secrets.token_hex(32),
                "FOREWARN_POLICY": str(self.unlimited_policy()),
                "PYTHONUNBUFFERED": "1",
            }
            if flows is not None:
                profile = folder / "client.toml"
                profile.write_text("")
                env |= {
                    "TEMPORAL_ADDRESS": flows.address,
                    "TEMPORAL_NAMESPACE": "default",
                    "TEMPORAL_CONFIG_FILE": str(profile),
                }
            yield Servers(database, flows, env)
        finally:
            for server in reversed(started):
                server.stop()
            # A million rows are a gigabyte.
            shutil.rmtree(folder, ignore_errors=True)

    @contextmanager
    def child(
        self,
        name: str,
        command: Sequence[str],
        env: Mapping[str, str] | None = None,
        probe: Callable[[], bool] | None = None,
        ready_seconds: float = 60,
    ) -> Iterator[ChildProcess]:
        """A program as a child process, ended with the block; its output is in `<name>.log`."""
        spec = ChildSpec(
            name=name,
            command=command,
            environment=env,
            directory=ROOT,
            probe=probe,
            ready_seconds=ready_seconds,
        )
        process = ChildProcess(spec, self.work_dir / f"{name}.log")
        process.start()
        try:
            yield process
        finally:
            process.stop()

    @contextmanager
    def worker(
        self, env: Mapping[str, str], name: str = "worker", queue: str = "all"
    ) -> Iterator[ChildProcess]:
        """A real worker process."""
        command = [sys.executable, str(ROOT / "worker.py"), "--queue", queue]
        with self.child(name, command, env) as process:
            yield process

    @contextmanager
    def gateway(
        self, env: Mapping[str, str], port: int | None = None, name: str = "gateway"
    ) -> Iterator[tuple[str, ChildProcess]]:
        """A real gateway process: its address and the process, once it is ready."""
        port = port or free_port(HOST)
        address = f"http://{HOST}:{port}"
        command = [sys.executable, "-m", "gateway", "--port", str(port)]
        env = {"FOREWARN_PUBLIC_URL": address, **env}
        with self.child(name, command, env, lambda: answers_ok(f"{address}/readyz")) as process:
            yield address, process

    @contextmanager
    def mail_sink(self, name: str = "smtp_sink") -> Iterator[Sink]:
        """A mail server that takes everything: in C where there is one, else our own."""
        port = free_port(HOST)
        try:
            program = self.program("smtp-sink", "postfix")
            # As root it wants to be told whom to become; `-c` counts the mails in its log.
            become = ["-u", "nobody"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
            command = [program, "-c", *become, "-m", "400", f"{HOST}:{port}", "1000"]
            kind = "smtp-sink of postfix (C)"
        except NotMeasured as missing:
            self.say(f"{missing}; using our own sink in Python instead")
            command = [
                *(sys.executable, "-m", "runtime.smtp_sink", "--smtp-port", str(port)),
                *("--http-port", str(free_port(HOST)), "--data-dir", str(self.folder(name))),
            ]
            kind = "our own sink (Python)"
        with self.child(name, command, probe=lambda: port_answers(port)) as process:
            yield Sink(port, kind, process.log)
