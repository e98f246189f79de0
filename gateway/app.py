"""The gateway: all doors on one application."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import structlog
from fastapi import FastAPI
from sqlalchemy.exc import SQLAlchemyError

from gateway import (
    audit_api,
    banner,
    callbacks,
    console,
    feeds,
    ops,
    problems,
    staff,
    status_api,
    status_page,
    unsubscribe,
    webhooks,
)
from gateway.deps import Deps
from gateway.limits import BodyCap, Correlation
from runtime.doors import save_policy

log = structlog.get_logger(__name__)

RETRY_SECONDS = 0.5
# Order matters where paths overlap: fixed paths before those with a parameter.
DOORS = (
    ops,
    webhooks,
    callbacks,
    banner,
    unsubscribe,
    staff,
    audit_api,
    console,
    feeds,
    status_api,
    status_page,
)


def create_app(deps: Deps) -> FastAPI:
    """The application; background work runs only while a server runs its lifespan."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        tasks = [
            asyncio.create_task(_store_policy(deps)),
            asyncio.create_task(deps.relay.run_forever()),
        ]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
            await deps.engine.dispose()

    app = FastAPI(
        title="Forewarn", lifespan=lifespan, docs_url=None, redoc_url=None,
        openapi_url="/openapi.json",
    )  # fmt: skip
    problems.install(app)
    for door in DOORS:
        app.include_router(door.router(deps))
    app.add_middleware(BodyCap)
    app.add_middleware(Correlation)
    return app


async def _store_policy(deps: Deps) -> None:
    """Store the policy under its hash, as soon as PostgreSQL answers."""
    while True:
        try:
            await save_policy(deps.engine, deps.policy, "gateway", deps.now())
        except (SQLAlchemyError, OSError) as error:
            log.warning("policy_not_stored_yet", error=type(error).__name__)
            await asyncio.sleep(RETRY_SECONDS)
        else:
            return
