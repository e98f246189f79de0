"""A whole stack as a user starts it, with `starter.py up`, for the tests that need all of it."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import psycopg

from runtime.processes import free_port

ROOT = Path(__file__).parents[2]
START_SECONDS = 90
# A handful of customers: each message reaches more than half of them, and one person decides.
ONE_DECIDES = Path(__file__).parent / "one_decides.yaml"
# What a developer's shell may carry must not lead the stack elsewhere.
OURS = (
    "TEMPORAL_",
    "DATABASE_URL",
    "SMTP_",
    "FOREWARN_",
    "PAGERDUTY_",
    "GENERIC_",
    "SLACK_",
    "OTEL_",
    "ANTHROPIC_",
)


class Running:
    """A running stack and the clients to look at it."""

    def __init__(self, data_dir: Path, port: int, policy: Path | None = None) -> None:
        self.data_dir = data_dir
        self.port = port
        self.policy = policy
        self.extra: dict[str, str] = {}
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        environment = {k: v for k, v in os.environ.items() if not k.startswith(OURS)}
        environment["FOREWARN_POLICY"] = str(self.policy or ONE_DECIDES)
        environment |= self.extra
        command = ["up", "--port", str(self.port), "--data-dir", str(self.data_dir)]
        with (self.data_dir.parent / "up.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "starter.py", *command],
                cwd=ROOT,
                env=environment,
                start_new_session=True,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self.until("ready", self.ready, START_SECONDS)

    def ready(self) -> bool:
        assert self.process is not None
        if self.process.poll() is not None:
            raise AssertionError((self.data_dir.parent / "up.log").read_text()[-3000:])
        try:
            return httpx2.get(f"http://127.0.0.1:{self.port}/readyz", timeout=2).is_success
        except httpx2.HTTPError:
            return False

    def stop(self) -> float:
        """SIGINT to the group, as Ctrl-C does; seconds until it ended."""
        assert self.process is not None
        began = time.monotonic()
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGINT)
            self.process.wait(30)
        return time.monotonic() - began

    @property
    def info(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.data_dir / "stack.json").read_text())
        return found

    def kill(self, child: str) -> int:
        pid: int = self.info["pids"][child]
        os.kill(pid, signal.SIGKILL)
        return pid

    def cli(self, *arguments: str, code: int = 0) -> str:
        """Run starter.py as a user does; its standard output."""
        done = subprocess.run(
            [sys.executable, "starter.py", *arguments, "--data-dir", str(self.data_dir)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            env={k: v for k, v in os.environ.items() if not k.startswith(OURS)},
        )
        assert done.returncode == code, (
            f"{arguments}: {done.returncode}\n{done.stdout}{done.stderr}"
        )
        return done.stdout if code == 0 else done.stderr

    def get(self, path: str) -> Any:
        response = httpx2.get(self.info["gateway"] + path, headers=self._bearer(), timeout=20)
        assert response.is_success, f"{path}: {response.status_code} {response.text}"
        return response.json()

    def post(self, path: str, body: dict[str, Any]) -> httpx2.Response:
        return httpx2.post(
            self.info["gateway"] + path, json=body, headers=self._bearer(), timeout=20
        )

    def alert(self, **changes: Any) -> dict[str, Any]:
        """Post a generic alert, signed; the answer."""
        body = json.dumps(
            {
                "id": f"a{time.time_ns()}",
                "dedup_key": "pay",
                "status": "firing",
                "title": "payments fail",
                "components": ["payments"],
                "severity": "P2",
                "customer_impact": True,
                **changes,
            }
        ).encode()
        secret = self.info["secrets"]["generic"].encode()
        answer = httpx2.post(
            self.info["gateway"] + "/webhooks/generic",
            content=body,
            timeout=20,
            headers={
                "Content-Type": "application/json",
                "X-Forewarn-Signature": "sha256="
                + hmac.new(secret, body, hashlib.sha256).hexdigest(),
            },
        )
        assert answer.status_code == 202, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def pending(self, incident: str, moment: str) -> dict[str, Any]:
        """The pending draft, once one of this moment waits."""

        def look() -> Any:
            pending = self.get(f"/api/incidents/{incident}")["pending"]
            return pending if pending and pending["moment"] == moment else None

        found: dict[str, Any] = self.until(f"pending {moment}", look)
        return found

    def approve(self, incident: str, moment: str) -> None:
        draft = self.pending(incident, moment)["draft"]
        answer = self.post(
            f"/api/incidents/{incident}/decision", {"draft": draft, "decision": "approve"}
        )
        assert answer.is_success, answer.text

    def counts(self, incident: str, channel: str = "email") -> dict[str, int]:
        summary = self.get(f"/api/incidents/{incident}/deliveries?summary=1")
        found: dict[str, int] = summary.get(channel, {})
        return found

    def mails(self) -> list[dict[str, Any]]:
        """Every mail in the sink."""
        found: list[dict[str, Any]] = []
        before = ""
        while True:
            page = httpx2.get(
                f"{self.info['mail']}/api/mails?limit=1000{before}", timeout=20
            ).json()
            found += page["items"]
            if not page.get("next"):
                return found
            before = f"&before={page['next']}"

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.info["database_url"], connect_timeout=5) as connection:
            return connection.execute(statement).fetchall()

    def until(self, what: str, look: Callable[[], Any], seconds: float = 60) -> Any:
        """Look again until something is found; an unreachable stack counts as not yet."""
        deadline = time.monotonic() + seconds
        error: Exception | None = None
        while time.monotonic() < deadline:
            try:
                found = look()
            except (httpx2.HTTPError, AssertionError, psycopg.OperationalError) as caught:
                error, found = caught, None
                if self.process is not None and self.process.poll() is not None:
                    raise
            if found:
                return found
            time.sleep(0.1)
        raise AssertionError(f"{what}: not within {seconds} s; last error: {error}")

    def _bearer(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.info['token']}"}


@contextmanager
def running(tmp_path: Path, policy: Path | None = None, **extra: str) -> Iterator[Running]:
    """A stack in a folder of its own, ended afterwards; `extra` is added to its environment."""
    stack = Running(tmp_path / "data", free_port(), policy)
    stack.extra = extra
    stack.data_dir.mkdir(parents=True, exist_ok=True)
    try:
        stack.start()
        yield stack
    finally:
        stack.stop()
