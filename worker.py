"""Runs Forewarn's workflows and activities: settings → ports → activities → workers."""

from __future__ import annotations

import argparse
import asyncio
import gc
import signal
import sys

import structlog
from sqlalchemy.exc import SQLAlchemyError

from adapters import registry
from domain.errors import BadInput
from runtime import telemetry
from runtime.logs import configure_logs
from runtime.observing import worker_runtime
from runtime.settings import environment
from runtime.temporal import connect
from runtime.versioning import deployment
from runtime.wiring import build_workers, steps_from_environment
from workflows.names import QUEUE_HEALTH, QUEUES

if sys.platform != "win32":
    import uvloop

log = structlog.get_logger(__name__)
ALL = "all"
RETRY_SECONDS = 1.0
EXIT_SECONDS = 0.2


async def run(queues: list[str]) -> None:
    """Work until SIGINT or SIGTERM; waits for PostgreSQL and Temporal to come up."""
    version = deployment(environment())
    telemetry.start(telemetry.WORKER)
    sdk = worker_runtime()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    while not stop.is_set():
        try:
            steps = await steps_from_environment()
            client = await connect(runtime=sdk)
        except (SQLAlchemyError, OSError, RuntimeError) as error:
            log.warning("servers_not_ready", error=type(error).__name__)
            await asyncio.sleep(RETRY_SECONDS)
            continue
        async with asyncio.TaskGroup() as group:
            workers = build_workers(client, steps, queues, version)
            for worker in workers:
                group.create_task(worker.run())
            following = group.create_task(steps.follow_policy())
            # What lives as long as the process is not looked through for garbage again.
            gc.collect()
            gc.freeze()
            log.info("worker_started", queues=queues)
            await stop.wait()
            following.cancel()
            await asyncio.gather(*(worker.shutdown() for worker in workers))
        await steps.aclose()
    await telemetry.stop()
    # The SDK's threads may crash an interpreter that ends at once (temporalio/sdk-python#300).
    await asyncio.sleep(EXIT_SECONDS)


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(
        prog="worker.py", description="Runs Forewarn's workflows and activities."
    )
    parser.add_argument(
        "--queue",
        choices=[*QUEUES, ALL],
        default=ALL,
        help="the task queue to work on (default: all)",
    )
    parser.add_argument(
        "--list-adapters", action="store_true", help="print the adapters found, and end"
    )
    arguments = parser.parse_args()
    if arguments.list_adapters:
        for spec in registry.all_adapters():
            sys.stdout.write(f"{spec.kind}\t{spec.name}\t{', '.join(spec.roles)}\n")
        return
    served = [queue for queue in QUEUES if queue != QUEUE_HEALTH]
    if arguments.queue == QUEUE_HEALTH:
        sys.exit("worker.py: nothing runs on the queue health yet; allowed: " + ", ".join(served))
    configure_logs()
    work = run(served if arguments.queue == ALL else [arguments.queue])
    try:
        if sys.platform == "win32":
            asyncio.run(work)
        else:
            # A third less of the processor per mail than the loop that Python brings.
            uvloop.run(work)
    except BadInput as error:
        sys.exit(f"worker.py: {error}")


if __name__ == "__main__":
    main()
