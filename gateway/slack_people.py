"""Who a Slack user is to us: a name of the policy, and what its roles allow."""

from __future__ import annotations

from domain.policy import Policy
from domain.roles import Role
from gateway.auth import Actor
from runtime.staff import Token

COMMANDER, APPROVER = "commander", "approver"


def actor_of(policy: Policy, user_id: str) -> Actor | None:
    """The Slack user as a caller; None for one whom `people.slack` does not name."""
    name = policy.people.slack.get(user_id)
    if name is None:
        return None
    held = policy.people.roles_of(name)
    roles = [Role.VIEWER]
    if COMMANDER in held:
        roles.append(Role.RESPONDER)
    if held & approving_roles(policy):
        roles.append(Role.APPROVER)
    return Actor(token=Token(id=f"slack:{user_id}", name=name, roles=tuple(roles)))


def approving_roles(policy: Policy) -> frozenset[str]:
    """The roles of the policy that decide on drafts, of whatever category."""
    return frozenset({APPROVER, *(c.approver_role for c in policy.categories.values())})


def who_may(policy: Policy, role: Role) -> str:
    """The names that have a role, for whoever lacks it."""
    wanted = approving_roles(policy)
    if role is Role.RESPONDER:
        wanted |= {COMMANDER}
    names = [n for key, held in policy.people.roles.items() if key in wanted for n in held]
    return ", ".join(dict.fromkeys(names))
