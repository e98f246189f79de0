"""The back-test counts a customers file as the database counts the same customers."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import available_timezones

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.db.audiences import AudienceStore
from adapters.db.customers import CustomerStore
from adapters.db.sample_customers import write_csv
from domain.backtest_crowd import Counted
from domain.customers import Allowed, CustomerRow
from domain.customers_file import CustomersFile
from domain.facts import audience_rule
from domain.incident import IncidentState
from domain.policy import Policy
from domain.signal import Severity

# Cells that the sample leaves full: nothing known, a container instead of its parts, chat.
ODD = (
    "x1,Odd one,pro,mid-market,,,,,,,,k1,,one@example.com,,en,UTC,",
    "x2,Odd two,enterprise,enterprise,eu,,,api,,,,k2,,two@example.com,+491234567,de,UTC,email;sms",
    "x3,Odd three,free,smb,us,,,reporting,reporting=2020-01-01,,,k3,,t@example.com,,en,UTC,",
)


async def test_both_count_the_same(
    engine: AsyncEngine, policy: Policy, now: datetime, tmp_path: Path
) -> None:
    file = tmp_path / "customers.csv"
    write_csv(file, 400, 7, now)
    with file.open("a") as more:
        more.write("\n".join(ODD) + "\n")
    lines = file.read_bytes().splitlines(keepends=True)
    await CustomerStore(engine).import_csv(lines, policy, now, by="test")
    read = CustomersFile(lines, Allowed.by(policy, available_timezones()), False)
    rows = [row for _, row in read if isinstance(row, CustomerRow)]
    store, counted = AudienceStore(engine), Counted(rows)
    choices = policy.audience.model_copy(
        update={
            "active_within": timedelta(days=30), "unknown_activity": "exclude",
            "unknown_region": "exclude", "exclude_plans": ("free",),
        }
    )  # fmt: skip
    strict = policy.model_copy(update={"audience": choices})
    seen = set()
    for rules in (policy, strict):
        for components in (("payments",), ("database",), ("api",), ("rest-api",), ("dashboard",)):
            for regions in ((), ("eu",), ("us", "apac")):
                state = IncidentState(
                    id="inc", severity=Severity.P2, category="local_degradation",
                    components=components, regions=regions, started_at=now, opened_at=now,
                )  # fmt: skip
                wanted = await store.preview(audience_rule(state, rules), rules, now)
                crowd = counted(state, rules)
                case = (components, regions, rules is strict)
                assert crowd.audience.accounts == wanted.accounts, case
                assert crowd.audience.recipients == wanted.recipients, case
                assert crowd.audience.active_accounts == wanted.active_accounts, case
                numbers = {c.value: n for c, n in crowd.channels.items() if n}
                assert numbers == wanted.channels, case
                seen.add(wanted.accounts)
    assert len(seen) > 10


@pytest.mark.parametrize("regions", [(), ("eu",)])
def test_an_unknown_component_reaches_nobody(
    policy: Policy, now: datetime, regions: tuple[str, ...]
) -> None:
    row = CustomerRow(account_id="a", contact_id="c", email="c@example.com")
    state = IncidentState(
        id="inc", severity=Severity.P2, category="local_degradation", regions=regions,
        started_at=now, opened_at=now,
    )  # fmt: skip
    assert Counted([row])(state, policy).audience.recipients == 0
