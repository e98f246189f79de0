"""One incident from a real webhook to every place that shows it; only Temporal is left out.

The gateway is the whole one, the inbox, the plan, the drafts, the ledger and the pages are real;
the mail provider keeps what it is handed, and Slack is a server of the test's own.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import httpx2
from pydantic import SecretStr
from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.testing import ActivityEnvironment

from activities.approval import TellStaffInput
from activities.deliver import SettleInput
from activities.draft import DraftInput
from activities.postmortem import PostMortemInput
from activities.record import RecordInput
from activities.round import DeliverInput
from activities.target import TargetInput
from adapters.chat.slack import Slack
from adapters.db.announcements import AnnouncementStore
from adapters.db.drafts import DraftStore
from adapters.db.inbox import Inbox
from adapters.db.models import AccountRow, ContactRow, ImportRow
from adapters.db.policies import PolicyStore
from adapters.db.tokens import Tokens
from adapters.inapp.builtin import BuiltinBanner
from adapters.status_pages.builtin import BuiltinStatusPage
from domain.actions import Broadcast, Decide, Note, SettlePromise, Target, TellStaff
from domain.events import AlertsReceived, Decided, Event
from domain.incident import Draft, IncidentState
from domain.message import Channel, DraftVersion
from domain.plan import open_incident, plan
from domain.policy import Policy
from domain.ports import Sender
from gateway.app import create_app
from gateway.deps import Deps
from runtime.doors import Intake, Source, load_sources
from runtime.relay import Relay, TemporalLink
from runtime.wiring import build_desk, build_steps
from tests.activities.delivery_world import Provider
from tests.activities.staff_world import policy_with, settings
from tests.adapters.chat.fake_slack import FakeSlack
from workflows.children import spec_of

URL = "http://status.example"
SECRET = "a-secret-key-of-thirty-two-chars-or-more"
HOOK = SecretStr("the-webhook-secret")
WRITTEN = (Channel.EMAIL, Channel.SLACK, Channel.TEAMS, Channel.SMS, Channel.SOCIAL)


class World:
    """The house, with a customer in each of two languages and one that must never be named."""

    def __init__(
        self, engine: AsyncEngine, policy: Policy, now: datetime, slack: FakeSlack
    ) -> None:
        self.engine, self.now, self.slack = engine, now, slack
        # Two languages show as much as eight here, in a quarter of the time.
        self.policy = policy_with(policy).model_copy(update={"locales": ("en", "de")})
        self.providers = {channel: Provider(channel) for channel in WRITTEN}
        board = AnnouncementStore(engine)
        senders: dict[Channel, Sender] = {
            **self.providers,
            Channel.STATUS_PAGE: BuiltinStatusPage(board, self.clock),
            Channel.IN_APP: BuiltinBanner(board, self.clock),
        }
        chat = Slack(settings(slack))
        desk = build_desk(engine, self.policy, chat, URL, SECRET, self.clock)
        steps = build_steps(engine, self.policy, senders, URL, SECRET, self.clock, desk=desk)
        self._steps: dict[str, Callable[..., Any]] = {
            step.__name__: step for queue in steps.by_queue.values() for step in queue
        }
        self._http: httpx2.AsyncClient | None = None
        self.token = ""
        self.id = ""
        self.state: IncidentState | None = None

    def clock(self) -> datetime:
        return self.now

    @property
    def http(self) -> httpx2.AsyncClient:
        assert self._http is not None
        return self._http

    async def open(self) -> None:
        """Customers, the policy, a staff token, and the gateway without Temporal."""
        await PolicyStore(self.engine).save(self.policy, "test", self.now)
        self.token = await Tokens(self.engine).create("staff", ["admin", "approver", "responder"])
        async with self.engine.begin() as conn:
            await conn.execute(
                insert(ImportRow).values(at=self.now, accounts=3, contacts=3, skipped=0)
            )
            for i, (name, locale) in enumerate(
                (("Company One", "en"), ("Company Two", "de"), ("Globex Corporation", "ja"))
            ):
                await conn.execute(
                    insert(AccountRow).values(
                        id=f"acc_{i}", name=name, activity={}, regimes=[], imported_at=self.now,
                        features=["payments"] if i < 2 else ["reporting"], plan="enterprise",
                        region="eu", segment="enterprise", slack_channel=f"C{i}",
                    )
                )  # fmt: skip
                await conn.execute(
                    insert(ContactRow).values(
                        id=f"con_{i}", account_id=f"acc_{i}", email=f"user{i}@example.com",
                        name="Ada", locale=locale, timezone="UTC", phone="+4930123",
                        channels=["email", "in_app", "sms", "slack"], imported_at=self.now,
                    )
                )  # fmt: skip

        async def away() -> Any:
            raise RuntimeError("refused")

        link, intake = TemporalLink(away), Intake(self.engine)
        deps = Deps(
            engine=self.engine,
            policy=self.policy,
            public_url=URL,
            secret_key=SecretStr(SECRET),
            sources={name: Source(s.monitor, HOOK) for name, s in load_sources().items()},
            intake=intake,
            temporal=link,
            relay=Relay(intake, link, self.policy, self.clock),
            now=self.clock,
        )
        transport = httpx2.ASGITransport(app=create_app(deps), raise_app_exceptions=False)
        self._http = httpx2.AsyncClient(transport=transport, base_url=URL)

    async def aclose(self) -> None:
        await self.http.aclose()

    # What comes in

    async def alert(self, **fields: Any) -> httpx2.Response:
        """A confirming P1 alert on payments at the door; what it starts is played at once."""
        body = {
            "id": "a1", "status": "firing", "title": "Payments fail", "components": ["payments"],
            "severity": "P1", "customer_impact": True,
            "started_at": (self.now - timedelta(minutes=10)).isoformat(),
        } | fields  # fmt: skip
        answer = await self.http.post(
            "/webhooks/generic",
            content=json.dumps(body).encode("utf-8", "surrogatepass"),
            headers={
                "Authorization": f"Bearer {HOOK.get_secret_value()}",
                "Content-Type": "application/json",
            },
        )
        assert answer.status_code == 202, answer.text
        self.id = answer.json()["incident_id"]
        batch = await Inbox(self.engine).batch_after(self.id, 0)
        assert batch is not None
        # What enters workflow history is ids and figures.
        self.state = open_incident(self.id, batch, self.now, False)
        await self.tell(AlertsReceived(batch=batch))
        return answer

    async def tell(self, event: Event) -> None:
        """One step of the incident, as its workflow takes it, and what follows from it."""
        assert self.state is not None
        self.state, actions = plan(self.state, event, self.now, self.policy)
        specs = tuple(
            spec_of(self.state, action, self.policy.hash)
            for action in actions
            if isinstance(action, Broadcast)
        )
        await self.run(
            "record_step",
            RecordInput(
                state=self.state,
                now=self.now,
                notes=tuple(a for a in actions if isinstance(a, Note)),
                promises=tuple(a for a in actions if isinstance(a, SettlePromise)),
                decisions=tuple(a for a in actions if isinstance(a, Decide)),
                broadcasts=specs,
                policy_hash=self.policy.hash,
            ),
        )
        if any(isinstance(action, TellStaff) for action in actions):
            await self.run("tell_staff", TellStaffInput(incident_id=self.id))
        for spec in specs:
            await self._broadcast(spec)
        for action in actions:
            given = {"state": self.state, "policy_hash": self.policy.hash}
            if isinstance(action, Target):
                await self.tell(await self.run("take_audience", TargetInput(**given)))
            elif isinstance(action, Draft):
                await self.tell(await self.run("write_draft", DraftInput(draft=action, **given)))

    async def approve(self) -> None:
        """Let the pending draft out."""
        assert self.state is not None and self.state.pending is not None
        version = self.state.pending.draft
        await self.tell(Decided(draft=version, decision="approve", by="on-call manager"))

    async def post_mortem(self) -> DraftVersion:
        """Write the report and the internal document."""
        assert self.state is not None
        await self.run(
            "draft_post_mortem",
            PostMortemInput(state=self.state, policy_hash=self.policy.hash, public=True),
        )
        return await self.latest_draft()

    async def latest_draft(self) -> DraftVersion:
        versions = (await self.get(f"/api/incidents/{self.id}/drafts?limit=1")).json()["items"]
        return await DraftStore(self.engine).load(self.id, versions[0]["version"])

    async def _broadcast(self, spec: Any) -> None:
        opened = await self.run("open_broadcast", spec)
        for channel, counts in opened.counts.items():
            if not counts.settled:
                work = DeliverInput(
                    broadcast_id=opened.broadcast_id, spec=spec, channel=channel, shard=0
                )
                await self.run("deliver", work)
        settle = SettleInput(broadcast_id=opened.broadcast_id, incident_id=self.id)
        await self.run("settle_broadcast", settle)

    async def run(self, name: str, given: object) -> Any:
        return await ActivityEnvironment().run(self._steps[name], given)

    # What comes out

    async def get(self, path: str, staff: bool = True) -> httpx2.Response:
        headers = {"Authorization": f"Bearer {self.token}"} if staff else {}
        return await self.http.get(path, headers=headers)
