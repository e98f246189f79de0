"""Slack beside a stack as a user starts it: alert, card, signed press, mail; also in a crash."""

from __future__ import annotations

import json
import os
import signal
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest
from pydantic import SecretStr

from adapters.chat.slack import sign
from tests.adapters.chat.fake_slack import CHANNEL, TOKEN, FakeSlack, fake_slack
from tests.gateway.slack_kit import FORM, click
from tests.stack.running import ROOT, Running, running

SECRET = "8f742231b10e8888abcd99"
CUSTOMERS = 3
# Slack shows an error to whoever pressed after so many seconds.
SLACKS_PATIENCE = 3
POLICY = f"""\
extends: {ROOT / "content/policy/default.yaml"}
approval: {{second_over: null}}
people:
  slack: {{U0ADA: on-call manager, U0BOB: incident manager}}
"""


@dataclass
class Office:
    """A running stack, and the Slack that its people look at."""

    stack: Running
    api: FakeSlack

    def card(self, incident: str) -> dict[str, Any]:
        """The incident's newest message with buttons."""

        def look() -> dict[str, Any] | None:
            for message in reversed(self.api.messages.values()):
                if incident in json.dumps(message) and self.buttons(message):
                    return message
            return None

        found: dict[str, Any] = self.stack.until("a card with buttons", look)
        return found

    @staticmethod
    def buttons(message: dict[str, Any]) -> dict[str, dict[str, Any]]:
        return {
            element["action_id"].removeprefix("forewarn_"): json.loads(element["value"])
            for block in message["blocks"]
            if block["type"] == "actions"
            for element in block["elements"]
        }

    def press(self, user: str, action: str, value: dict[str, Any], ts: str) -> httpx2.Response:
        """A signed click, answered while Slack still waits for it."""
        body, at = click(user, action, value, ts=ts), str(int(time.time()))
        began = time.monotonic()
        answer = httpx2.post(
            f"http://127.0.0.1:{self.stack.port}/slack/interactions",
            content=body,
            timeout=20,
            headers={
                "Content-Type": FORM,
                "X-Slack-Request-Timestamp": at,
                "X-Slack-Signature": sign(SecretStr(SECRET), at, body),
            },
        )
        assert time.monotonic() - began < SLACKS_PATIENCE
        return answer

    def until_read(self, part: str) -> None:
        self.stack.until(part, lambda: any(part in text for text in self.api.texts()))

    def mails(self, about: str) -> Counter[str]:
        """How many mails with these words each person got."""
        return Counter(mail["to"] for mail in self.stack.mails() if about in json.dumps(mail))


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    folder = tmp_path_factory.mktemp("slack")
    (folder / "policy.yaml").write_text(POLICY)
    rows = ["account_id,contact_id,email,features"]
    rows += [
        f"a{i},c{i},reader{i}@customer{i}.example,payments;dashboard" for i in range(CUSTOMERS)
    ]
    (folder / "customers.csv").write_text("\n".join(rows) + "\n")
    with (
        fake_slack() as api,
        running(
            folder,
            folder / "policy.yaml",
            SLACK_BOT_TOKEN=TOKEN,
            SLACK_SIGNING_SECRET=SECRET,
            SLACK_APPROVAL_CHANNEL=CHANNEL,
            SLACK_BASE_URL=api.url,
        ) as stack,
    ):
        stack.cli("customers", "import", str(folder / "customers.csv"))
        yield Office(stack, api)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_from_an_alert_to_mail_by_a_press(office: Office) -> None:
    incident = office.stack.alert(dedup_key="one", components=["payments"])["incident_id"]
    value = office.buttons(office.card(incident))["approve"]
    shown = office.stack.cli("incident", "preview", incident)
    assert f"recipients {CUSTOMERS}, accounts {CUSTOMERS}" in shown
    handing = ("--role", "approver", "--to", "incident manager")
    office.stack.cli("incident", "hand-over", incident, *handing)
    office.until_read("*Asked*: incident manager <@U0BOB>")
    assert office.mails("payments") == {}
    assert office.press("U0ADA", "approve", value, "1.1").status_code == 200
    office.stack.until("mail", lambda: len(office.mails("payments")) == CUSTOMERS)
    office.until_read("Sent, approved by on-call manager")
    assert office.press("U0BOB", "reject", value, "2.1").status_code == 200
    office.stack.until("an answer", lambda: office.api.ephemeral)
    assert office.api.ephemeral[-1]["user"] == "U0BOB"
    decided = f"SELECT actor FROM timeline WHERE kind = 'approved' AND incident_id = '{incident}'"
    assert office.stack.rows(decided) == [("on-call manager",)]


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_press_outlives_temporal_and_the_gateway(office: Office) -> None:
    """Temporal hangs at the press, then the gateway dies at it, then Temporal dies as well."""
    stack, told = office.stack, len(office.api.ephemeral)
    incident = stack.alert(dedup_key="two", components=["dashboard"])["incident_id"]
    value = office.buttons(office.card(incident))["approve"]
    before = stack.info["pids"]
    os.kill(before["temporal"], signal.SIGSTOP)
    try:
        for _ in range(2):  # Slack delivers it once more
            assert office.press("U0ADA", "approve", value, "3.1").status_code == 200
        mine = f"SELECT state FROM slack_actions WHERE incident_id = '{incident}'"
        stack.until("an attempt", lambda: stack.rows(mine + " AND attempts = 1"))
        stack.kill("gateway")
        assert stack.rows(mine) == [("waiting",)]
    finally:
        os.kill(before["temporal"], signal.SIGKILL)
    stack.until("both again", lambda: {"gateway", "temporal"} <= replaced(stack, before))
    # The one that died holds it for a minute, which need not be waited for.
    stack.rows("UPDATE slack_actions SET not_before = now() WHERE told_at IS NULL RETURNING id")
    stack.until("mail", lambda: len(office.mails("dashboard")) == CUSTOMERS)
    stack.until("settled", lambda: stack.rows(mine) == [("done",)])
    office.until_read("Sent, approved by on-call manager")
    counts = stack.counts(incident)
    assert (counts["sent"], counts["resent"]) == (CUSTOMERS, 0)
    assert set(office.mails("dashboard").values()) == {1}
    assert all("Nothing was changed" not in said["text"] for said in office.api.ephemeral[told:])


def replaced(stack: Running, before: dict[str, int]) -> set[str]:
    """The processes that run under another number than before."""
    return {child for child, pid in stack.info["pids"].items() if before[child] != pid}
