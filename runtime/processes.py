"""One child process: start it, wait until it answers, stop it, kill it."""

import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

LAUNCHER = Path(__file__).with_name("launcher.py")
POLL_SECONDS = 0.05
LOG_TAIL_LINES = 12


class StartError(RuntimeError):
    """A child process did not come up; the message says which, why and where its log is."""


@dataclass(frozen=True)
class ChildSpec:
    """How one child is run and how its state is seen.

    `probe` answers quickly, without raising, whether the child does its work; None means that
    running is enough. `settle` runs once after each start, when the probe has answered.
    """

    name: str
    command: Sequence[str]
    environment: Mapping[str, str] | None = None
    """The whole environment of the child; None passes on our own."""
    directory: Path | None = None
    probe: Callable[[], bool] | None = None
    settle: Callable[[], None] | None = None
    prepare: Callable[[], None] | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    death_signal: signal.Signals = signal.SIGKILL
    uid: int | None = None
    keep_file_access: bool = False
    ready_seconds: float = 60
    stop_seconds: float = 5
    stop_rank: int = 0
    """Children of a higher rank end first: those that use the others."""
    retry_seconds: float = 0
    """For how long after the start an exit is answered by another try."""


class ChildProcess:
    """A running child described by a ChildSpec; its output goes to the log file."""

    def __init__(self, spec: ChildSpec, log: Path) -> None:
        self.spec = spec
        self.log = log
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The process id of the last start; 0 before the first."""
        return self._process.pid if self._process else 0

    @property
    def running(self) -> bool:
        """Whether the process exists."""
        return self._process is not None and self._process.poll() is None

    @property
    def exit_code(self) -> int | None:
        """The exit code of the last run, negative for a signal; None while it runs."""
        return self._process.poll() if self._process else None

    def launch(self) -> None:
        """Start the program without waiting for it."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                _launch_command(self.spec),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self.spec.directory,
                # A Ctrl-C in the terminal is for the supervisor, which ends its children in order.
                start_new_session=True,
                env=None if self.spec.environment is None else dict(self.spec.environment),
            )

    def start(self) -> None:
        """Prepare, launch and wait until ready; raises StartError with the end of the log."""
        if self.spec.prepare:
            self.spec.prepare()
        self.launch()
        self.wait_ready()

    def wait_ready(self) -> None:
        """Wait for the probe, trying again after an early exit where the spec allows it."""
        began = time.monotonic()
        while not self.answers():
            elapsed = time.monotonic() - began
            if not self.running:
                if elapsed >= self.spec.retry_seconds:
                    raise self.failure(f"ended with code {self.exit_code}")
                time.sleep(POLL_SECONDS)
                self.launch()
            elif elapsed >= self.spec.ready_seconds:
                raise self.failure(f"did not answer within {self.spec.ready_seconds:g} s")
            time.sleep(POLL_SECONDS)
        if self.spec.settle:
            self.spec.settle()

    def answers(self) -> bool:
        """Whether it runs and its probe, if any, answers."""
        return self.running and (self.spec.probe is None or self.spec.probe())

    def failure(self, what: str) -> StartError:
        """The error that says what happened and quotes the end of the log."""
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        tail = "".join(f"\n  | {line}" for line in lines[-LOG_TAIL_LINES:])
        return StartError(f"{self.spec.name} {what}; log: {self.log}{tail}")

    def signal(self, number: signal.Signals) -> None:
        """Send a signal if it still runs."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)

    def wait(self, seconds: float) -> bool:
        """Wait for the end; False when it still runs after that time."""
        if self._process is None:
            return True
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def stop(self) -> None:
        """End it in its own way, and by SIGKILL when that takes too long."""
        self.signal(self.spec.stop_signal)
        if not self.wait(self.spec.stop_seconds):
            self.kill()

    def kill(self) -> None:
        """End it by SIGKILL and collect it."""
        self.signal(signal.SIGKILL)
        self.wait(5)


# Below what systems give to outgoing connections, one of which could take the port meanwhile.
_PORTS = range(16_384, 32_768)


def free_port(host: str = "127.0.0.1") -> int:
    """A TCP port nobody listens on at this moment. Raises OSError if none is found."""
    for port in random.sample(_PORTS, 100):
        with socket.socket() as probe, suppress(OSError):
            probe.bind((host, port))
            return port
    raise OSError(f"no free port on {host} among 100 tried from {_PORTS.start}")


def port_answers(port: int, host: str = "127.0.0.1") -> bool:
    """Whether something accepts connections on the port."""
    try:
        with socket.create_connection((host, port), timeout=1):
            return True
    except OSError:
        return False


def _launch_command(spec: ChildSpec) -> list[str]:
    if os.name != "posix":
        return list(spec.command)
    uid = "-" if spec.uid is None else str(spec.uid)
    bypass = "1" if spec.keep_file_access else "0"
    start = [sys.executable, "-I", "-S", str(LAUNCHER)]
    return [*start, str(os.getpid()), str(int(spec.death_signal)), uid, bypass, *spec.command]
