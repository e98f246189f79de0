"""What a support lead is told about a policy that holds together and still may surprise."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from domain.policy import Policy
from domain.policy_gaps import gaps

Content = dict[str, Any]
Change = Callable[[Content], object]


def after(policy: Policy, change: Change) -> list[str]:
    """The findings that a change of the shipped policy brings."""
    content = policy.model_dump(mode="json")
    change(content)
    before = set(gaps(policy))
    return [line for line in gaps(Policy.model_validate(content)) if line not in before]


def route(content: Content, severity: str, moment: str) -> Content:
    found: Content = next(
        r for r in content["routes"] if severity in r["severities"] and moment in r["moments"]
    )
    return found


def without(content: Content, section: str, key: str, value: str) -> None:
    content[section] = [rule for rule in content[section] if rule[key] != value]


CASES: list[tuple[str, Change, str]] = [
    ("role without a person", lambda c: c["people"]["roles"].update(commander=[]),
     "people.roles.commander: nobody holds this role"),
    ("role missing", lambda c: c["people"]["roles"].pop("commander"),
     "people.roles.commander: the role is missing"),
    ("chain of one", lambda c: c["people"]["roles"].update(approver=["ada"]),
     "people.roles.approver: one person alone"),
    ("two needed, one there",
     lambda c: (c["people"]["roles"].update(approver=["ada"]), c["approval"].update(
         four_eyes=True)),
     "approval.four_eyes: the role approver has one person, so nothing can go out"),
    ("reminder too late", lambda c: c["approval"].update(remind_after="10m"),
     "approval.remind_after: the reminder (10m) comes no sooner"),
    ("severity without a rule", lambda c: without(c, "classify", "severity", "P4"),
     "classify: no rule leads to P4"),
    ("rule never reached",
     lambda c: c["classify"].insert(0, {"severity": "P3", "reason": "all"}),
     "classify: the rule 'more than 25 % of customers' is never reached"),
    ("same rule twice",
     lambda c: c["confirm"].append({"when": {"share_over": 0}, "reason": "again"}),
     "confirm: the rule 'again' is never reached: one before it asks the same"),
    ("no confirmation", lambda c: c.update(confirm=[]),
     "confirm: no rule confirms customer impact"),
    ("only a human",
     lambda c: c.update(confirm=[{"when": {"categories": ["security"]}, "reason": "x"}]),
     "confirm: only a human can confirm local_degradation, regional_outage"),
    ("route forgotten", lambda c: route(c, "P2", "initial")["moments"].remove("initial"),
     "routes: no route says where initial"),
    ("route in the shade",
     lambda c: c["routes"].append({"severities": ["P1"], "moments": ["initial"], "channels": []}),
     "never reached: routes before it name all that it names"),
    ("promise that goes nowhere",
     lambda c: route(c, "P3", "update").update(channels=["internal"]),
     "severities.P3.update_every: an update every 2h is promised, but no route takes it"),
    ("reminder longer than the rhythm",
     lambda c: c["severities"]["P1"].update(update_every="5m"),
     "severities.P1.update_every: 5m is not longer than promises.remind_before (5m)"),
    ("holding lines need approval", lambda c: c["gates"].pop(1),
     "gates: at P1 holding lines need approval on email, in_app, status_page"),
    ("promises held", lambda c: c["promises"].update(on_silence="hold"),
     "promises.on_silence: hold"),
    ("gate open to customers",
     lambda c: c["gates"].insert(0, {"severities": ["P3"], "moments": ["update"], "gate": "auto"}),
     "gates: nobody sees P3 update before customers do on in_app, status_page, for local_deg"),
    ("gate without rule", lambda c: c["gates"].pop(),
     "gates: no rule for P1 initial on email"),
    ("language without names",
     lambda c: (c["locales"].append("sv"), c["company"]["signature"].update(sv="Acme")),
     "components.payments.names: nothing in 'sv'"),
    ("language without impact", lambda c: c["components"][0]["impact"].pop("de"),
     "components.web-application.impact: nothing in 'de'"),
    ("hidden and alone",
     lambda c: c["components"].append({"key": "cron", "visible": False}),
     "components.cron: customers don't see it and nothing that they see depends on it"),
    ("no length", lambda c: c["length_limits"].pop("sms"), "length_limits: no limit for sms"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "finding"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_a_surprise_is_named(policy: Policy, change: Change, finding: str) -> None:
    found = after(policy, change)
    assert any(finding in line for line in found), found


def test_the_shipped_policy_says_only_what_is_known(policy: Policy) -> None:
    """Whoever adds a section looks at what the check then says, and decides."""
    places = {line.partition(":")[0] for line in gaps(policy)}
    assert places <= {"services", "categorise", "severities.P4.update_every", "routes"}
