"""docs/policy.md keeps its word: every example is loaded, checked, and does what it is said to."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from domain.classification import classify_signal
from domain.message import Channel, Gate, Moment
from domain.policy import Policy
from domain.policy_gaps import gaps
from domain.signal import Severity, Signal, SignalStatus
from runtime.policy_file import load_policy, read_policy, whole_file
from runtime.policy_schema import GUIDE, PATH, RENEW, guide_text

DEFAULT = PATH.parent / "default.yaml"
P1, P2, P3, P4 = Severity
_HEADING = re.compile(r"^### (.+)$")
_FENCE = re.compile(r"^```yaml(?: (first|last)=(\w+))?$")


class Example(NamedTuple):
    heading: str
    where: str | None
    section: str | None
    text: str


def examples() -> list[Example]:
    """The examples of the guide under their headings; the first one stands in the introduction."""
    found: list[Example] = []
    heading, fence = "", None
    lines: list[str] = []
    for line in GUIDE.read_text("utf-8").splitlines():
        if fence is not None:
            if line == "```":
                found.append(Example(heading, fence[1], fence[2], "\n".join(lines)))
                fence = None
            else:
                lines.append(line)
        elif (named := _HEADING.match(line)) is not None:
            heading = named[1]
        elif (fence := _FENCE.match(line)) is not None:
            lines = []
    return found


def loaded(example: Example, folder: Path) -> Policy:
    """The policy that a reader would get who did as the guide says."""
    if example.section is None:
        shutil.copy(DEFAULT, folder / "default.yaml")
        (folder / "mine.yaml").write_text(example.text, "utf-8")
        return load_policy(folder / "mine.yaml")
    content = whole_file(DEFAULT)
    items, old = yaml.safe_load(example.text), content[example.section]
    content[example.section] = [*items, *old] if example.where == "first" else [*old, *items]
    return read_policy(content)


def alert(**changes: Any) -> Signal:
    facts: dict[str, Any] = {
        "source": "generic", "external_id": "1", "dedup_key": "1",
        "status": SignalStatus.FIRING, "title": "x", "components": ("rest-api",),
    }  # fmt: skip
    return Signal.model_validate(facts | changes)


def severity(policy: Policy, **changes: Any) -> Severity:
    return classify_signal(policy, alert(**changes)).severity


def gate(
    policy: Policy, level: Severity, moment: Moment, channel: Channel, category: str
) -> tuple[Gate, str]:
    rule = policy.gate_rule(level, moment, channel, category, holding=False)
    return policy.gate(level, moment, channel, category, holding=False), rule.on_silence


LOCAL, MAIL, PAGE = "local_degradation", Channel.EMAIL, Channel.STATUS_PAGE
UPDATE, INITIAL = Moment.UPDATE, Moment.INITIAL
DOES: dict[str, Callable[[Policy], bool]] = {
    "More than 20 % of customers is P1": lambda p: (
        severity(p, affected_share=0.201) is P1 and severity(p, affected_share=0.2) is P2
    ),
    "Payments are always P1": lambda p: severity(p, components=("payments",), severity="P4") is P1,
    "An error rate over 5 % is P2": lambda p: (
        severity(p, metrics={"error_rate": 5.1}) is P2
        and severity(p, metrics={"error_rate": 5.0}) is P3
    ),
    "A slow service, measured, confirms that customers feel it": lambda p: (
        classify_signal(p, alert(metrics={"latency_ms": 3001})).confirms
    ),
    "Two monitors that agree confirm it": lambda p: p.confirm[-1].sources_at_least == 2,
    "Fifteen minutes of a P1 or P2 confirm it": lambda p: (
        p.confirm[-1].firing_for == timedelta(minutes=15)
    ),
    "A label of your own makes it a security event": lambda p: (
        classify_signal(p, alert(labels={"team": "security-response"})).category == "security"
    ),
    "A cadence of 20 minutes for P1": lambda p: (
        p.severities[P1].update_every == timedelta(minutes=20)
        and p.severities[P1].target_resolution == timedelta(hours=2)
    ),
    "No promised updates for P3": lambda p: p.severities[P3].update_every is None,
    "Remind the commander ten minutes before": lambda p: (
        p.promises.remind_before == timedelta(minutes=10)
    ),
    'Say nothing rather than "still investigating"': lambda p: p.promises.on_silence == "hold",
    "Wait longer before the all-clear": lambda p: p.resolution.stable_for == timedelta(minutes=30),
    "An alert within two hours re-opens the incident": lambda p: (
        p.grouping.reopen_within == timedelta(hours=2)
        and p.grouping.window == timedelta(minutes=30)
    ),
    "P3 by e-mail too": lambda p: (
        MAIL in p.channels(P3, INITIAL) and MAIL not in p.channels(P3, UPDATE)
    ),
    "No social posts at all": lambda p: (
        not any(Channel.SOCIAL in p.channels(s, m) for s in Severity for m in Moment)
    ),
    "A message that goes nowhere, on purpose": lambda p: p.channels(P4, UPDATE) == (),
    "SMS for enterprise and mid-market": lambda p: "mid-market" in p.audience.sms_segments,
    "Longer SMS": lambda p: p.length_limits[Channel.SMS] == 480,
    "Let P3 updates out by themselves": lambda p: (
        gate(p, P3, UPDATE, PAGE, LOCAL)[0] is Gate.AUTO
        and gate(p, P3, UPDATE, PAGE, "security")[0] is Gate.APPROVE
        and gate(p, P2, UPDATE, PAGE, LOCAL)[0] is Gate.APPROVE
    ),
    "Let the status page speak at once, the rest after approval": lambda p: (
        gate(p, P2, INITIAL, PAGE, LOCAL)[0] is Gate.AUTO
        and gate(p, P2, INITIAL, MAIL, LOCAL)[0] is Gate.APPROVE
        and gate(p, P1, INITIAL, PAGE, LOCAL)[0] is Gate.APPROVE
    ),
    "Send a P3 that nobody answered": lambda p: (
        gate(p, P3, INITIAL, PAGE, LOCAL) == (Gate.APPROVE, "send")
        and gate(p, P3, INITIAL, PAGE, "security") == (Gate.APPROVE, "escalate")
    ),
    "Approve by two people": lambda p: p.approval.four_eyes,
    "Ask the next person after five minutes": lambda p: (
        p.approval.escalate_after == timedelta(minutes=5)
    ),
    "Another person for security": lambda p: (
        p.categories["security"].approver_role == "compliance"
        and p.categories["security"].compliance_bound
    ),
    "Your own people": lambda p: (
        p.people.roles_of("Grace") == {"approver"} and p.people.roles["cto"] == ("CTO",)
    ),
    "A new component": lambda p: (
        "search" in p.dependents("database") and "search" not in " ".join(gaps_of(p))
    ),
    "Something behind the scenes": lambda p: p.customer_facing(("queue",)) == (),
    "What the monitor calls it": lambda p: (
        p.map_components(alert(components=(), services=("payments-eu-prod", "pig208")))
        == ("payments",)
    ),
    "An extra language": lambda p: (
        p.company.signature["sv"] == "Teamet på Acme Cloud" and "en" in p.company.signature
    ),
    "Only two languages": lambda p: p.locales == ("en", "de"),
    "Leave out the free plan": lambda p: p.audience.exclude_plans == ("free",),
    "Only customers who used it this week": lambda p: p.audience.active_within == timedelta(days=7),
    "Another company": lambda p: p.company.timezone == "Europe/Berlin",
    "Slower mail": lambda p: (
        p.delivery.rate_per_minute[MAIL] == 300 and p.delivery.rate_per_minute[Channel.SMS] == 600
    ),
    "Do not send a mail again when nobody knows whether it left": lambda p: (
        p.delivery.on_unknown[MAIL] == "hold"
    ),
    "Send a text message to whoever cannot be reached by mail": lambda p: (
        Channel.SMS in p.delivery.fallbacks(p.channels(P2, INITIAL))
    ),
    "A public report of a P1 within a day": lambda p: (
        p.severities[P1].post_mortem.within == timedelta(hours=24)
    ),
    "Keep addresses for a month": lambda p: (
        p.retention.addresses == timedelta(days=30) and p.retention.signals == timedelta(days=90)
    ),
    "A word that customers don't use": lambda p: (
        p.jargon["en"]["flux capacitor*"] == "our systems" and len(p.jargon["en"]) > 50
    ),
}


def gaps_of(policy: Policy) -> list[str]:
    """Without the list of components that no monitor's name leads to."""
    return [line for line in gaps(policy) if not line.startswith("services:")]


FOUND = examples()
SHIPPED = load_policy(DEFAULT).hash


@pytest.mark.parametrize("example", FOUND, ids=[e.heading or "introduction" for e in FOUND])
def test_an_example_does_what_its_heading_says(example: Example, tmp_path: Path) -> None:
    policy = loaded(example, tmp_path)
    assert policy.hash != SHIPPED
    assert DOES[example.heading](policy), example.text


def test_every_heading_with_a_check_has_an_example() -> None:
    assert {e.heading for e in FOUND if e.heading} == set(DOES)


def test_the_list_of_sections_is_up_to_date() -> None:
    assert GUIDE.read_text("utf-8") == guide_text(), f"out of date; renew it: {RENEW}"


def test_lines_fit_on_a_page() -> None:
    long = [line for line in GUIDE.read_text("utf-8").splitlines() if len(line) > 132]
    assert [line for line in long if not line.startswith(("|", " ", "-"))] == []
