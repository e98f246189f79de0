"""`maintenance reply` as a mail system calls it: with a mail at its standard input."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import httpx2
import pytest
from typer.testing import CliRunner

from runtime.commands import maintenance

MAIL = b"From: reader@customer.example\r\nIn-Reply-To: <a@acme.example>\r\n\r\nNo.\xff"
Answer = Callable[[httpx2.Request], httpx2.Response]


def run(monkeypatch: pytest.MonkeyPatch, answer: Answer) -> tuple[int, str]:
    def client(_: Path) -> httpx2.Client:
        transport = httpx2.MockTransport(answer)
        return httpx2.Client(transport=transport, base_url="http://gateway.example")

    monkeypatch.setattr(maintenance, "open_gateway", client)
    result = CliRunner().invoke(maintenance.app, ["reply", "-"], input=MAIL)
    return result.exit_code, result.stdout


def test_a_mail_goes_over_byte_by_byte(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[httpx2.Request] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        taken.append(request)
        gone = {"disposition": "unrelated", "maintenance_id": None}
        return httpx2.Response(200, json=gone)

    code, out = run(monkeypatch, answer)
    assert (code, out.split()) == (0, ["disposition:", "unrelated"])
    assert (taken[0].url.path, taken[0].content) == ("/api/maintenances/replies", MAIL)


def test_a_gateway_that_is_away_makes_the_mail_system_try_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def away(request: httpx2.Request) -> httpx2.Response:
        raise httpx2.ConnectError("refused")

    assert run(monkeypatch, away)[0] == 75
    assert run(monkeypatch, lambda _: httpx2.Response(503, json={"title": "down"}))[0] == 75
