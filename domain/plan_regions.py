"""Regional incidents: what a human says of regions is held against the signals (PRODUCT 9)."""

from __future__ import annotations

from domain.message import CLOSING, Channel, Moment
from domain.signal import AlertBatch
from domain.step import STAFF_CHANNELS, Step

# The source of a colleague's report: it names regions, but does not bear them out.
HUMAN = "human"
MOST_REASONS = 50

Channels = tuple[Channel, ...]


def remember_regions(step: Step, batch: AlertBatch) -> None:
    """Keep which regions the monitors named."""
    if batch.severity is None or batch.sources == (HUMAN,):
        return
    seen = tuple(dict.fromkeys((*step.state.regions_seen, *batch.regions)))
    if seen != step.state.regions_seen:
        step.set(regions_seen=seen)


def region_doubt(step: Step) -> str | None:
    """Why the named regions are not what the signals say; None where nothing speaks against."""
    state = step.state
    if not step.policy.audience.verify_regions or not state.regions:
        return None
    if set(state.regions) <= set(state.regions_accepted):
        return None
    silent = [region for region in state.regions if region not in state.regions_seen]
    beyond = [region for region in state.regions_seen if region not in state.regions]
    said = []
    if silent:
        said.append(f"no signal names the region {', '.join(silent)}")
    if beyond:
        said.append(f"signals name {', '.join(beyond)} as well")
    return "; ".join(said) or None


def tell_region_doubt(step: Step) -> None:
    """Say it on the timeline and on the card, once."""
    doubt = region_doubt(step)
    if doubt is None or doubt in step.state.reasons:
        return
    step.note(
        "region_unverified",
        regions=", ".join(step.state.regions),
        seen=", ".join(step.state.regions_seen),
        reason=doubt,
    )
    step.set(reasons=(*step.state.reasons, doubt)[-MOST_REASONS:])


def hold_for_region(
    step: Step, moment: Moment, auto: Channels, gated: Channels
) -> tuple[Channels, Channels]:
    """Nothing goes to customers by itself while the region is in doubt; an end always may."""
    if moment in CLOSING or region_doubt(step) is None:
        return auto, gated
    tell_region_doubt(step)
    held = tuple(c for c in auto if c not in STAFF_CHANNELS)
    return tuple(c for c in auto if c in STAFF_CHANNELS), (*gated, *held)


def accept_regions(step: Step) -> None:
    """A human let the message out with its regions: later ones need not be asked about."""
    if region_doubt(step) is not None:
        step.set(regions_accepted=step.state.regions)
