"""A drill on a stack as a user starts it: everything happens, nothing leaves, nothing is public."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.runtime.backtest.recordings import at, save, signal
from tests.stack.running import ROOT, Running, running


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("drill")) as started:
        yield started


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_recorded_incident_is_drilled(stack: Running, tmp_path: Path) -> None:
    customers = tmp_path / "customers.csv"
    customers.write_text(
        "account_id,contact_id,email,features\n"
        "1,1,ada@example.com,payments\n2,2,bob@example.com,payments\n"
    )
    stack.cli("customers", "import", str(customers))
    real = stack.alert(id="real-1", dedup_key="card")
    folder = save(
        tmp_path / "in",
        [
            signal("card", 0, started_at=at(-10)),
            signal("card", 40, "resolved"),
            signal("other", 0, components=["dashboard"]),
        ],
    )
    command = ["drill", str(folder), "--incident", "card", "--speed", "60", "--json"]
    drill = subprocess.Popen(
        [sys.executable, "starter.py", *command, "--data-dir", str(stack.data_dir)],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    try:
        waiting = stack.until("a draft of the drill", lambda: drilled(stack, "pending"), 60)
        body = {"draft": waiting["pending"]["draft"], "decision": "approve"}
        assert stack.post(f"/api/incidents/{waiting['id']}/decision", body).is_success
        out, _ = drill.communicate(timeout=150)
    finally:
        drill.kill()
    (played,) = json.loads(out)
    assert played["id"] == waiting["id"] != real["incident_id"]
    assert played["dry_run"] and played["title"].startswith("DRILL")
    mails = played["deliveries"]["email"]
    assert mails["suppressed"] >= 2 and mails["sent"] == 0
    said = stack.get(f"/api/incidents/{played['id']}/deliveries?channel=email")["items"]
    assert {row["reason"] for row in said} == {"dry_run"}
    page = httpx2.get(f"{stack.info['gateway']}/api/v2/incidents.json", timeout=20).json()
    assert page["incidents"] == []
    # The real alert was there all the time, and is still as it was.
    kept = stack.get(f"/api/incidents/{real['incident_id']}")
    assert not kept["dry_run"] and kept["title"] != played["title"] and kept["open"]


def drilled(stack: Running, field: str) -> Any:
    """The drill's incident once it has this."""
    found = [i for i in stack.get("/api/incidents")["items"] if i["dry_run"] and i[field]]
    return found[0] if found else None
