"""SIGKILL to every process in mid-broadcast: nobody is lost, and every repetition is accounted."""

from __future__ import annotations

from collections import Counter
from functools import partial
from pathlib import Path

import pytest

from tests.stack.running import Running, running

CUSTOMERS = 2_000
# At most so many rows per worker are in flight when it dies (ARCHITECTURE, Broadcast).
IN_FLIGHT = 50
KILLS = (("worker", 200), ("gateway", 500), ("temporal", 800), ("postgres", 1100), ("worker", 1500))
POLICY = """\
extends: {default}
approval: {{second_over: null}}
delivery:
  rate_per_minute: {{email: 9000}}
"""


def customers(path: Path) -> Path:
    lines = ["account_id,contact_id,email,features,plan,locale"]
    lines += [
        f"acc{i},con{i},reader{i}@customer{i}.example,payments,pro,{'de' if i % 4 == 0 else 'en'}"
        for i in range(CUSTOMERS)
    ]
    path.write_text("\n".join(lines) + "\n")
    return path


def sent_so_many(stack: Running, incident: str, number: int) -> bool:
    return stack.counts(incident).get("sent", 0) >= number


def replaced(stack: Running, child: str, killed: int) -> bool:
    return bool(stack.info["pids"][child] != killed)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_killing_every_process_in_mid_broadcast_loses_nobody(tmp_path: Path) -> None:
    policy = tmp_path / "policy.yaml"
    default = Path(__file__).parents[2] / "content" / "policy" / "default.yaml"
    policy.write_text(POLICY.format(default=default))
    with running(tmp_path, policy) as stack:
        stack.cli("customers", "import", str(customers(tmp_path / "customers.csv")))
        incident = stack.alert()["incident_id"]
        stack.approve(incident, "initial")
        for child, at in KILLS:
            stack.until(f"{at} mails", partial(sent_so_many, stack, incident, at), 120)
            stack.until(f"a new {child}", partial(replaced, stack, child, stack.kill(child)))

        def settled() -> bool:
            counts = stack.counts(incident)
            return counts["pending"] == 0 and counts["sending"] == 0

        stack.until("every row settled", settled, 300)
        counts = stack.counts(incident)
        arrived = Counter(mail["to"] for mail in stack.mails())
        assert len(arrived) == CUSTOMERS  # nobody lost
        assert counts["sent"] == CUSTOMERS
        repeated = sum(number - 1 for number in arrived.values())
        # A mail that came twice is a row that was counted as re-sent.
        assert repeated <= counts["resent"] <= IN_FLIGHT * len(KILLS)
        assert "the chain holds" in stack.cli("audit", "verify")
