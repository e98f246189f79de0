"""All doors of planned work on a worker that really runs it, on a clock that is moved."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
from fastapi import FastAPI
from pydantic import SecretStr
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.client import Client

from adapters.db.announcements import AnnouncementStore
from adapters.db.intake import Intake
from adapters.db.tokens import Tokens
from adapters.inapp.builtin import BuiltinBanner
from adapters.status_pages.builtin import BuiltinStatusPage
from domain.message import Channel, OutboundMessage, Receipt
from domain.policy import Policy
from gateway import (
    banner,
    console,
    console_maintenances,
    feeds,
    maintenance_pages,
    maintenance_replies,
    maintenances,
    problems,
    staff,
    status_api,
    status_page,
)
from gateway.deps import Deps
from gateway.limits import Correlation
from runtime.maintenances import MaintenanceRelay
from runtime.relay import Relay, TemporalLink
from tests.workflows.world import Remembering, World, skipping, workflow_time, world_on

SECRET = "test-secret"
URL = "https://status.example"
ROLES = ("viewer", "responder", "approver")


class Posting(Remembering):
    """Remembers what it was given, and puts it up where the public looks."""

    def __init__(self, channel: Channel, board: AnnouncementStore) -> None:
        super().__init__(channel)
        kind = BuiltinBanner if channel is Channel.IN_APP else BuiltinStatusPage
        self._real = kind(board, workflow_time)

    async def send(self, message: OutboundMessage) -> Receipt:
        await self._real.send(message)
        return await super().send(message)


@dataclass
class Doors:
    """The doors, a token per role, and the world behind them."""

    world: World
    deps: Deps
    app: FastAPI
    secrets: dict[str, str]
    offset: timedelta = timedelta(0)
    relay: MaintenanceRelay = field(init=False)

    def __post_init__(self) -> None:
        self.relay = MaintenanceRelay(self.deps.engine, self.deps.temporal, self.deps.now)

    async def ask(
        self, method: str, path: str, role: str | None = None, **arguments: Any
    ) -> httpx2.Response:
        """A request by somebody in a role; None is the public."""
        headers = arguments.pop("headers", {})
        if role is not None:
            headers = headers | {"Authorization": f"Bearer {self.secrets[role]}"}
        transport = httpx2.ASGITransport(app=self.app, raise_app_exceptions=False)
        async with httpx2.AsyncClient(transport=transport, base_url=URL) as http:
            return await http.request(method, path, headers=headers, **arguments)

    async def get(self, path: str, role: str | None = None) -> Any:
        """The JSON at a path."""
        answer = await self.ask("GET", path, role)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def schedule(
        self, starts_in: timedelta = timedelta(days=3), **changes: Any
    ) -> dict[str, Any]:
        """Planned work on payments for two hours."""
        start = self.deps.now() + starts_in
        body = {
            "title": "Faster storage",
            "description": "We move to faster storage.",
            "components": ["payments"],
            "starts_at": start.isoformat(),
            "ends_at": (start + timedelta(hours=2)).isoformat(),
            "impact": "degraded",
        } | changes
        answer = await self.ask("POST", "/api/maintenances", "responder", json=body)
        assert answer.status_code == 201, answer.text
        made: dict[str, Any] = answer.json()
        self.world.incidents[made["id"]] = None
        return made

    async def approve(self, id_: str, moment: str) -> None:
        """Let a draft out, by the staff API."""
        draft = await self.world.pending(id_, moment)
        body = {"draft": draft, "decision": "approve"}
        answer = await self.ask("POST", f"/api/maintenances/{id_}/decision", "approver", json=body)
        assert answer.status_code == 200, answer.text

    async def announced(self, **changes: Any) -> str:
        """Planned work whose notice stands on the status page."""
        id_: str = (await self.schedule(**changes))["id"]
        await self.approve(id_, "maintenance_notice")
        await self.world.until_sent(Channel.STATUS_PAGE, 1)
        await self.world.until_sent(Channel.EMAIL, 1)
        return id_

    async def forward(self, delta: timedelta) -> None:
        """Move the clock of the workflow and of the doors."""
        await self.world.sleep(delta)
        self.offset += delta


@asynccontextmanager
async def doors_on(engine: AsyncEngine, policy: Policy) -> AsyncIterator[Doors]:
    """The doors with a worker behind them."""
    few = policy.model_copy(update={"locales": ("en", "de")})
    async with skipping() as environment, world_on(environment, engine, few) as world:
        spoken = world.policy
        board = AnnouncementStore(engine)
        for channel in (Channel.STATUS_PAGE, Channel.IN_APP):
            # The activities hold this very mapping.
            world.senders[channel] = Posting(channel, board)

        async def connect() -> Client:
            return world.client

        def now() -> datetime:
            return datetime.now(UTC) + doors.offset

        link, intake = TemporalLink(connect), Intake(engine)
        deps = Deps(
            engine=engine,
            policy=spoken,
            public_url=URL,
            secret_key=SecretStr(SECRET),
            sources={},
            intake=intake,
            temporal=link,
            relay=Relay(intake, link, spoken, now),
            now=now,
        )
        app = FastAPI()
        problems.install(app)
        app.router.routes.extend(status_page.Pages(deps).routes)
        modules = (
            banner, staff, maintenance_replies, maintenances, maintenance_pages,
            console_maintenances, console, feeds, status_api, status_page,
        )  # fmt: skip
        for door in modules:
            app.include_router(door.router(deps))
        app.add_middleware(Correlation)
        secrets = {role: await Tokens(engine).create(f"the {role}", [role]) for role in ROLES}
        doors = Doors(world, deps, app, secrets)
        yield doors
