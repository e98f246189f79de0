"""Whether an incident as a whole confirms customer impact: enough sources, or time; pure."""

from __future__ import annotations

from datetime import datetime

from domain.classification import UNKNOWN_REGION
from domain.incident import IncidentState
from domain.policy import Policy
from domain.policy_sections import ConfirmationRule
from domain.signal import Signal, SignalStatus

# As the inbox keeps the reason: without the names that the alert gave.
_STRANGE_REGION = UNKNOWN_REGION.partition(":")[0]


def weigh(
    state: IncidentState, policy: Policy, now: datetime
) -> tuple[ConfirmationRule | None, datetime | None]:
    """The rule that confirms a suspected incident now, or else when time alone would.

    The time counts from the incident's opening: an alert that claims an older start must not
    confirm at once what a human dismissed a minute ago. Where regions are named that the policy
    does not know, and none that it does, no rule confirms: it would concern every customer.
    """
    if not state.regions and any(r.startswith(_STRANGE_REGION) for r in state.reasons):
        return None, None
    dues: list[datetime] = []
    for rule in policy.confirm:
        if not rule.of_whole or not _holds(rule, state):
            continue
        if rule.sources_at_least and len(state.firing_sources) < rule.sources_at_least:
            continue
        due = state.opened_at + rule.firing_for if rule.firing_for else now
        if due <= now:
            return rule, None
        dues.append(due)
    return None, min(dues, default=None)


def _holds(rule: ConfirmationRule, state: IncidentState) -> bool:
    """Whether the incident meets the rule's condition, as one alert of all that is known would."""
    whole = Signal(
        source="incident",
        external_id=state.id,
        dedup_key=state.id,
        status=SignalStatus.FIRING,
        title=state.id,
        regions=state.regions,
        severity=state.severity,
        affected_share=state.affected_share,
    )
    return rule.when.holds(whole, state.components, state.category)
