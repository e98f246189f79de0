"""The staff API: reading and commands behind one sign-in."""

from __future__ import annotations

from fastapi import APIRouter

from gateway import linking, staff_commands, staff_read
from gateway.auth import Auth
from gateway.deps import Deps


def router(deps: Deps) -> APIRouter:
    """All routes of the staff API about incidents and sends."""
    auth = Auth(deps)
    routes = APIRouter()
    routes.include_router(staff_read.router(deps, auth))
    routes.include_router(staff_commands.router(deps, auth))
    routes.include_router(linking.router(deps, auth))
    return routes
