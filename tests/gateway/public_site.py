"""A public site on a real database: incidents are announced through the built-in senders."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import httpx2
from fastapi import FastAPI
from pydantic import SecretStr
from sqlalchemy import insert, update
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.db.announcements import AnnouncementStore
from adapters.db.models import IncidentRow
from adapters.inapp.builtin import BuiltinBanner
from adapters.status_pages.builtin import BuiltinStatusPage
from domain.message import Channel, Moment, OutboundMessage, Recipient
from domain.policy import Policy
from domain.ports import Sender
from domain.public import Announcement
from gateway import (
    banner,
    callbacks,
    feeds,
    problems,
    status_api,
    status_page,
    unsubscribe,
)

SECRET = "a secret that only the tests of this project ever use"
URL = "https://status.acme.example"
HOSTILE = (
    "<script>alert(1)</script> {{ 7*7 }} {% raw %} [[name]]\n"
    "second line & \u202eright to left\u202c \x0b\x01\n\n"
    'javascript:alert(2) https://acme.example/a?b="onmouseover=alert(3)'
)


@dataclass
class PublicDeps:
    """What the public routers need; the clock is moved by assigning `time`."""

    engine: AsyncEngine
    policy: Policy
    time: datetime
    public_url: str = URL
    secret_key: SecretStr = field(default_factory=lambda: SecretStr(SECRET))

    @property
    def now(self) -> Callable[[], datetime]:
        return lambda: self.time


class Board(AnnouncementStore):
    """The real store, which also counts how often it is written to."""

    writes = 0

    async def write(self, incident_id: str, announcement: Announcement) -> None:
        self.writes += 1
        await super().write(incident_id, announcement)


class Site:
    """The pages as visitors reach them, and hands that put things up."""

    def __init__(self, engine: AsyncEngine, policy: Policy, now: datetime) -> None:
        self.deps = PublicDeps(engine, policy, now)
        self.engine = engine
        self.now = now
        self.board = Board(engine)
        self.senders: dict[Channel, Sender] = {
            Channel.STATUS_PAGE: BuiltinStatusPage(self.board, lambda: self.now),
            Channel.IN_APP: BuiltinBanner(self.board, lambda: self.now),
        }
        self.broadcasts = 0

    def app(self) -> FastAPI:
        """A gateway of the public doors alone, with nothing cached yet."""
        app = FastAPI()
        problems.install(app)
        app.router.routes.extend(status_page.Pages(self.deps).routes)
        for door in (callbacks, unsubscribe, banner, status_page, status_api, feeds):
            app.include_router(door.router(self.deps))
        return app

    async def request(self, method: str, path: str, **options: Any) -> httpx2.Response:
        self.deps.time = self.now
        transport = httpx2.ASGITransport(app=self.app())
        async with httpx2.AsyncClient(transport=transport, base_url=URL) as client:
            return await client.request(method, path, **options)

    async def get(self, path: str, **headers: str) -> httpx2.Response:
        return await self.request("GET", path, headers=headers)

    async def incident(self, incident_id: str = "inc_a", **values: Any) -> str:
        """A confirmed incident that nobody outside has heard of."""
        row = {
            "id": incident_id, "title": "db-primary-7 latency internal", "severity": "P1",
            "stage": "investigating", "category": "local_degradation",
            "components": ["payments"], "regions": [], "dry_run": False, "open": True,
            "started_at": self.now - timedelta(minutes=10), "opened_at": self.now,
            "last_alert_at": self.now, "policy_hash": "p", "correlation_id": "c",
            "updated_at": self.now, "announced": True,
        } | values  # fmt: skip
        async with self.engine.begin() as conn:
            await conn.execute(insert(IncidentRow).values(row))
        return incident_id

    async def change(self, incident_id: str, **values: Any) -> None:
        async with self.engine.begin() as conn:
            await conn.execute(
                update(IncidentRow)
                .where(IncidentRow.id == incident_id)
                .values(updated_at=self.now, **values)
            )

    async def announce(
        self,
        incident_id: str = "inc_a",
        text: str = "Some payments may fail.",
        *,
        moment: str = "initial",
        stage: str = "investigating",
        severity: str = "P1",
        components: tuple[str, ...] = ("payments",),
        subject: str | None = "Payments are failing",
        texts: Mapping[str, dict[str, str | None]] | None = None,
        channels: tuple[Channel, ...] = (Channel.STATUS_PAGE, Channel.IN_APP),
        next_update_at: datetime | None = None,
        later: timedelta = timedelta(0),
    ) -> int:
        """Send one broadcast on the public channels, `later` than the last thing done."""
        self.now += later
        self.broadcasts += 1
        for channel in channels:
            message = self.message(
                channel,
                incident_id,
                texts or {"en": {"subject": subject, "text": text, "html": None}},
                moment,
                stage=stage,
                severity=severity,
                components=list(components),
                next_update_at=next_update_at,
            )
            await self.senders[channel].send(message)
        return self.broadcasts

    def message(
        self,
        channel: Channel,
        incident_id: str,
        texts: Mapping[str, Mapping[str, str | None]],
        moment: str = "initial",
        **metadata: Any,
    ) -> OutboundMessage:
        """One row's message of the current broadcast, as the delivery step hands it over."""
        return OutboundMessage(
            key=f"k{self.broadcasts}",
            thread="t",
            incident_id=incident_id,
            moment=Moment(moment),
            channel=channel,
            text="not shown",
            recipient=Recipient(delivery_id=1, name="Nobody"),
            metadata={"broadcast_id": self.broadcasts, "texts": texts, "stage": "investigating",
                      "severity": "P1"} | metadata,
        )  # fmt: skip
