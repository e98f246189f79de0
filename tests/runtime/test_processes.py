"""Ports that are picked for servers."""

from __future__ import annotations

import random
import socket

import pytest

from runtime.processes import free_port


def test_a_port_in_use_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    free = free_port()
    with socket.socket() as used:
        used.bind(("127.0.0.1", 0))
        used.listen()
        taken = used.getsockname()[1]
        monkeypatch.setattr(random, "sample", lambda *_: [taken, free])
        assert free_port() == free
        monkeypatch.setattr(random, "sample", lambda *_: [taken])
        with pytest.raises(OSError, match="no free port"):
            free_port()
