"""The gateway: all doors on one application."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from fastapi import FastAPI

from gateway import (
    analytics_api,
    audit_api,
    banner,
    callbacks,
    codec,
    console,
    console_maintenances,
    credits,
    feeds,
    maintenance_pages,
    maintenance_replies,
    maintenances,
    ops,
    policy_api,
    post_mortems,
    problems,
    slack,
    staff,
    status_api,
    status_page,
    unsubscribe,
    webhooks,
)
from gateway.deps import Deps
from gateway.limits import BodyCap, Correlation
from gateway.metrics import Watching, WebhookTimes
from gateway.traces import Traces
from runtime import telemetry
from runtime.maintenances import MaintenanceRelay
from runtime.observing import ObservingSettings
from runtime.retention import run_daily
from runtime.ruling import Ruling
from runtime.settings import load_settings

# Order matters where paths overlap: fixed paths before those with a parameter.
DOORS = (
    webhooks,
    callbacks,
    banner,
    unsubscribe,
    slack,
    staff,
    policy_api,
    post_mortems,
    credits,
    analytics_api,
    audit_api,
    codec,
    maintenance_replies,
    maintenances,
    maintenance_pages,
    console_maintenances,
    console,
    feeds,
    status_api,
    status_page,
)


def create_app(deps: Deps) -> FastAPI:
    """The application; background work runs only while a server runs its lifespan."""
    watching = Watching(deps, load_settings(ObservingSettings))
    ruling = Ruling(deps.engine, deps.policy, deps.adopt, deps.now)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        tasks = [
            asyncio.create_task(ruling.run_forever(deps.policy_source)),
            asyncio.create_task(deps.relay.run_forever()),
            asyncio.create_task(
                MaintenanceRelay(deps.engine, deps.temporal, deps.now).run_forever()
            ),
            asyncio.create_task(run_daily(deps.engine, lambda: deps.policy, deps.now)),
            *watching.tasks(),
        ]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
            await watching.watch.close()
            await deps.engine.dispose()
            await telemetry.stop()

    app = FastAPI(
        title="Forewarn", lifespan=lifespan, docs_url=None, redoc_url=None,
        openapi_url="/openapi.json",
    )  # fmt: skip
    problems.install(app)
    straight = webhooks.Door(deps).straight
    app.add_route(webhooks.PATH, straight, methods=["POST"], include_in_schema=False)
    app.include_router(ops.router(deps, watching))
    app.router.routes.extend(status_page.Pages(deps).routes)
    for door in DOORS:
        app.include_router(door.router(deps))
    app.add_middleware(BodyCap)
    app.add_middleware(codec.CodecCors, ui_url=deps.temporal_ui)
    app.add_middleware(Correlation)
    app.add_middleware(WebhookTimes, metrics=watching.metrics)
    telemetry.start(telemetry.GATEWAY)
    tracer = telemetry.tracer()
    if tracer is not None:
        app.add_middleware(Traces, tracer=tracer)
    return app
