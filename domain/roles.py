"""Who may do what: the roles of staff and which roles they include."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from domain.errors import BadInput, FieldError


class Role(StrEnum):
    VIEWER = "viewer"
    RESPONDER = "responder"
    APPROVER = "approver"
    COMPLIANCE = "compliance"
    ADMIN = "admin"


INCLUDES: dict[Role, frozenset[Role]] = {
    Role.VIEWER: frozenset({Role.VIEWER}),
    Role.RESPONDER: frozenset({Role.RESPONDER, Role.VIEWER}),
    Role.APPROVER: frozenset({Role.APPROVER, Role.RESPONDER, Role.VIEWER}),
    Role.COMPLIANCE: frozenset({Role.COMPLIANCE, Role.VIEWER}),
    Role.ADMIN: frozenset(Role),
}


def granted(roles: Iterable[Role]) -> frozenset[Role]:
    """All roles that a holder of `roles` has, with those they include."""
    return frozenset().union(*(INCLUDES[role] for role in roles))


def read_roles(names: Iterable[str]) -> tuple[Role, ...]:
    """Roles by name; raises `BadInput` that names an unknown one, or for none at all."""
    names = tuple(dict.fromkeys(names))
    allowed = ", ".join(Role)
    unknown = [name for name in names if name not in set(Role)]
    if unknown or not names:
        errors = [FieldError(field="roles", value=name, allowed=allowed) for name in unknown]
        raise BadInput(
            "unknown role" if unknown else "a token needs at least one role",
            errors or [FieldError(field="roles", value=None, allowed=allowed)],
        )
    return tuple(Role(name) for name in names)
