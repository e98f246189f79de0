"""The local stack behind `up` and `demo`: servers, worker and gateway as supervised children."""

import asyncio
import fcntl
import os
import signal
import sys
import urllib.request
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from temporalio.service import RPCError

from runtime.processes import ChildSpec, StartError, port_answers
from runtime.servers import HOST, PostgresServer, TemporalServer
from runtime.settings import environment
from runtime.stack_state import (
    StackInfo,
    load_state,
    save_state,
    token_fingerprint,
    write_stack,
)
from runtime.supervisor import Say, Supervisor
from runtime.temporal import connect, register_search_attributes

ROOT = Path(__file__).resolve().parent.parent
SIGNALS = (signal.SIGINT, signal.SIGTERM)
# Ends first: what uses the others. Each rank has `stop_seconds`, 5 s: in all within 20 s.
# (the servers' ranks, 1 for Temporal and 0 for PostgreSQL, stand in runtime/servers.py)
RANK_PROGRAMS, RANK_SERVERS = 2, 1
PORT_FREE_SECONDS = 3

CreateToken = Callable[[Mapping[str, str]], Awaitable[str]]
Programs = Callable[[Mapping[str, str], int], Sequence[ChildSpec]]
OnReady = Callable[[StackInfo], Awaitable[int | None]]


@dataclass(frozen=True)
class StackOptions:
    """What a stack is made of.

    `create_token` gets the environment of the children and returns a token with all roles.
    `upgrade` gets the database address and brings its schema up to date; it may block.
    `programs` gets the environment and the gateway's port and names what runs on the servers.
    """

    port: int
    data_dir: Path
    sources: Sequence[str]
    create_token: CreateToken
    upgrade: Callable[[str], object]
    programs: Programs | None = None
    extra_environment: Mapping[str, str] = field(default_factory=dict)


class LocalStack:
    """Starts the stack on entering, keeps it running, stops it on leaving."""

    def __init__(self, options: StackOptions, say: Say) -> None:
        self._options = options
        self._say = say
        self._data_dir = options.data_dir.resolve()
        self._given = environment() | dict(options.extra_environment)
        self._env: dict[str, str] = {}
        self._fixed: dict[str, object] = {}
        self._lock: IO[str] | None = None
        self._supervisor = Supervisor(self._data_dir / "logs", say, self._write)

    @property
    def info(self) -> StackInfo:
        """Where everything is; complete once the stack has started."""
        return StackInfo.model_validate({**self._fixed, "pids": self._supervisor.pids})

    @property
    def environment(self) -> Mapping[str, str]:
        """The environment the children run in."""
        return self._env

    async def __aenter__(self) -> "LocalStack":
        self._data_dir.mkdir(parents=True, exist_ok=True)
        self._take_lock()
        try:
            await self._start()
        except BaseException:
            await self._stop()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        self._say("stopping")
        await self._stop()
        self._say("stopped; the data is kept")

    def _take_lock(self) -> None:
        self._lock = (self._data_dir / "lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._lock.close()
            raise StartError(f"another stack is running on {self._data_dir}") from None

    async def _stop(self) -> None:
        await self._supervisor.stop()
        if self._lock is not None:
            self._lock.close()

    def _write(self) -> None:
        # Before the token exists the servers are starting, and nobody can read about them yet.
        if self._fixed:
            write_stack(self._data_dir, self.info)

    async def _start(self) -> None:
        options = self._options
        state = load_state(self._data_dir)
        await self._wait_for_port(options.port)
        gateway = f"http://{HOST}:{options.port}"
        env = self._given.copy()
        for name in ("FOREWARN_SECRET_KEY", *map(secret_variable, options.sources)):
            if not env.get(name):
                env[name] = state.secret(name)
        env.setdefault("FOREWARN_PUBLIC_URL", gateway)
        env["PYTHONUNBUFFERED"] = "1"
        save_state(self._data_dir, state)

        if not env.get("DATABASE_URL"):
            database = PostgresServer(self._data_dir / "postgres", state.port("postgres"))
            save_state(self._data_dir, state)
            await self._supervisor.start(database.spec)
            env["DATABASE_URL"] = database.database_url
        self._say("bringing the database schema up to date")
        await asyncio.to_thread(options.upgrade, env["DATABASE_URL"])

        temporal_ui = None
        if not env.get("TEMPORAL_ADDRESS"):
            ports = state.port("temporal"), state.port("temporal_ui")
            temporal = TemporalServer(self._data_dir / "temporal", *ports)
            save_state(self._data_dir, state)
            await self._supervisor.start(temporal.spec)
            temporal_ui = temporal.ui_url
            env = _for_local_temporal(env, temporal.address, self._data_dir)
            env.setdefault("FOREWARN_TEMPORAL_UI_URL", temporal_ui)
        else:
            await self._introduce(env["TEMPORAL_ADDRESS"])

        mail = None
        if not env.get("SMTP_URL"):
            smtp_port, mail_port = state.port("smtp"), state.port("mail")
            save_state(self._data_dir, state)
            await self._supervisor.start(self._sink(smtp_port, mail_port, env))
            env["SMTP_URL"] = f"smtp://{HOST}:{smtp_port}"
            mail = f"http://{HOST}:{mail_port}"

        fingerprint = token_fingerprint(env)
        if fingerprint not in state.tokens:
            state.tokens[fingerprint] = await options.create_token(env)
            save_state(self._data_dir, state)
        self._env = env
        self._fixed = {
            "gateway": gateway,
            "temporal": env["TEMPORAL_ADDRESS"],
            "temporal_ui": temporal_ui,
            "database_url": env["DATABASE_URL"],
            "smtp": env["SMTP_URL"],
            "mail": mail,
            "token": state.tokens[fingerprint],
            "secrets": {source: env[secret_variable(source)] for source in options.sources},
        }
        for spec in (options.programs or worker_and_gateway)(env, options.port):
            await self._supervisor.start(spec)

    async def _wait_for_port(self, port: int) -> None:
        # After a SIGKILL of the supervisor its children may be gone a moment later than it.
        for _ in range(PORT_FREE_SECONDS * 10):
            if not port_answers(port):
                return
            await asyncio.sleep(0.1)
        raise StartError(f"port {port} is taken; choose another with --port")

    async def _introduce(self, address: str) -> None:
        try:
            client = await connect(address)
        except RuntimeError as error:
            raise StartError(f"TEMPORAL_ADDRESS: no answer from {address}: {error}") from error
        try:
            added = await register_search_attributes(client)
        except RPCError as error:
            self._say(f"search attributes could not be added at {address}: {error.message}")
        else:
            self._say(f"search attributes added: {', '.join(added) or 'none were missing'}")

    def _sink(self, smtp_port: int, mail_port: int, env: Mapping[str, str]) -> ChildSpec:
        return ChildSpec(
            name="smtp",
            command=[
                *(sys.executable, "-m", "runtime.smtp_sink", "--smtp-port", str(smtp_port)),
                *("--http-port", str(mail_port), "--data-dir", str(self._data_dir / "mail")),
            ],
            environment=env,
            directory=ROOT,
            probe=lambda: port_answers(smtp_port) and port_answers(mail_port),
            stop_rank=RANK_SERVERS,
            retry_seconds=5,
        )


def worker_and_gateway(env: Mapping[str, str], port: int) -> Sequence[ChildSpec]:
    """The two programs of Forewarn, as they run on the local stack."""
    worker = [sys.executable, str(ROOT / "worker.py")]
    gateway = [sys.executable, "-m", "gateway", "--port", str(port)]
    ready = f"http://{HOST}:{port}/readyz"
    return [
        ChildSpec("worker", worker, env, directory=ROOT, stop_rank=RANK_PROGRAMS),
        ChildSpec(
            *("gateway", gateway, env),
            directory=ROOT,
            probe=lambda: answers_ok(ready),
            stop_rank=RANK_PROGRAMS,
        ),
    ]


async def run_stack(options: StackOptions, say: Say, on_ready: OnReady) -> int:
    """Run the stack until `on_ready` returns a code, or SIGINT or SIGTERM; returns the exit code.

    `on_ready` is called once with the running stack; when it returns None the stack goes on.
    Raises StartError when something does not start. A second signal does not shorten the stop.
    """
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    for number in SIGNALS:
        loop.add_signal_handler(number, stopped.set)
    try:
        return await _until(stopped, _run(options, say, on_ready))
    finally:
        for number in SIGNALS:
            loop.remove_signal_handler(number)


async def _run(options: StackOptions, say: Say, on_ready: OnReady) -> int:
    async with LocalStack(options, say) as stack:
        code = await on_ready(stack.info)
        if code is None:
            await asyncio.Event().wait()
        return code or 0


async def _until(stopped: asyncio.Event, work: Awaitable[int]) -> int:
    running = asyncio.ensure_future(work)
    waiting = asyncio.ensure_future(stopped.wait())
    try:
        await asyncio.wait({running, waiting}, return_when=asyncio.FIRST_COMPLETED)
        if not running.done():
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running
            return 0
        return await running
    finally:
        waiting.cancel()


def secret_variable(source: str) -> str:
    """The environment variable that holds the webhook secret of a source."""
    return f"{source.upper().replace('-', '_')}_WEBHOOK_SECRET"


def answers_ok(url: str) -> bool:
    """Whether a GET is answered with 200."""
    try:
        with urllib.request.urlopen(url, timeout=5) as response:
            return bool(response.status == 200)
    except OSError:
        return False


def _for_local_temporal(env: Mapping[str, str], address: str, data_dir: Path) -> dict[str, str]:
    # The user's profile, key and TLS settings are about another server.
    profile = data_dir / "temporal" / "client.toml"
    profile.write_text("")
    kept = {name: value for name, value in env.items() if not name.startswith("TEMPORAL_")}
    return kept | {
        "TEMPORAL_ADDRESS": address,
        "TEMPORAL_NAMESPACE": "default",
        "TEMPORAL_CONFIG_FILE": os.fspath(profile),
    }
