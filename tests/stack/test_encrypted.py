"""With keys, Temporal's own files hold nothing readable, and staff can still read."""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from runtime.payload_keys import PayloadKey
from tests.stack.running import ROOT, Running, running

KEY = PayloadKey("k1", os.urandom(32))
TITLE = "the-ledger-of-the-north-office-is-stuck"
REASON = "seen-by-the-night-shift-only"


@pytest.mark.timeout(240)
def test_an_incident_is_unreadable_in_temporal_and_readable_for_staff(tmp_path: Path) -> None:
    demo = ROOT / "content/policy/demo.yaml"
    with running(tmp_path, demo, FOREWARN_PAYLOAD_KEYS=KEY.entry) as stack:
        incident = stack.alert(title=TITLE)["incident_id"]
        stack.approve(incident, "initial")
        changed = stack.post(
            f"/api/incidents/{incident}/severity", {"severity": "P1", "reason": REASON}
        )
        assert changed.is_success, changed.text
        hidden = show(stack, incident)
        assert REASON not in hidden and "binary/encrypted" in hidden
        codec = ("--codec-endpoint", f"{stack.info['gateway']}/codec")
        token = ("--codec-auth", f"Bearer {stack.info['token']}")
        assert REASON in show(stack, incident, *codec, *token)
        # By hand, as plain JSON: it is taken, and a bad decision is only refused.
        temporal(stack, "signal", "--name", "approval", "--input",
                 json.dumps({"draft": 99, "decision": "approve", "by": "ops", "role": "approver"}),
                 "--workflow-id", f"incident/{incident}")  # fmt: skip
        resolved = stack.post(f"/api/incidents/{incident}/resolve", {})
        assert resolved.is_success, resolved.text
        stack.approve(incident, "resolution")
        stack.stop()
        kept = b"".join(
            file.read_bytes() for file in (stack.data_dir / "temporal").rglob("*") if file.is_file()
        )
    assert incident.encode() in kept and b"binary/encrypted" in kept
    for word in (TITLE, REASON):
        assert word.encode() not in kept


def show(stack: Running, incident: str, *options: str) -> str:
    """The incident's history as Temporal's command line shows it, with what is in base64 read."""
    history = temporal(
        stack, "show", "--workflow-id", f"incident/{incident}", "--output", "json", *options
    )
    encoded = re.findall(
        r'"((?:[A-Za-z0-9+/]{4}){4,}(?:[A-Za-z0-9+/]{2}[A-Za-z0-9+/=]=)?)"', history
    )
    read = [base64.b64decode(word).decode(errors="replace") for word in encoded]
    return "\n".join([history, *read])


def temporal(stack: Running, *arguments: str) -> str:
    done = subprocess.run(
        [str(ROOT / ".venv/bin/temporal"), "workflow", *arguments,
         "--address", stack.info["temporal"]],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout
