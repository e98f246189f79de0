"""Recorded signals as files, as a user would have them."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

START = datetime(2026, 3, 10, 14, 0, tzinfo=UTC)


def at(minutes: float) -> str:
    """An instant as files write it."""
    return (START + timedelta(minutes=minutes)).isoformat().replace("+00:00", "Z")


def signal(name: str, minutes: float, status: str = "firing", **changes: Any) -> dict[str, Any]:
    """A confirmed P2 on payments unless told otherwise."""
    values: dict[str, Any] = {
        "id": f"{name}-{status}-{minutes}",
        "dedup_key": name,
        "status": status,
        "title": f"{name} is down",
        "components": ["payments"],
        "severity": "P2",
        "customer_impact": True,
        "received_at": at(minutes),
    }
    return values | changes


def save(folder: Path, signals: list[dict[str, Any]], *said: tuple[str, float, str]) -> Path:
    """A folder with these signals, and what the operator said as (incident, minute, stage)."""
    folder.mkdir(exist_ok=True)
    (folder / "signals.json").write_text(json.dumps(signals))
    if said:
        messages = [{"incident": name, "at": at(m), "stage": stage} for name, m, stage in said]
        (folder / "actual.json").write_text(json.dumps({"messages": messages}))
    return folder
