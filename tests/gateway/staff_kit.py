"""The staff doors on a real database and a real Temporal, with a stand-in for the workflow."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from uuid import uuid4

import httpx2
from fastapi import FastAPI
from pydantic import SecretStr
from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio import workflow
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.exceptions import ApplicationError
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from adapters.db.intake import Intake
from adapters.db.models import DraftRow, DraftTextRow, IncidentRow
from adapters.db.tokens import Tokens
from adapters.drafters.templates import TemplateDrafter
from domain.facts import draft_hash
from domain.message import Channel, DraftText, Facts, Moment
from domain.policy import Policy
from domain.ports import DraftRequest
from gateway import analytics_api, audit_api, console, credits, post_mortems, problems, staff
from gateway.deps import Deps
from gateway.limits import Correlation
from runtime.relay import Relay, TemporalLink
from workflows.messages import (
    AcknowledgeInput,
    ChangeSeverityInput,
    CommandResult,
    ConfirmInput,
    CreditsApprovedInput,
    DecideInput,
    DecideResult,
    DismissInput,
    FalseAlarmInput,
    IncidentStart,
    MergeInput,
    PostUpdateInput,
    ResolveInput,
    SplitInput,
    StateFactsInput,
)
from workflows.names import incident_workflow_id

SECRET = "a-secret-key-of-thirty-two-chars-or-more"
URL = "http://status.example"
ROLES = ("viewer", "responder", "approver", "compliance", "admin")
CONTENT = Path(__file__).parents[2] / "content"


@workflow.defn(name="Incident")
class StandIn:
    """Answers as the real workflow's contract says: version 1 waits, version 9 was replaced."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.decided = False
        self.stage = "investigating"

    @workflow.run
    async def run(self, start: IncidentStart) -> None:
        await workflow.wait_condition(lambda: self.stage == "closed")

    @workflow.signal
    def alert_received(self, batch: object) -> None:
        self.seen.append("alert_received")

    @workflow.update
    async def decide(self, given: DecideInput) -> DecideResult:
        if given.draft == 9:
            raise ApplicationError("draft 9 does not wait", type="superseded", non_retryable=True)
        if self.decided:
            raise ApplicationError("already decided", type="already_decided", non_retryable=True)
        self.decided = given.decision != "edit"
        self.seen.append(f"{given.decision} {given.draft} by {given.by} as {given.role}")
        if given.decision == "edit":
            return DecideResult(draft=given.draft, state="superseded")
        return DecideResult(draft=given.draft, state=f"{given.decision}d".replace("td", "ted"))

    def _done(self, line: str) -> CommandResult:
        self.seen.append(line)
        return CommandResult(stage=self.stage, severity="P2")

    @workflow.update
    async def post_update(self, given: PostUpdateInput) -> CommandResult:
        return self._done(f"post_update {given.note_id} {given.stage}")

    @workflow.update
    async def state_facts(self, given: StateFactsInput) -> CommandResult:
        stated = given.model_dump(mode="json", exclude_none=True, exclude_defaults=True)
        return self._done(f"state_facts {json.dumps(stated, sort_keys=True)}")

    @workflow.update
    async def credits_approved(self, given: CreditsApprovedInput) -> CommandResult:
        return self._done(f"credits_approved {given.total} {given.percents}")

    @workflow.update
    async def change_severity(self, given: ChangeSeverityInput) -> CommandResult:
        if given.severity == "P2":
            raise ApplicationError("already P2", type="same_severity", non_retryable=True)
        return self._done(f"change_severity {given.severity}")

    @workflow.update
    async def confirm_impact(self, given: ConfirmInput) -> CommandResult:
        return self._done(f"confirm_impact {given.components}")

    @workflow.update
    async def dismiss(self, given: DismissInput) -> CommandResult:
        return self._done("dismiss")

    @workflow.update
    async def resolve(self, given: ResolveInput) -> CommandResult:
        return self._done("resolve")

    @workflow.update
    async def acknowledge(self, given: AcknowledgeInput) -> CommandResult:
        return self._done("acknowledge")

    @workflow.update
    async def mark_false_alarm(self, given: FalseAlarmInput) -> CommandResult:
        return self._done("mark_false_alarm")

    @workflow.update
    async def merge_into(self, given: MergeInput) -> CommandResult:
        return self._done(f"merge_into {given.into} by {given.by}")

    @workflow.update
    async def split(self, given: SplitInput) -> CommandResult:
        return self._done(f"split {','.join(given.components)} as {given.id}")

    @workflow.signal
    def close(self) -> None:
        self.stage = "closed"

    @workflow.query
    def lines(self) -> list[str]:
        return self.seen


@dataclass
class Clock:
    """A clock that tests move."""

    at: datetime

    def __call__(self) -> datetime:
        return self.at

    def forward(self, delta: timedelta) -> None:
        self.at += delta


@dataclass
class Kit:
    """The doors, a token per role, and what stands behind them."""

    deps: Deps
    http: httpx2.AsyncClient
    secrets: dict[str, str]
    clock: Clock
    temporal: Client | None
    app: FastAPI

    def auth(self, role: str, key: str | None = None) -> dict[str, str]:
        """Headers of a caller in a role."""
        headers = {"Authorization": f"Bearer {self.secrets[role]}"}
        return headers | ({"Idempotency-Key": key} if key else {})

    async def seen(self, incident_id: str) -> list[str]:
        """What reached the incident's workflow."""
        assert self.temporal is not None
        handle = self.temporal.get_workflow_handle(incident_workflow_id(incident_id))
        return await handle.query(StandIn.lines)


@asynccontextmanager
async def staff_kit(
    engine: AsyncEngine, policy: Policy, now: datetime, temporal: Client | None = None
) -> AsyncIterator[Kit]:
    """The staff doors; without `temporal` Temporal is down."""

    async def connect() -> Client:
        if temporal is None:
            raise RuntimeError("refused")
        return temporal

    clock = Clock(now)
    link, intake = TemporalLink(connect), Intake(engine)
    deps = Deps(
        engine=engine,
        policy=policy,
        public_url=URL,
        secret_key=SecretStr(SECRET),
        sources={},
        intake=intake,
        temporal=link,
        relay=Relay(intake, link, policy, clock),
        temporal_ui="http://ui.example/",
        now=clock,
    )
    app = FastAPI()
    problems.install(app)
    for door in (staff, post_mortems, credits, analytics_api, audit_api, console):
        app.include_router(door.router(deps))
    app.add_middleware(Correlation)
    secrets = {role: await Tokens(engine).create(f"the {role}", [role]) for role in ROLES}
    transport = httpx2.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx2.AsyncClient(transport=transport, base_url=URL) as http:
        yield Kit(deps, http, secrets, clock, temporal, app)


@asynccontextmanager
async def stand_in(address: str) -> AsyncIterator[Client]:
    """A client of the Temporal server, with a worker for the stand-in."""
    client = await Client.connect(address, data_converter=pydantic_data_converter)
    worker = Worker(
        client,
        task_queue="incidents",
        workflows=[StandIn],
        workflow_runner=UnsandboxedWorkflowRunner(),
    )
    async with worker:
        yield client


async def make_incident(
    kit: Kit, started: bool = True, draft: bool = True, **columns: object
) -> str:
    """An incident in PostgreSQL, with draft 1 pending and with its workflow if it can have one."""
    incident_id = f"inc_{uuid4().hex[:12]}"
    now = kit.clock()
    texts = await _texts(incident_id, kit.deps.policy, now)
    values: dict[str, object] = {
        "id": incident_id, "title": "Payments fail", "severity": "P2", "stage": "investigating",
        "category": next(iter(kit.deps.policy.categories)), "components": ["payments"],
        "regions": [], "dry_run": False, "started_at": now, "opened_at": now,
        "last_alert_at": now, "policy_hash": kit.deps.policy.hash, "correlation_id": "c",
        "updated_at": now, "affected_share": None,
    }  # fmt: skip
    if draft:
        values["pending"] = {
            "draft": 1, "moment": "initial", "hash": "h", "next_update_at": None,
        }  # fmt: skip
    async with kit.deps.engine.begin() as conn:
        await conn.execute(insert(IncidentRow).values(values | columns))
        if draft:
            await conn.execute(
                insert(DraftRow).values(
                    incident_id=incident_id, version=1, request="initial", moment="initial",
                    number=1, facts=_facts(incident_id, kit.deps.policy, now).model_dump(
                        mode="json"
                    ),
                    audience_rule="components=payments regions=all",
                    hash=draft_hash(texts, "components=payments regions=all"),
                    findings=[], state="pending", author="template", created_at=now,
                )
            )  # fmt: skip
            rows = [{"incident_id": incident_id, "version": 1, **t.model_dump()} for t in texts]
            await conn.execute(insert(DraftTextRow).values(rows))
    if kit.temporal is not None and started:
        await kit.temporal.start_workflow(
            "Incident",
            {"incident_id": incident_id, "policy_hash": "h", "opened_at": now.isoformat(),
             "batch": {"watermark": 0, "received": 0, "firing": 0}},
            id=incident_workflow_id(incident_id),
            task_queue="incidents",
        )  # fmt: skip
    return incident_id


def _facts(incident_id: str, policy: Policy, now: datetime) -> Facts:
    names = {locale: (policy.component("payments").names[locale],) for locale in policy.locales}
    return Facts(
        incident_id=incident_id, moment=Moment.INITIAL, severity="P2", stage="investigating",
        category=next(iter(policy.categories)), components=("payments",), component_names=names,
        times={"impact_start": now, "next_update": now + timedelta(hours=1)},
        links={"status": URL, "incident": f"{URL}/incidents/{incident_id}"},
    )  # fmt: skip


async def _texts(incident_id: str, policy: Policy, now: datetime) -> tuple[DraftText, ...]:
    request = DraftRequest(
        facts=_facts(incident_id, policy, now),
        channels=(Channel.EMAIL, Channel.STATUS_PAGE),
        locales=("en",),
    )
    return await TemplateDrafter(CONTENT).write(request, policy)
