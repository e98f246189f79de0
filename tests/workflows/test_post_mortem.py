"""The post-mortem's workflow: asked for around its deadline, never published past the check."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from temporalio import activity, workflow
from temporalio.client import Client, WorkflowHandle
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from activities.postmortem import PostMortemDraft, PostMortemInput, PublishInput
from domain.events import PostMortemMoved
from domain.incident import IncidentState
from domain.signal import Severity
from runtime.temporal import sandbox_runner
from workflows import names
from workflows.messages import PostMortemAnswer, PostMortemResult, PostMortemStart
from workflows.postmortem import PostMortem

TEST_SERVER = str(Path(sys.executable).parent / "temporal-test-server")
INCIDENT = "inc_000000000001"
HOUR = timedelta(hours=1)


@workflow.defn(name=names.INCIDENT, sandboxed=False)
class Listener:
    """Stands where the incident would: keeps what the post-mortem tells it, and when."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, bool, datetime]] = []

    @workflow.run
    async def run(self) -> None:
        await workflow.wait_condition(lambda: False)

    @workflow.signal
    def post_mortem_moved(self, moved: PostMortemMoved) -> None:
        self.heard.append((moved.state.value, moved.invalid, workflow.now()))

    @workflow.query
    def told(self) -> list[tuple[str, bool, datetime]]:
        return self.heard


class Steps:
    """The steps' answers: `nudges` come with each draft, `sensitive` versions are not published."""

    def __init__(self) -> None:
        self.nudges: tuple[datetime, ...] = ()
        self.sensitive: set[int] = set()
        self.drafted: list[int] = []
        self.published: list[PublishInput] = []

    @activity.defn(name="draft_post_mortem")
    async def draft(self, given: PostMortemInput) -> PostMortemDraft:
        self.drafted.append(given.attempt)
        return PostMortemDraft(version=given.attempt, hash="h", invalid=False, nudges=self.nudges)

    @activity.defn(name="publish_post_mortem")
    async def publish(self, given: PublishInput) -> PostMortemDraft:
        self.published.append(given)
        refused = given.version in self.sensitive
        return PostMortemDraft(version=given.version, hash="h", invalid=refused)


class World:
    def __init__(self, env: WorkflowEnvironment) -> None:
        self.env, self.client, self.steps = env, env.client, Steps()

    async def start(self, now: datetime) -> WorkflowHandle[PostMortem, PostMortemResult]:
        state = IncidentState(
            id=INCIDENT, severity=Severity.P1, category="local_degradation", started_at=now,
            opened_at=now,
        )  # fmt: skip
        await self.client.start_workflow(
            names.INCIDENT, id=names.incident_workflow_id(INCIDENT), task_queue="incidents"
        )
        return await self.client.start_workflow(
            PostMortem.run,
            PostMortemStart(
                incident_id=INCIDENT, policy_hash="p", public=True, due=now, state=state
            ),
            id=names.post_mortem_workflow_id(INCIDENT),
            task_queue="incidents",
        )

    async def told(self) -> list[tuple[str, bool, datetime]]:
        handle = self.client.get_workflow_handle(names.incident_workflow_id(INCIDENT))
        return await handle.query(Listener.told)

    async def until(self, states: list[str]) -> None:
        for _ in range(200):
            if [state for state, _, _ in await self.told()] == states:
                return
            await asyncio.sleep(0.05)
        raise AssertionError(f"{await self.told()} is not {states}")


def answer(version: int, approved: bool = True) -> PostMortemAnswer:
    return PostMortemAnswer(approved=approved, version=version, by="Bob")


@pytest.fixture
async def world() -> AsyncIterator[World]:
    env = await WorkflowEnvironment.start_time_skipping(
        test_server_existing_path=TEST_SERVER, data_converter=pydantic_data_converter
    )
    async with env:
        made = World(env)
        async with _worker(env.client, "incidents", made), _worker(env.client, "drafting", made):
            yield made


def _worker(client: Client, queue: str, made: World) -> Worker:
    return Worker(
        client,
        task_queue=queue,
        workflows=[PostMortem, Listener],
        activities=[made.steps.draft, made.steps.publish],
        workflow_runner=sandbox_runner(),
    )


async def test_it_is_asked_for_before_at_and_after_the_deadline(world: World) -> None:
    now = (await world.env.get_current_time()).astimezone(UTC)
    due = now + 48 * HOUR
    world.steps.nudges = (now - HOUR, due - 24 * HOUR, due, due + 12 * HOUR)
    handle = await world.start(now)
    await world.until(["drafted"])
    await world.env.sleep(timedelta(hours=61))
    await world.until(["drafted", "due", "due", "due"])
    asked = [at for state, _, at in await world.told() if state == "due"]
    for at, expected in zip(asked, world.steps.nudges[1:], strict=True):
        assert abs(at - expected) < timedelta(minutes=1), "what was past at the start is left out"
    await handle.signal(PostMortem.answered, answer(1))
    result = await handle.result()
    assert (result.state, result.version) == ("published", 1)


async def test_a_decision_ends_the_asking(world: World) -> None:
    now = (await world.env.get_current_time()).astimezone(UTC)
    world.steps.nudges = (now + HOUR,)
    handle = await world.start(now)
    await world.until(["drafted"])
    await handle.signal(PostMortem.answered, answer(1))
    await handle.result()
    await world.env.sleep(2 * HOUR)
    assert [state for state, _, _ in await world.told()] == ["drafted", "published"]


async def test_sensitive_content_goes_back_to_the_reviewers(world: World) -> None:
    now = (await world.env.get_current_time()).astimezone(UTC)
    world.steps.sensitive = {1}
    handle = await world.start(now)
    await world.until(["drafted"])
    await handle.signal(PostMortem.answered, answer(1))
    await world.until(["drafted", "drafted"])
    assert [invalid for _, invalid, _ in await world.told()] == [False, True]
    assert world.steps.drafted == [1], "the reviewers' text is theirs to mend"
    assert world.steps.published[0].policy_hash == "p", "the check knows the rules"
    await handle.signal(PostMortem.answered, answer(7))
    assert (await handle.result()).version == 7
