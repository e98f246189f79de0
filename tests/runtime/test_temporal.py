"""The search attributes of the one list reach a server that lacks them, and only once."""

import os
from pathlib import Path

import pytest
from temporalio.contrib.pydantic import pydantic_data_converter

from runtime.servers import TemporalServer
from runtime.temporal import (
    connect,
    register_search_attributes,
    sandbox_runner,
    search_attribute_flags,
)


async def test_missing_search_attributes_are_added_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in os.environ if name.startswith("TEMPORAL_")]:
        monkeypatch.delenv(name)
    flags = search_attribute_flags()
    server = TemporalServer(tmp_path / "temporal", search_attributes=lambda: flags[:1])
    server.start()
    try:
        monkeypatch.setenv("TEMPORAL_ADDRESS", server.address)
        client = await connect()
        assert client.data_converter is pydantic_data_converter
        added = await register_search_attributes(client)
        assert added == sorted(name for name, _ in flags[1:])
        assert await register_search_attributes(client) == []
    finally:
        server.stop()


def test_sandbox_passes_our_pure_code_through() -> None:
    assert {"domain", "activities"} <= sandbox_runner().restrictions.passthrough_modules
