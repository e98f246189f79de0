"""Where providers report what became of a message."""

from __future__ import annotations

from fastapi import APIRouter

from domain.errors import NotFound


def router(deps: object) -> APIRouter:
    """`POST /callbacks/{provider}`; no provider that is built in reports anything."""
    routes = APIRouter(tags=["callbacks"])

    @routes.post("/callbacks/{provider}")
    async def receive(provider: str) -> None:
        """Take a provider's report; 404 for one that is not known."""
        raise NotFound("no such provider")

    return routes
