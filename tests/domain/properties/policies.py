"""The shipped policies, and the ways in which a support lead may change what the plan rests on."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Literal

from domain.message import Channel, Gate
from domain.policy import Policy
from domain.policy_sections import GateRule
from domain.signal import Severity
from domain.step import STAFF_CHANNELS
from runtime.policy_file import load_policy

CONTENT = Path(__file__).parents[3] / "content/policy"
# The shipped gates; all open; only mail waits; silence sends; only holding lines wait; none open.
GATES = ("shipped", "auto", "mail_waits", "silence_sends", "silence_holds", "all_wait")


@cache
def shipped(name: str) -> Policy:
    return load_policy(CONTENT / f"{name}.yaml")


@dataclass(frozen=True)
class Variant:
    """A shipped policy with some sections changed; `silent` severities promise nothing."""

    base: Literal["default", "demo"] = "default"
    gates: str = "shipped"
    on_silence: Literal["holding", "hold"] = "holding"
    four_eyes: bool = False
    silent: frozenset[Severity] = frozenset({Severity.P4})

    def policy(self) -> Policy:
        return _policy(self)


@cache
def _policy(variant: Variant) -> Policy:
    base = shipped(variant.base)
    severities = {
        severity: plan.model_copy(update={"update_every": _rhythm(variant, severity, base)})
        for severity, plan in base.severities.items()
    }
    return base.model_copy(
        update={
            "severities": severities,
            "gates": _gates(variant.gates, base),
            "promises": base.promises.model_copy(update={"on_silence": variant.on_silence}),
            "approval": base.approval.model_copy(update={"four_eyes": variant.four_eyes}),
        }
    )


def _rhythm(variant: Variant, severity: Severity, base: Policy) -> timedelta | None:
    if severity in variant.silent:
        return None
    return base.severities[severity].update_every or base.grouping.reopen_within * 5


def _gates(name: str, base: Policy) -> tuple[GateRule, ...]:
    staff = GateRule(channels=tuple(sorted(STAFF_CHANNELS)), gate=Gate.AUTO)
    holding = GateRule(holding=True, gate=Gate.AUTO)
    waits = GateRule(gate=Gate.APPROVE)
    free = tuple(k for k, c in base.categories.items() if not c.compliance_bound)
    mild = (Severity.P2, Severity.P3, Severity.P4)
    return {
        "shipped": base.gates,
        "auto": (GateRule(gate=Gate.AUTO),),
        "mail_waits": (
            staff,
            holding,
            GateRule(channels=(Channel.EMAIL, Channel.SMS), gate=Gate.APPROVE),
            GateRule(gate=Gate.AUTO),
        ),
        "silence_sends": (
            staff,
            holding,
            GateRule(severities=mild, categories=free, gate=Gate.APPROVE, on_silence="send"),
            waits,
        ),
        "silence_holds": (staff, holding, GateRule(gate=Gate.APPROVE, on_silence="hold")),
        "all_wait": (staff, waits),
    }[name]
