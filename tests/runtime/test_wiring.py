"""worker.py as it is called: what it lists, what it serves, what it refuses and what it awaits."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest
from temporalio.client import Client

from adapters import registry
from runtime.processes import free_port
from runtime.servers import TemporalServer
from runtime.temporal import connect
from tests.stack.sending_world import until
from workflows.names import QUEUE_DELIVERY, QUEUE_DRAFTING, QUEUE_INCIDENTS

ROOT = Path(__file__).parents[2]
DEFAULT = ROOT / "content" / "policy" / "default.yaml"
HOST = "127.0.0.1"
OURS = ("TEMPORAL_", "DATABASE_URL", "SMTP_", "FOREWARN_", "ANTHROPIC_", "SLACK_")
WORKFLOWS, ACTIVITIES = (
    TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW,
    TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY,
)


def environment(**given: str) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(OURS)}
    return kept | {"FOREWARN_SECRET_KEY": "k" * 32, "PYTHONUNBUFFERED": "1"} | given


def worker(*arguments: str, **given: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "worker.py", *arguments],
        cwd=ROOT,
        env=environment(**given),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def written(log: Path) -> str:
    return log.read_text()


@asynccontextmanager
async def working(log: Path, *arguments: str, **given: str) -> AsyncIterator[None]:
    """A worker as a process, which must end by itself on SIGTERM."""
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "worker.py", *arguments, cwd=ROOT, env=environment(**given),
            stdout=output, stderr=output,
        )  # fmt: skip
    try:
        yield
        assert process.returncode is None, written(log)[-2000:]
        process.terminate()
        code = await asyncio.wait_for(process.wait(), 20)
        assert code == 0, written(log)[-2000:]
        assert "Traceback" not in written(log)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@pytest.fixture
def temporal(tmp_path: Path) -> Iterator[TemporalServer]:
    """Not started yet."""
    server = TemporalServer(tmp_path / "temporal", free_port(HOST))
    yield server
    server.stop()


async def polled(client: Client, queue: str, kind: TaskQueueType.ValueType) -> bool:
    request = DescribeTaskQueueRequest(
        namespace="default", task_queue=TaskQueue(name=queue), task_queue_type=kind
    )
    answer = await client.workflow_service.describe_task_queue(request)
    return len(answer.pollers) > 0


async def until_polled(client: Client, queue: str, kind: TaskQueueType.ValueType) -> None:
    await until(f"a worker on {queue}", lambda: polled(client, queue, kind), 40)


async def until_logged(log: Path, words: str) -> None:
    async def look() -> bool:
        return words in written(log)

    await until(words, look)


def test_the_adapters_are_listed_without_any_server() -> None:
    done = worker("--list-adapters")
    assert done.returncode == 0, done.stderr
    listed = [line.split("\t")[:2] for line in done.stdout.splitlines()]
    assert listed == [[spec.kind, spec.name] for spec in registry.all_adapters()]
    assert ["email", "smtp"] in listed and ["monitor", "pagerduty"] in listed


@pytest.mark.parametrize("queue", ["everything", "health"])
def test_a_queue_that_nobody_serves_is_refused_with_those_that_are(queue: str) -> None:
    done = worker("--queue", queue)
    assert done.returncode != 0
    assert "delivery" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize(("content", "said"), [
    (f"extends: {DEFAULT}\ndelivery: {{max_attempts: often}}\n", "delivery.max_attempts"),
    ("delivery: [\n", "line 2"),
])  # fmt: skip
def test_a_bad_policy_file_is_one_line_that_says_where(
    tmp_path: Path, content: str, said: str
) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text(content)
    nobody = f"postgresql://u:p@{HOST}:{free_port(HOST)}/x"
    done = worker(FOREWARN_POLICY=str(path), DATABASE_URL=nobody)
    assert done.returncode == 1
    assert done.stderr.startswith(f"worker.py: {path}: "), done.stderr
    assert said in done.stderr and done.stderr.count("\n") == 1, done.stderr


def test_a_policy_file_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    nobody = f"postgresql://u:p@{HOST}:{free_port(HOST)}/x"
    done = worker(FOREWARN_POLICY=str(tmp_path / "no.yaml"), DATABASE_URL=nobody)
    assert done.returncode == 2
    assert done.stderr.startswith("FOREWARN_POLICY: ") and "no.yaml" in done.stderr
    assert done.stderr.count("\n") == 1, done.stderr


@pytest.mark.slow
async def test_a_worker_for_delivery_waits_for_its_servers_and_serves_nothing_else(
    tmp_path: Path, temporal: TemporalServer, database_url: str
) -> None:
    log = tmp_path / "worker.log"
    async with working(
        log, "--queue", "delivery", DATABASE_URL=database_url, TEMPORAL_ADDRESS=temporal.address
    ):
        await until_logged(log, "servers_not_ready")
        await asyncio.to_thread(temporal.start)
        client = await connect(temporal.address)
        await until_polled(client, QUEUE_DELIVERY, ACTIVITIES)
        assert not await polled(client, QUEUE_INCIDENTS, WORKFLOWS)
        assert not await polled(client, QUEUE_INCIDENTS, ACTIVITIES)
        assert not await polled(client, QUEUE_DRAFTING, ACTIVITIES)


@pytest.mark.slow
async def test_a_worker_serves_every_queue_and_waits_for_postgresql(
    tmp_path: Path, temporal: TemporalServer, database_url: str
) -> None:
    await asyncio.to_thread(temporal.start)
    client = await connect(temporal.address)
    log = tmp_path / "worker.log"
    nobody = f"postgresql://u:hunter2@{HOST}:{free_port(HOST)}/x"
    async with working(log, DATABASE_URL=nobody, TEMPORAL_ADDRESS=temporal.address):
        await until_logged(log, "servers_not_ready")
    assert "hunter2" not in written(log)
    async with working(log, DATABASE_URL=database_url, TEMPORAL_ADDRESS=temporal.address):
        await until_polled(client, QUEUE_INCIDENTS, WORKFLOWS)
        for queue in (QUEUE_INCIDENTS, QUEUE_DRAFTING, QUEUE_DELIVERY):
            await until_polled(client, queue, ACTIVITIES)
