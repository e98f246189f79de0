"""A drill: an alert that nobody may take for real, and a policy that runs faster."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from typing import Any

from pydantic import BaseModel

from domain.policy import Policy
from domain.signal import Signal

# Drilled alerts have keys of their own, so that they never fold into, end or repeat a real one.
MARK = "dry-run:"
KEY_LENGTH = 200
MAX_SPEED = 120
# A busy stack takes seconds to write and send a holding line, however fast the drill is; and its
# lead must stay shorter than every rhythm, or one line would follow the other without a pause.
SHORTEST_LEAD = timedelta(seconds=5)
SHORTEST = timedelta(seconds=8)
# Durations of the world rather than of the plan: leases, retention, what words mean, data age.
AS_THEY_ARE = frozenset({"delivery", "retention", "tone", "audience"})


def drilled(signal: Signal) -> Signal:
    """The same alert under keys of its own."""
    return signal.model_copy(
        update={
            "external_id": _marked(signal.external_id),
            "dedup_key": _marked(signal.dedup_key),
        }
    )


def sped_up(policy: Policy, speed: int) -> Policy:
    """The policy with every cadence, window and deadline divided, to whole seconds."""
    if speed == 1:
        return policy
    return policy.model_copy(
        update={
            name: _faster(getattr(policy, name), speed, name)
            for name in type(policy).model_fields
            if name not in AS_THEY_ARE
        }
    )


def _faster(value: Any, speed: int, name: str) -> Any:
    match value:
        case timedelta():
            seconds = timedelta(seconds=round(value.total_seconds() / speed))
            return min(value, max(seconds, SHORTEST_LEAD if name == "holding_lead" else SHORTEST))
        case BaseModel():
            fields = type(value).model_fields
            faster = {n: _faster(getattr(value, n), speed, n) for n in fields}
            return value.model_copy(update=faster)
        case dict():
            return {key: _faster(item, speed, name) for key, item in value.items()}
        case tuple():
            return tuple(_faster(item, speed, name) for item in value)
        case _:
            return value


def _marked(key: str) -> str:
    marked = MARK + key
    if len(marked) <= KEY_LENGTH:
        return marked
    return MARK + hashlib.sha256(key.encode()).hexdigest()
