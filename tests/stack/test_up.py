"""`starter.py up` and the commands, as a newcomer and as a script use them."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.stack.running import ROOT, Running, running

PAGERDUTY = ROOT.parent / "shared" / "contracts" / "webhooks" / "pagerduty"


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("up")
    with running(folder) as made:
        rows = ["account_id,contact_id,email,contact_name,features,region,locale,timezone"]
        rows += [
            "a1,c1,anna@one.example,Anna Ärmel,payments,eu,de,Europe/Berlin",
            "a2,c2,bob@two.example,Bob Two,payments;dashboard,us,en,America/New_York",
            "a3,c3,cy@three.example,Cy Three,dashboard,us,en,UTC",
        ]
        (folder / "customers.csv").write_text("\n".join(rows) + "\n", "utf-8")
        made.cli("customers", "import", str(folder / "customers.csv"))
        yield made


def post_pagerduty(stack: Running, name: str, secret: str | None = None) -> httpx2.Response:
    body = (PAGERDUTY / name).read_bytes()
    key = (secret or stack.info["secrets"]["pagerduty"]).encode()
    return httpx2.post(
        stack.info["gateway"] + "/webhooks/pagerduty",
        content=body,
        timeout=20,
        headers={
            "Content-Type": "application/json",
            "X-PagerDuty-Signature": "v1=" + hmac.new(key, body, hashlib.sha256).hexdigest(),
        },
    )


def test_stack_json_is_what_scripts_rely_on(stack: Running) -> None:
    info = stack.info
    for key in ("gateway", "temporal", "temporal_ui", "database_url", "smtp", "token", "secrets"):
        assert info[key], key
    assert {"worker", "gateway", "temporal", "postgres"} <= set(info["pids"])
    assert all(isinstance(pid, int) for pid in info["pids"].values())
    assert "/" not in info["temporal"]
    assert stat.S_IMODE((stack.data_dir / "stack.json").stat().st_mode) == 0o600
    assert httpx2.get(info["temporal_ui"], timeout=20).is_success


@pytest.mark.skipif(not PAGERDUTY.is_dir(), reason="the published samples are not beside this tree")
def test_the_published_pagerduty_sample_becomes_mail(stack: Running) -> None:
    assert post_pagerduty(stack, "v3_incident_triggered.json", "wrong").status_code == 401
    answer = post_pagerduty(stack, "v3_incident_triggered.json")
    assert answer.status_code == 202
    incident = answer.json()["incident_id"]
    assert answer.json()["disposition"] == "suspected"
    assert post_pagerduty(stack, "v3_incident_triggered.json").json()["disposition"] == "duplicate"
    stack.cli("incident", "confirm", incident)

    # Approve as an engineer would from the Temporal CLI.
    version = stack.pending(incident, "initial")["draft"]
    binary = Path(sys.executable).parent / "temporal"
    subprocess.run(
        [
            str(binary),
            "workflow",
            "signal",
            "--address",
            stack.info["temporal"],
            "--workflow-id",
            f"incident/{incident}",
            "--name",
            "approval",
            "--input",
            json.dumps({"draft": version, "decision": "approve"}),
        ],
        check=True,
        capture_output=True,
        timeout=60,
    )
    mails = stack.until(
        "mail",
        lambda: [
            m for m in stack.mails() if m["to"].endswith("one.example>") or "one.example" in m["to"]
        ],
    )
    assert mails
    assert {m["to"] for m in stack.mails() if "three.example" in m["to"]} == set()
    summary = stack.get("/api/v2/summary.json")
    assert [i["id"] for i in summary["incidents"]] == [incident]
    described = subprocess.run(
        [
            str(binary),
            "workflow",
            "describe",
            "--address",
            stack.info["temporal"],
            "--workflow-id",
            f"incident/{incident}",
            "--output",
            "json",
        ],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    ).stdout
    assert "ForewarnSeverity" in described

    # The next message is approved from our own command line.
    stack.cli("incident", "update", incident, "--message", "We have found the cause.")
    stack.pending(incident, "update")
    stack.cli("approve", incident)
    stack.until("second mail", lambda: len([m for m in stack.mails() if "one.ex" in m["to"]]) >= 2)
    refused = stack.cli("approve", incident, code=1)
    assert refused.count("\n") == 1
    stack.cli("incident", "resolve", incident, "--message", "The cause is removed.")
    stack.approve(incident, "resolution")
    stack.until("status page is green", lambda: not stack.get("/api/v2/summary.json")["incidents"])
    assert "the chain holds" in stack.cli("audit", "verify")


def test_every_answer_is_json_where_asked(stack: Running) -> None:
    for command in (["incident", "list"], ["audit", "verify"], ["adapters", "list"]):
        json.loads(stack.cli(*command, "--json"))


def test_the_kill_switch_holds_everything_and_loses_nothing(stack: Running) -> None:
    before = len(stack.mails())
    stack.cli("sends", "pause")
    incident = stack.alert(dedup_key="switch", components=["dashboard"])["incident_id"]
    stack.approve(incident, "initial")
    stack.until("rows", lambda: stack.counts(incident).get("pending"))
    assert len(stack.mails()) == before
    stack.cli("sends", "resume")
    stack.until("all sent", lambda: stack.counts(incident).get("sent"))
    counts: dict[str, Any] = stack.counts(incident)
    assert counts["pending"] == counts["sending"] == 0
    stack.cli("incident", "false-alarm", incident, "--message", "This was a wrong measurement.")


def test_wrong_calls_teach(stack: Running, tmp_path: Path) -> None:
    assert "nowhere" in stack.cli("incident", "show", "nowhere", code=1)
    done = subprocess.run(
        [sys.executable, "starter.py", "incident", "list", "--data-dir", str(tmp_path / "none")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "starter.py up" in done.stderr
    usage = subprocess.run(
        [sys.executable, "starter.py", "incident", "no-such-thing"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert usage.returncode == 2


@pytest.mark.timeout(180)
def test_after_sigkill_of_everything_up_goes_on_where_it_was(tmp_path: Path) -> None:
    with running(tmp_path) as stack:
        first = stack.info
        (tmp_path / "customers.csv").write_text(
            "account_id,contact_id,email,features\na1,c1,x@one.example,payments\n"
        )
        stack.cli("customers", "import", str(tmp_path / "customers.csv"))
        incident = stack.alert()["incident_id"]
        stack.pending(incident, "initial")
        assert stack.process is not None
        for pid in (stack.process.pid, *first["pids"].values()):
            os.kill(pid, 9)
        stack.process.wait(10)
        stack.start()
        assert stack.info["token"] == first["token"]
        assert stack.info["secrets"] == first["secrets"]
        stack.approve(incident, "initial")
        stack.until("mail", stack.mails)
        assert stack.stop() < 20
