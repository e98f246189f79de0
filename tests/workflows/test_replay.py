"""Yesterday's histories on today's code: a change that breaks running incidents fails here.

`python -m tests.workflows.record_histories` records them anew, after a change of workflow code
that is meant to break with the past and no incident runs on it any more.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from temporalio.client import WorkflowHistory
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import Replayer
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

from runtime.temporal import PASSED_THROUGH, sandbox_runner
from workflows.broadcast import Broadcast
from workflows.incident import Incident
from workflows.postmortem import PostMortem

HISTORIES = Path(__file__).parents[1] / "histories"
# What must be covered; a story may have several runs and children.
STORIES = ("approved", "timed_out", "upgraded", "continued_as_new", "cancelled")


def test_every_story_is_there() -> None:
    names = {path.name.partition("--")[0] for path in HISTORIES.glob("*.json")}
    assert names == set(STORIES)


@pytest.mark.parametrize("path", sorted(HISTORIES.glob("*.json")), ids=lambda p: p.stem)
async def test_a_recorded_history_replays(path: Path) -> None:
    history = await asyncio.to_thread(path.read_text, "utf-8")
    replayer = Replayer(
        workflows=[Incident, Broadcast, PostMortem],
        workflow_runner=sandbox_runner(),
        data_converter=pydantic_data_converter,
    )
    await replayer.replay_workflow(WorkflowHistory.from_json(path.stem, history))


async def test_our_pure_code_keeps_to_the_sandbox() -> None:
    """Passed through, a clock or randomness in `domain` would run unseen; here it is refused."""
    strict = SandboxRestrictions.default.with_passthrough_modules(
        *(name for name in PASSED_THROUGH if name not in ("domain", "activities"))
    )
    path = HISTORIES / "approved--incident-1.json"
    history = await asyncio.to_thread(path.read_text, "utf-8")
    replayer = Replayer(
        workflows=[Incident],
        workflow_runner=SandboxedWorkflowRunner(restrictions=strict),
        data_converter=pydantic_data_converter,
    )
    await replayer.replay_workflow(WorkflowHistory.from_json(path.stem, history))
