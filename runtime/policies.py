"""What the gateway is handed of the policies: it may not import adapters itself."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.db.policies_in_force import Applied, InForce, PoliciesInForce
from runtime.policy_file import read_policy

__all__ = ["Applied", "InForce", "PoliciesInForce", "policies_in_force", "read_policy"]


def policies_in_force(engine: AsyncEngine) -> PoliciesInForce:
    """The store of what rules, and ruled."""
    return PoliciesInForce(engine)
