"""What an alert means by the rules of the policy; pure."""

from __future__ import annotations

from datetime import datetime, timedelta

from pydantic import BaseModel, ConfigDict

from domain.policy import Policy
from domain.signal import Severity, Signal, SignalStatus

# An alert that claims an older start is a replay or a broken clock, not an outage of years.
OLDEST_START = timedelta(days=7)

# These reasons quote the alert, so they stay out of workflow history.
UNKNOWN_COMPONENT = "no component is known by these names: "
UNKNOWN_REGION = "no region is known by these names: "
NO_COMPONENT = "the alert names no component"
NOT_CONFIRMED = "no rule confirms that customers feel it"
_SHOWN_NAMES = 5


class SignalClass(BaseModel):
    """An alert classified: components and regions are keys of the policy.

    `severity_stated`: the alert itself gave a severity or a share, rather than policy's default.
    `confirms`: by a rule, customers may hear of it. `reasons` say which rule decided what.
    """

    model_config = ConfigDict(frozen=True)

    category: str
    severity: Severity
    severity_stated: bool
    confirms: bool
    components: tuple[str, ...]
    regions: tuple[str, ...]
    reasons: tuple[str, ...]


def classify_signal(policy: Policy, signal: Signal) -> SignalClass:
    """Category, severity and confirmation by the first rule that holds (PRODUCT 2).

    A resolved alert confirms nothing. An alert whose regions are all unknown is not confirmed by
    a rule either: as far as the policy can tell it would concern every customer, and a human
    shall say so.
    """
    components = policy.map_components(signal)
    regions, strange = map_regions(policy, signal.regions)
    known = signal.model_copy(update={"regions": regions})
    category = next(r for r in policy.categorise if r.when.holds(known, components, None))
    severity = next(
        r for r in policy.classify if r.when.holds(known, components, category.category)
    )
    confirmation = None
    if signal.status is SignalStatus.FIRING and (regions or not strange):
        confirmation = next(
            (
                r
                for r in policy.confirm
                if not r.of_whole and r.when.holds(known, components, category.category)
            ),
            None,
        )
    reasons = [
        category.reason,
        severity.reason,
        confirmation.reason if confirmation else NOT_CONFIRMED,
    ]
    if not components:
        reasons.append(_unknown_components(signal))
    if strange:
        reasons.append(UNKNOWN_REGION + _listed(strange))
    return SignalClass(
        category=category.category,
        severity=severity.severity,
        severity_stated=signal.severity is not None or signal.affected_share is not None,
        confirms=confirmation is not None,
        components=components,
        regions=regions,
        reasons=tuple(reasons),
    )


def map_regions(policy: Policy, names: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Keys of the policy and the names that are none; `EU` and `eu-west-1` both mean `eu`."""
    known = {region.casefold(): region for region in policy.regions}
    found: list[str] = []
    strange: list[str] = []
    for name in names:
        folded = name.casefold()
        region = known.get(folded) or known.get(folded.partition("-")[0])
        if region:
            found.append(region)
        else:
            strange.append(name)
    return tuple(dict.fromkeys(found)), tuple(strange)


def plausible_start(started_at: datetime | None, received_at: datetime) -> datetime:
    """When it began: what the alert says unless that lies ahead or more than a week back."""
    if started_at is None or not received_at - OLDEST_START <= started_at <= received_at:
        return received_at
    return started_at


def _unknown_components(signal: Signal) -> str:
    names = [*signal.components, *signal.services]
    names += [signal.labels[k] for k in ("component", "service") if k in signal.labels]
    return UNKNOWN_COMPONENT + _listed(tuple(dict.fromkeys(names))) if names else NO_COMPONENT


def _listed(names: tuple[str, ...]) -> str:
    more = len(names) - _SHOWN_NAMES
    shown = ", ".join(name[:60] for name in names[:_SHOWN_NAMES])
    return f"{shown} and {more} more" if more > 0 else shown


def severity_for_share(policy: Policy, share: float) -> tuple[Severity | None, str]:
    """The severity that a measured share alone asks for, with its reason; None for no rule.

    Only rules about the share count here: "nothing stated" is no verdict on a measured share.
    """
    measured = Signal(
        source="audience",
        external_id="share",
        dedup_key="share",
        status=SignalStatus.FIRING,
        title="measured share",
        affected_share=share,
    )
    for rule in policy.classify:
        about_share = rule.when.share_over is not None or rule.when.share_from is not None
        if about_share and rule.when.holds(measured, (), None):
            return rule.severity, rule.reason
    return None, ""
