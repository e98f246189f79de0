"""Whether another policy can rule an incident that has begun."""

from __future__ import annotations

from temporalio import workflow
from temporalio.exceptions import ActivityError

from domain.errors import Refused
from domain.events import PolicyAdopted
from domain.incident import IncidentState
from domain.policy import Policy
from domain.policy_change import unfit
from domain.refusals import refusal
from workflows import options


async def policy_for(state: IncidentState, event: PolicyAdopted, ruling: str) -> Policy | Refused:
    """The policy that the event names, or why it cannot rule here; `ruling` is the present one's
    hash."""
    refused = refusal(state, event, workflow.now())
    if refused is None and event.hash == ruling:
        refused = Refused("same_policy", f"the policy {ruling} rules it already")
    if refused is not None:
        return refused
    try:
        found: Policy = await workflow.execute_activity(
            "load_policy",
            event.hash,
            result_type=Policy,
            **options.LOOK_UP,
            summary=f"Load policy {event.hash}",
        )
    except ActivityError:
        # Whoever asked is told, and asks again: the incident must not wait for a wrong hash.
        return Refused("unknown_policy", f"no policy with the hash {event.hash} could be read")
    lacking = unfit(found, state)
    if lacking:
        return Refused("unfit_policy", "this policy cannot rule it: " + "; ".join(lacking))
    return found
