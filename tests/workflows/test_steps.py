"""A short step that does not succeed at once is the server's to try again."""

from __future__ import annotations

import pytest
from pydantic import BaseModel
from temporalio import activity, workflow
from temporalio.client import WorkflowFailureError
from temporalio.exceptions import ApplicationError
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from tests.workflows.world import skipping
from workflows import steps


class Done(BaseModel):
    calls: int


class Books:
    """Fails at its first call: in passing, or for good."""

    def __init__(self) -> None:
        self.calls = 0

    @activity.defn(name="write")
    async def write(self, for_good: bool) -> Done:
        self.calls += 1
        if self.calls == 1:
            raise ApplicationError("not now", non_retryable=for_good)
        return Done(calls=self.calls)


@workflow.defn(sandboxed=False)
class Short:
    @workflow.run
    async def run(self, for_good: bool) -> Done:
        return await steps.short("write", for_good, Done, "Write", at_once=True)


async def test_what_fails_in_passing_is_tried_again_by_the_server_and_for_good_is_not() -> None:
    books = Books()
    async with (
        skipping() as environment,
        Worker(
            environment.client,
            task_queue="short",
            workflows=[Short],
            activities=[books.write],
            workflow_runner=UnsandboxedWorkflowRunner(),
        ),
    ):
        start = environment.client.execute_workflow
        done = await start(Short.run, False, id="passing", task_queue="short")
        assert done.calls == 2
        books.calls = 0
        with pytest.raises(WorkflowFailureError):
            await start(Short.run, True, id="for-good", task_queue="short")
        assert books.calls == 1
