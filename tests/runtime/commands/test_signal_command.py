"""`starter.py signal` against a small server that stands for the gateway."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from pydantic import SecretStr
from typer.testing import CliRunner

from adapters import registry
from domain.errors import Unauthorized
from runtime.commands.signal import app

SECRET = "from-the-environment"
ANSWER = {"signal_id": "sig_1", "incident_id": "inc_1", "disposition": "started"}


class Door(BaseHTTPRequestHandler):
    """Checks the signature with the monitor's own check."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        source = self.path.rsplit("/", 1)[1]
        spec = registry.get("monitor", source)
        headers = dict(self.headers.items())
        try:
            spec.build(spec.settings()).verify(headers, body, SecretStr(SECRET))
            status, answer = 202, ANSWER
        except Unauthorized as error:
            status, answer = 401, {"detail": str(error)}
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(answer).encode())

    def log_message(self, format: str, *args: object) -> None:
        """Keep the test output quiet."""


@pytest.fixture
def address() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), Door)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("source", ["pagerduty", "alertmanager", "generic"])
def test_signed_as_the_source_signs(
    source: str, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FOREWARN_PUBLIC_URL", address)
    monkeypatch.setenv(f"{source.upper()}_WEBHOOK_SECRET", SECRET)
    result = CliRunner().invoke(app, ["--source", source, "-", "--json"], input="{}")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout) == ANSWER


def test_refusals_are_one_line(
    address: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("FOREWARN_PUBLIC_URL", address)
    monkeypatch.setenv("GENERIC_WEBHOOK_SECRET", "wrong")
    runner = CliRunner()
    refused = runner.invoke(app, ["--source", "generic", "-"], input="{}")
    missing = runner.invoke(app, ["--source", "generic", str(tmp_path / "none.json")])
    unknown = runner.invoke(app, ["--source", "nagios", "-"])
    assert [r.exit_code for r in (refused, missing, unknown)] == [1, 1, 2]
    assert refused.stderr.count("\n") == missing.stderr.count("\n") == 1
    assert "generic, pagerduty" in unknown.stderr
