"""The trust ladder: when a gate may be relaxed is proposed with its working, and what undoes it.

Only customers' messages count, and only decisions of people. A bad send is a correction or a false
alarm that customers were told. Pure: the records come from PostgreSQL.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict

from domain.duties import Trust
from domain.message import Gate, Moment
from domain.policy import Policy
from domain.signal import Severity
from domain.step import STAFF_CHANNELS

Decision = Literal["unedited", "edited", "rejected"]
BAD_SENDS = (Moment.FALSE_ALARM, Moment.CORRECTION)


class Standing(BaseModel):
    """How a category stands; `advice` says in one sentence what follows, and from which figures.

    `proposal` are the lines of the policy that a human may write to accept, else None.
    """

    model_config = ConfigDict(frozen=True)

    category: str
    counted: int
    unedited: int
    edited: int
    rejected: int
    share: float | None
    last_bad_send: datetime | None
    accepted: AwareDatetime | None
    state: Literal["never", "gathering", "below", "bad_send", "proposed", "relaxed", "tightened"]
    advice: str
    proposal: str | None = None


def standing(
    policy: Policy,
    category: str,
    decisions: Sequence[tuple[datetime, Decision]],
    last_bad_send: datetime | None,
    now: datetime,
) -> Standing | None:
    """How a category stands by its last decisions, newest first; None without a rule of trust."""
    rule = policy.trust
    if rule is None:
        return None
    window = decisions[: rule.window]
    counts = {
        kind: sum(d == kind for _, d in window) for kind in ("unedited", "edited", "rejected")
    }
    share = counts["unedited"] / len(window) if window else None
    accepted = rule.accepted.get(category)
    state = _state(policy, rule, category, window, share, last_bad_send)
    return Standing(
        category=category,
        counted=len(window),
        **counts,
        share=share,
        last_bad_send=last_bad_send,
        accepted=accepted,
        state=state,
        advice=_advice(rule, state, len(window), counts, share, last_bad_send),
        proposal=_proposal(policy, category, state, now),
    )


def tightened(policy: Policy, category: str, last_bad_send: datetime | None) -> bool:
    """Whether a bad send since the acceptance takes the trust back from a relaxed category."""
    accepted = policy.trust.accepted.get(category) if policy.trust is not None else None
    return accepted is not None and last_bad_send is not None and last_bad_send > accepted


def _state(
    policy: Policy,
    rule: Trust,
    category: str,
    window: Sequence[tuple[datetime, Decision]],
    share: float | None,
    last_bad_send: datetime | None,
) -> Literal["never", "gathering", "below", "bad_send", "proposed", "relaxed", "tightened"]:
    if policy.categories[category].compliance_bound:
        return "never"
    if category in rule.accepted:
        return "tightened" if tightened(policy, category, last_bad_send) else "relaxed"
    if len(window) < rule.window or share is None:
        return "gathering"
    if last_bad_send is not None and last_bad_send >= window[-1][0]:
        return "bad_send"
    return "proposed" if share >= rule.unedited else "below"


def _advice(
    rule: Trust,
    state: str,
    counted: int,
    counts: Mapping[str, int],
    share: float | None,
    last_bad_send: datetime | None,
) -> str:
    working = (
        f"{counts['unedited']} of the last {counted} drafts were approved as written"
        + (f" ({share:.0%})" if share is not None else "")
        + f", {counts['edited']} edited, {counts['rejected']} rejected"
    )
    bad = f"{last_bad_send:%Y-%m-%d %H:%M} UTC" if last_bad_send is not None else "never"
    return {
        "never": "compliance-bound: approval is always needed",
        "gathering": f"{working}; {rule.window} are needed before a gate can be proposed",
        "below": f"{working}; {rule.unedited:.0%} are needed",
        "bad_send": f"{working}, but a message had to be taken back on {bad}",
        "proposed": f"{working}: its gate may be relaxed, if a human accepts",
        "relaxed": f"{working}; relaxed, last message taken back: {bad}",
        "tightened": f"{working}; a message had to be taken back on {bad}: everything waits for "
        "approval again until a human accepts anew",
    }[state]


def _proposal(policy: Policy, category: str, state: str, now: datetime) -> str | None:
    """The lines to write: the gate, unless it stands there already, and when it was accepted."""
    if state not in ("proposed", "tightened"):
        return None
    at = now.strftime("%Y-%m-%dT%H:%M:%SZ")
    gate = _gate(policy, category) if state == "proposed" else ""
    return f"{gate}trust:\n  accepted: {{{category}: {at}}}\n"


def _gate(policy: Policy, category: str) -> str:
    """The relaxed gate; what needs people whatever the category is left as it is."""
    severities = [
        severity.value
        for severity in Severity
        if severity is not Severity.P1
        and any(
            policy.gate(severity, moment, channel, category, holding=False) is Gate.APPROVE
            for moment in Moment
            for channel in policy.channels(severity, moment)
            if channel not in STAFF_CHANNELS
        )
    ]
    if not severities:
        return ""
    return (
        f"gates:  # before the rules that are there\n"
        f"  - {{categories: [{category}], severities: [{', '.join(severities)}], gate: auto}}\n"
    )
