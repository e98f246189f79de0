"""Worker versioning on the real server: an open incident moves on to the next release."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import (
    DescribeWorkflowExecutionRequest,
    SetWorkerDeploymentCurrentVersionRequest,
)
from temporalio.client import Client
from temporalio.service import RPCError
from temporalio.testing import WorkflowEnvironment

from domain.errors import BadInput
from domain.message import Channel
from domain.policy import Policy
from runtime.versioning import deployment
from runtime.wiring import build_workers
from tests.workflows.world import QUEUES, World, real_time, world_on
from workflows import names

DEPLOYMENT = "forewarn"
POLLS = 200


@pytest.fixture
async def server() -> AsyncIterator[WorkflowEnvironment]:
    """A real server: the time-skipping one knows no worker versioning."""
    async with real_time() as environment:
        yield environment


@asynccontextmanager
async def release(world: World, build: str) -> AsyncIterator[None]:
    """The workers of a release, made current."""
    version = deployment(
        {"TEMPORAL_DEPLOYMENT_NAME": DEPLOYMENT, "TEMPORAL_WORKER_BUILD_ID": build}
    )
    async with AsyncExitStack() as stack:
        for worker in build_workers(world.client, world.steps, QUEUES, version):
            await stack.enter_async_context(worker)
        await make_current(world.client, build)
        yield


async def make_current(client: Client, build: str) -> None:
    """What `temporal worker deployment set-current-version` does, once the server knows it."""
    request = SetWorkerDeploymentCurrentVersionRequest(
        namespace=client.namespace, deployment_name=DEPLOYMENT, build_id=build, identity="test"
    )
    for left in reversed(range(POLLS)):
        try:
            await client.workflow_service.set_worker_deployment_current_version(request)
            return
        except RPCError:
            # Its workers have not polled every queue yet.
            if not left:
                raise
            await asyncio.sleep(0.05)


async def runs_on(world: World, incident: str) -> str:
    """The release that handled the incident's last task."""
    answer = await world.client.workflow_service.describe_workflow_execution(
        DescribeWorkflowExecutionRequest(
            namespace=world.client.namespace,
            execution=WorkflowExecution(workflow_id=names.incident_workflow_id(incident)),
        )
    )
    return answer.workflow_execution_info.versioning_info.deployment_version.build_id


async def test_an_open_incident_goes_on_with_the_next_release(
    server: WorkflowEnvironment, engine: AsyncEngine, policy: Policy
) -> None:
    async with world_on(server, engine, policy, working=False) as world:
        async with release(world, "1.0"):
            incident = await world.signal()
            assert incident is not None
            await world.pending(incident, "initial")
            assert await runs_on(world, incident) == "1.0"
        async with release(world, "1.1"):
            await world.approve(incident, "initial")
            await world.until_sent(Channel.EMAIL, 1)
            assert await runs_on(world, incident) == "1.1"
        # Back to the release before, as after a bad one.
        async with release(world, "1.0"):
            await world.handle(incident).execute_update(
                "change_severity", {"by": "ada", "severity": "P1"}
            )
            assert await runs_on(world, incident) == "1.0"


@pytest.mark.parametrize("given", ["TEMPORAL_DEPLOYMENT_NAME", "TEMPORAL_WORKER_BUILD_ID"])
def test_half_a_version_is_refused(given: str) -> None:
    with pytest.raises(BadInput, match="value missing; allowed: set with " + given):
        deployment({given: "x"})
    assert deployment({}) is None
