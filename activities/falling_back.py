"""On which channels a message may be told to those whom another channel cannot reach."""

from __future__ import annotations

from collections.abc import Collection

from domain.message import CLOSING, Channel, DraftVersion, Gate, Moment
from domain.policy import Policy
from domain.ports import BroadcastSpec
from domain.signal import Severity

# These go only to those who were told on a channel: others have no row there yet.
_TO_THE_TOLD = CLOSING | {Moment.POST_MORTEM}


def fallback_orders(
    spec: BroadcastSpec, draft: DraftVersion, policy: Policy, configured: Collection[Channel]
) -> dict[Channel, tuple[Channel, ...]]:
    """Channel → where its readers may be told instead, in the policy's order.

    Only channels with a way out and with words in this version. What a human has to approve never
    leaves because another channel needs nobody's approval.
    """
    written = {text.channel for text in draft.texts}
    severity, holding = Severity(spec.severity), draft.facts.holding

    def approved(channel: Channel) -> bool:
        gate = policy.gate(severity, spec.moment, channel, spec.category, holding)
        return gate is Gate.APPROVE

    orders: dict[Channel, tuple[Channel, ...]] = {}
    for channel in spec.channels:
        order = tuple(
            other
            for other in policy.delivery.fallback.get(channel, ())
            if other in configured
            and other in written
            and (approved(channel) or not approved(other))
        )
        if order:
            orders[channel] = order
    return orders


def adds_somebody(spec: BroadcastSpec, order: tuple[Channel, ...]) -> bool:
    """Whether the order can reach anybody whom this broadcast does not write to there anyway."""
    return any(c not in spec.channels for c in order) or (
        bool(order) and spec.moment in _TO_THE_TOLD
    )
