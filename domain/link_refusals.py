"""Why incidents may not be merged or split in their present state."""

from __future__ import annotations

from domain.cascade import Handed, MergeAsked, SplitAsked
from domain.errors import Refused
from domain.incident import IncidentState, Stage

# An incident's state, and with it its history, stays small however many are merged into it.
MOST_LINKS = 50


def merge_refusal(state: IncidentState, event: MergeAsked) -> Refused | None:
    """Why this incident, which is not over, can't go on in another one; None when it can."""
    if event.into == state.id:
        return Refused("same_incident", "an incident cannot be merged into itself")
    return _busy(state, "merged")


def absorb_refusal(state: IncidentState, other: Handed) -> Refused | None:
    """Why this incident can't take another one in; None when it can, or has done so before."""
    if state.over or state.stage is Stage.RESOLVED:
        return Refused("not_open", f"{state.id} is {state.stage}: it takes no other incident in")
    if other.id in state.merged:
        return None
    if state.merging is not None:
        return Refused("busy", f"{state.id} is being merged into {state.merging.into} itself")
    if other.dry_run is not state.dry_run:
        return Refused("dry_run", "an incident in dry run and a real one cannot be merged")
    if len(state.merged) >= MOST_LINKS:
        return Refused("too_many", f"{state.id} took in {MOST_LINKS} incidents already")
    return None


def split_refusal(state: IncidentState, event: SplitAsked) -> Refused | None:
    """Why these components can't become an incident of their own; None when they can."""
    strange = [key for key in event.components if key not in state.components]
    here = ", ".join(state.components) or "none"
    if strange or not event.components:
        named = ", ".join(strange) or "nothing"
        return Refused("unknown_component", f"{named} is no component of it; allowed: {here}")
    if not set(state.components) - set(event.components):
        return Refused("nothing_left", f"at least one component must stay; it has: {here}")
    if len(state.split_off) >= MOST_LINKS:
        return Refused("too_many", f"{MOST_LINKS} incidents were split off already")
    return _busy(state, "split")


def _busy(state: IncidentState, what: str) -> Refused | None:
    if state.stage is Stage.RESOLVED:
        return Refused("not_open", f"customers were told its end: it cannot be {what}")
    if state.merging is not None:
        return Refused("busy", f"it is being merged into {state.merging.into}")
    if state.splitting is not None:
        return Refused("busy", f"{state.splitting.id} is just being split off")
    return None
