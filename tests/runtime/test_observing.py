"""What Prometheus gets: a real worker's figures, and every figure that dashboard and rules name."""

from __future__ import annotations

import asyncio
import json
import re
import socket
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx2
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.common import RetryPolicy
from temporalio.runtime import Runtime
from temporalio.service import RPCError
from temporalio.worker import Worker

from adapters.db.figures import Approvals, Figures
from domain.errors import BadInput, OutcomeUnknown, Permanent, Transient, Unreachable
from domain.message import Channel, OutboundMessage, Receipt
from gateway.metrics import GatewayMetrics
from runtime.figures import Delays, Snapshot, TemporalFigures, Watch
from runtime.observing import ObservingSettings, counted, worker_runtime
from runtime.processes import free_port
from runtime.relay import TemporalLink
from runtime.servers import TemporalServer
from runtime.temporal import connect
from runtime.wiring import utc_now

OPERATIONS = Path(__file__).parents[2] / "docs/operations"
QUEUE = "observed"
PRIVATE = "ada@example.com"
FAULTS: dict[str, Exception] = {
    "unreachable": Unreachable(PRIVATE),
    "transient": Transient(PRIVATE),
    "permanent": Permanent(PRIVATE),
    "unknown": OutcomeUnknown(PRIVATE),
    "fault": KeyError(PRIVATE),
}


class Moody:
    """A provider that fails as it is told to."""

    channel = Channel.EMAIL
    name = "moody"

    def __init__(self) -> None:
        self.fault: Exception | None = None

    async def send(self, message: OutboundMessage) -> Receipt:
        if self.fault is not None:
            raise self.fault
        return Receipt(provider_id="1")

    async def aclose(self) -> None: ...


class Sending:
    def __init__(self) -> None:
        self.moody = Moody()
        self.senders = counted({Channel.EMAIL: self.moody})

    @activity.defn
    async def send(self, fault: str) -> None:
        self.moody.fault = FAULTS.get(fault)
        message: Any = None
        await self.senders[Channel.EMAIL].send(message)


@workflow.defn(name="Sends", sandboxed=False)
class Sends:
    @workflow.run
    async def run(self) -> None:
        for fault in ("none", *FAULTS):
            once = RetryPolicy(maximum_attempts=1)
            sending = workflow.start_activity(
                "send", fault, start_to_close_timeout=timedelta(seconds=9), retry_policy=once
            )
            await asyncio.wait([sending])
            sending.exception()


@workflow.defn(name="Jammed", sandboxed=False)
class Jammed:
    """Fails its task like a release that cannot replay an old history."""

    @workflow.run
    async def run(self) -> None:
        raise ValueError(PRIVATE)


@pytest.fixture(scope="module")
def temporal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TemporalServer]:
    server = TemporalServer(tmp_path_factory.mktemp("temporal"))
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def watched() -> tuple[Runtime, str]:
    """A runtime that holds its port as long as the tests run, and its address."""
    address = f"127.0.0.1:{free_port()}"
    runtime = worker_runtime(ObservingSettings(metrics_address=address))
    assert runtime is not None
    return runtime, address


def labels_by_name(text: str) -> dict[str, set[str]]:
    """Every sample's name with all labels that it is offered with."""
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


async def scraped(address: str) -> str:
    async with httpx2.AsyncClient() as http:
        return (await http.get(f"http://{address}/metrics")).text


async def figures_of_a_jammed_worker(client: Client, watch: Watch, address: str) -> str:
    """Send with every outcome, jam one run until the server marks it; the worker's figures."""
    async with Worker(
        client, task_queue=QUEUE, workflows=[Sends, Jammed], activities=[Sending().send]
    ):
        run = uuid4().hex
        await client.execute_workflow(Sends.run, id=run, task_queue=QUEUE)
        jammed = await client.start_workflow(Jammed.run, id=f"jammed-{run}", task_queue=QUEUE)
        with pytest.raises(RPCError):
            await client.get_workflow_handle(f"unknown-{run}").describe()
        for _ in range(100):
            seen = (await watch.snapshot(newest=True)).temporal
            if seen is not None and seen.stuck:
                break
            await asyncio.sleep(0.2)
        assert seen is not None and seen.stuck == 1
        text = await scraped(address)
        await jammed.terminate()
        return text


def everything() -> Snapshot:
    """A chain of which there is something to say under every label."""
    return Snapshot(
        Figures(
            inbox_waiting=1,
            inbox_lag_seconds=2.0,
            incidents={("active", "P1"): 1},
            promises_open=1,
            promises_overdue=1,
            most_overdue_seconds=3.0,
            next_promise_due=4.0,
            promises={"kept": 5, "missed": 6},
            approvals={"P1": Approvals(1, 7.0)},
            open_rows={("email", "pending"): 8},
            settled={("email", "sent"): 9},
            sends_paused=False,
            customer_data_age_seconds=10.0,
            first_messages={"policy": Delays().plus(11.0)},
        ),
        TemporalFigures(polling={"incidents": 1}, stuck=0),
        age_seconds=0.1,
    )


async def test_dashboard_and_rules_speak_only_of_figures_that_are_offered(
    engine: AsyncEngine, temporal: TemporalServer, watched: tuple[Runtime, str]
) -> None:
    runtime, address = watched
    watch = Watch(engine, TemporalLink(lambda: connect(temporal.address)), utc_now)
    client = await connect(temporal.address, runtime=runtime)
    worker = await figures_of_a_jammed_worker(client, watch, address)
    await watch.close()
    metrics = GatewayMetrics({"generic"}, 3600.0)
    metrics.webhook("generic", "stored", 0.01)
    gateway = metrics.text(everything(), heartbeat_silent=False).decode()
    offered = labels_by_name(gateway) | labels_by_name(worker)
    # Prometheus itself adds these.
    offered |= {"up": {"job"}, "ALERTS": {"alertname", "alertstate"}}

    expressions = list(rules()) + list(queries())
    assert len(expressions) > 50
    for where, expression in expressions:
        names = set(re.findall(r"\b(?:forewarn|temporal)_\w+|\bup\b|\bALERTS\b", expression))
        assert names <= set(offered), f"{where}: {names - set(offered)}"
        known = {"instance"}.union(*(offered[name] for name in names))
        used = set(re.findall(r"(\w+)\s*(?:=~|!=|!~|=)\s*\"", expression))
        for listed in re.findall(r"\b(?:by|on)\s*\(([^)]*)\)", expression):
            used |= {label.strip() for label in listed.split(",")} - {""}
        assert used <= known, f"{where}: {used - known}"

    for kind in FAULTS:
        pattern = rf'forewarn_provider_errors_total{{[^}}]*kind="{kind}"[^}}]*}} 1\b'
        assert re.search(pattern, worker), kind
    assert re.search(r"forewarn_provider_call_seconds_count{[^}]*} 6\b", worker)
    assert re.search(r"temporal_workflow_task_execution_failed_total{[^}]*Jammed", worker)
    assert PRIVATE not in worker


def rules() -> Iterator[tuple[str, str]]:
    for group in yaml.safe_load((OPERATIONS / "alert-rules.yaml").read_text())["groups"]:
        for rule in group["rules"]:
            yield rule["alert"], rule["expr"]


def queries() -> Iterator[tuple[str, str]]:
    board = json.loads((OPERATIONS / "grafana-dashboard.json").read_text())
    for item in board["annotations"]["list"]:
        yield item["name"], item["expr"]
    for panel in board["panels"]:
        for target in panel.get("targets", ()):
            yield panel["title"], target["expr"]


def test_every_alert_says_what_to_do() -> None:
    guide = (OPERATIONS / "README.md").read_text()
    known = {f"README.md#{name.lower()}" for name in re.findall(r"^### (\w+)$", guide, re.M)}
    led = set()
    for group in yaml.safe_load((OPERATIONS / "alert-rules.yaml").read_text())["groups"]:
        for rule in group["rules"]:
            assert rule["labels"]["severity"] and rule["annotations"]["summary"], rule["alert"]
            led.add(rule["annotations"]["runbook"].rpartition(" ")[2])
    assert led == known


def test_a_port_that_is_taken_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(BadInput, match=f"FOREWARN_METRICS_ADDRESS: value '{address}'"):
            worker_runtime(ObservingSettings(metrics_address=address))


def test_nothing_is_offered_unless_asked_for() -> None:
    assert worker_runtime(ObservingSettings(metrics_address=None)) is None
    for wrong in ("9464", "host:", "host:0", "host:70000", ":9464"):
        with pytest.raises(ValueError, match="host:port"):
            ObservingSettings(metrics_address=wrong)
