"""What the log lines hold and what they must not."""

from __future__ import annotations

import io
import json
import logging
import sys
from collections.abc import Iterator

import pytest
import structlog

from runtime.logs import configure_logs


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    root = logging.getLogger()
    before = (root.handlers[:], root.level)
    configure_logs()
    yield stream
    structlog.reset_defaults()
    root.handlers[:], _ = before
    root.setLevel(before[1])


def test_lines_are_json_without_secrets_and_people(lines: io.StringIO) -> None:
    with structlog.contextvars.bound_contextvars(correlation_id="corr-1"):
        structlog.get_logger("door").info(
            "sent",
            incident_id="inc_1",
            email="jane@example.com",
            SMTP_Password="hunter2",
            sendgrid_api_key="hunter2",
            request={"Authorization": "Bearer hunter2", "path": "/x"},
        )
    (line,) = lines.getvalue().splitlines()
    entry = json.loads(line)
    assert entry["event"] == "sent"
    assert entry["incident_id"] == "inc_1"
    assert entry["correlation_id"] == "corr-1"
    assert entry["level"] == "info"
    assert entry["request"]["path"] == "/x"
    assert "hunter2" not in line
    assert "jane" not in line


def test_the_libraries_speak_the_same(lines: io.StringIO) -> None:
    logging.getLogger("some.library").warning("line\nbreak %s", "x")
    (line,) = lines.getvalue().splitlines()
    assert json.loads(line)["event"] == "line\nbreak x"


def test_a_traceback_stays_on_one_line(lines: io.StringIO) -> None:
    try:
        raise ValueError("boom")
    except ValueError:
        structlog.get_logger().exception("failed")
    (line,) = lines.getvalue().splitlines()
    assert "boom" in line
