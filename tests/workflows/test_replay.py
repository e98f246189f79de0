"""Yesterday's histories on today's code: a change that breaks running incidents fails here.

A folder for each release that incidents may still run on: `python -m
tests.workflows.record_histories` records the present one, docs/upgrades.md says when one may go.
"""

from __future__ import annotations

import asyncio
import tomllib
from pathlib import Path

import pytest
from temporalio import workflow
from temporalio.client import WorkflowHistory
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

from runtime.temporal import PASSED_THROUGH, sandbox_runner
from tests.workflows.world import replay

ROOT = Path(__file__).parents[2]
HISTORIES = ROOT / "tests" / "histories"
RELEASE = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
# What must be covered, and since which release; a story may have several runs and children.
STORIES = {
    "approved": "0.1.0",
    "timed_out": "0.1.0",
    "upgraded": "0.1.0",
    "continued_as_new": "0.1.0",
    "cancelled": "0.1.0",
    "maintained": "0.4.0",
}


@pytest.mark.parametrize("release", sorted(path.name for path in HISTORIES.iterdir()))
def test_every_release_has_every_story(release: str) -> None:
    names = {path.name.partition("--")[0] for path in (HISTORIES / release).glob("*.json")}
    assert names == {story for story, since in STORIES.items() if since <= release}


def test_the_present_release_is_recorded() -> None:
    assert (HISTORIES / RELEASE).is_dir(), "python -m tests.workflows.record_histories"


@pytest.mark.parametrize(
    "path", sorted(HISTORIES.glob("*/*.json")), ids=lambda p: f"{p.parent.name}/{p.stem}"
)
async def test_a_recorded_history_replays(path: Path) -> None:
    await replay_file(path, sandbox_runner())


async def test_without_its_patch_a_new_step_breaks_the_incidents_of_the_last_release(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(workflow, "patched", lambda _: True)
    with pytest.raises(workflow.NondeterminismError):
        await replay_file(HISTORIES / "0.1.0" / "approved--incident-1.json", sandbox_runner())


async def test_our_pure_code_keeps_to_the_sandbox() -> None:
    """Passed through, a clock or randomness in `domain` would run unseen; here it is refused."""
    strict = SandboxRestrictions.default.with_passthrough_modules(
        *(
            name
            for name in PASSED_THROUGH
            if name not in ("domain", "activities", "workflows.messages")
        )
    )
    await replay_file(
        HISTORIES / RELEASE / "approved--incident-1.json",
        SandboxedWorkflowRunner(restrictions=strict),
    )


async def replay_file(path: Path, runner: SandboxedWorkflowRunner) -> None:
    """Play a history on the code as it is; raises where the two disagree."""
    history = await asyncio.to_thread(path.read_text, "utf-8")
    await replay(WorkflowHistory.from_json(path.stem, history), runner)
