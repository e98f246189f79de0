"""A thousand updates of one incident: many continuations, and every promise kept."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from temporalio import activity, workflow
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from activities.approval import TellStaffInput
from activities.draft import DraftInput
from activities.record import RecordActivities
from activities.target import TargetInput
from activities.war_room import WarRoomInput
from domain.cascade import TakeIn
from domain.events import BroadcastDone, Drafted, Targeted, WarRoomOpened
from domain.incident import AudienceCount, IncidentState
from domain.message import Channel, Gate, Moment
from domain.policy import Policy
from domain.policy_sections import GateRule, Route
from domain.ports import BroadcastSpec, Decision, PromiseChange, TimelineEntry
from domain.signal import AlertBatch, Severity
from tests.workflows.world import real_time
from workflows import names
from workflows.incident import Incident
from workflows.messages import IncidentStart, PostUpdateInput

UPDATES = 1_000
RHYTHM = timedelta(minutes=30)
ID = "inc_weeks"
PAGE = Channel.STATUS_PAGE
ALERTS = AlertBatch(
    watermark=7,
    received=5,
    firing=1,
    severity=Severity.P1,
    severity_stated=True,
    category="local_degradation",
    confirms=True,
    components=("payments",),
    sources=("generic",),
)


@dataclass
class Memory:
    """What PostgreSQL would keep: a thousand updates on a real one take minutes."""

    policy: Policy
    runs: set[str] = field(default_factory=set)
    steps: int = 0
    versions: int = 0
    promises: dict[int, PromiseChange] = field(default_factory=dict)
    broadcasts: list[BroadcastSpec] = field(default_factory=list)
    news: asyncio.Event = field(default_factory=asyncio.Event)

    async def record(
        self,
        state: IncidentState,
        now: datetime,
        timeline: Sequence[TimelineEntry],
        promises: Sequence[PromiseChange],
        decisions: Sequence[Decision],
        broadcasts: Sequence[BroadcastSpec] = (),
        links: Sequence[TakeIn] = (),
    ) -> None:
        # A step that is written twice is one, as in PostgreSQL.
        assert state.steps in (self.steps, self.steps + 1), "a step was lost"
        self.steps = state.steps
        self.promises |= {p.number: p for p in promises}
        self.news.set()
        self.broadcasts += (b for b in broadcasts if b.n > len(self.broadcasts))

    async def sent(self, number: int) -> None:
        """So many messages were begun."""
        async with asyncio.timeout(30):
            while len(self.broadcasts) < number:
                self.news.clear()
                await self.news.wait()

    async def note(self, note_id: str) -> str:
        return f"words of {note_id}"

    async def by_hash(self, policy_hash: str) -> Policy:
        return self.policy

    def line(self, key: str, data: dict[str, str], locale: str = "en") -> str:
        return key

    @activity.defn(name="take_audience")
    async def take_audience(self, target: TargetInput) -> Targeted:
        return Targeted(audience=AudienceCount(audience_id="aud", accounts=3, recipients=5))

    @activity.defn(name="write_draft")
    async def write_draft(self, asked: DraftInput) -> Drafted:
        self.runs.add(str(activity.info().workflow_run_id))
        self.versions += 1
        draft = asked.draft
        return Drafted(
            request=draft.request,
            version=self.versions,
            moment=draft.moment,
            number=draft.number,
            hash=f"h{self.versions}",
            next_update_at=draft.next_update_at,
        )

    @activity.defn(name="open_war_room")
    async def open_war_room(self, asked: WarRoomInput) -> WarRoomOpened:
        return WarRoomOpened(reason="no chat here")

    @activity.defn(name="tell_staff")
    async def tell_staff(self, incident: TellStaffInput) -> None:
        """Nobody looks."""


@workflow.defn(name=names.BROADCAST, sandboxed=False)
class SentAtOnce:
    """Reports to the incident as the real child does; how sending goes is tested elsewhere."""

    @workflow.run
    async def run(self, spec: BroadcastSpec) -> None:
        incident = workflow.get_external_workflow_handle(
            names.incident_workflow_id(spec.incident_id)
        )
        await incident.signal("broadcast_done", BroadcastDone(broadcast=spec.n, moment=spec.moment))


@asynccontextmanager
async def at_work(environment: WorkflowEnvironment, memory: Memory) -> AsyncIterator[None]:
    """Workers of all queues; outside the sandbox, which would take most of the test's time."""
    client, record = environment.client, RecordActivities(memory, memory, memory)
    async with (
        Worker(
            client,
            task_queue=names.QUEUE_INCIDENTS,
            workflows=[Incident, SentAtOnce],
            activities=[record.load_policy, record.record_step, memory.take_audience],
            workflow_runner=UnsandboxedWorkflowRunner(),
        ),
        Worker(client, task_queue=names.QUEUE_DRAFTING, activities=[memory.write_draft]),
        Worker(
            client,
            task_queue=names.QUEUE_DELIVERY,
            activities=[memory.tell_staff, memory.open_war_room],
        ),
    ):
        yield


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_a_thousand_updates_and_every_promise_kept(policy: Policy) -> None:
    page = Route(severities=tuple(Severity), moments=tuple(Moment), channels=(PAGE,))
    gates = (GateRule(gate=Gate.AUTO),)
    memory = Memory(policy.model_copy(update={"routes": (page,), "gates": gates}))
    async with real_time() as environment, at_work(environment, memory):
        opened = datetime.now(UTC)
        handle = await environment.client.start_workflow(
            names.INCIDENT,
            IncidentStart(incident_id=ID, policy_hash="p", batch=ALERTS, opened_at=opened),
            id=names.incident_workflow_id(ID),
            task_queue=names.QUEUE_INCIDENTS,
        )
        await memory.sent(1)
        for n in range(2, UPDATES + 2):
            await handle.execute_update("post_update", PostUpdateInput(by="ada", note_id=f"{n}"))
            await memory.sent(n)
        # Alerts that were told before a continuation are not taken for new ones.
        await handle.signal("alert_received", ALERTS)
        now: IncidentState = await handle.query("state", result_type=IncidentState)
        assert (now.watermark, now.updates) == (ALERTS.watermark, UPDATES)
    assert len(memory.runs) > 20
    assert [spec.n for spec in memory.broadcasts] == list(range(1, len(memory.broadcasts) + 1))
    promises = [memory.promises[n] for n in sorted(memory.promises)]
    assert [p.number for p in promises] == list(range(1, len(memory.broadcasts) + 1))
    assert promises.pop().state == "open"
    assert len(promises) >= UPDATES
    for promise in promises:
        assert promise.state == "kept" and promise.kept_at is not None
        assert promise.kept_at <= promise.due <= promise.made_at + RHYTHM
    # Each message names the promise that it makes, and the next one keeps it.
    assert [spec.next_update_at for spec in memory.broadcasts][:-1] == [p.due for p in promises]
