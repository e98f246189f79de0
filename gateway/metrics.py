"""How this gateway watches the chain: `/metrics`, the doors as counted here, the heartbeat."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import cached_property
from typing import TypeVar

from prometheus_client import (
    CollectorRegistry,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from domain.policy import Policy
from gateway.deps import Deps
from runtime.figures import DELAY_BOUNDS, Delays, Figures, Snapshot, TemporalFigures, Watch
from runtime.heartbeat import Heartbeat
from runtime.observing import ObservingSettings

WEBHOOKS = "/webhooks/"
WEBHOOK_BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
# An answer is a line; more than this is not read for its disposition.
LONGEST_ANSWER = 65_536

Labels = TypeVar("Labels", bound=tuple[str, ...])


class Watching:
    """One reading of the chain for `/metrics` and heartbeat; made once per application."""

    def __init__(self, deps: Deps, settings: ObservingSettings) -> None:
        self.watch = Watch(deps.engine, deps.temporal, deps.now)
        limit = deps.policy.audience.data_age_limit.total_seconds()
        self.metrics = GatewayMetrics(deps.sources, limit)
        self._url = settings.heartbeat_url
        deps.follow(self.metrics.adopt)

    @cached_property
    def heartbeat(self) -> Heartbeat | None:
        """The dead-man's switch, where one is configured."""
        return Heartbeat(self._url, self.watch) if self._url else None

    def tasks(self) -> Iterator[asyncio.Task[None]]:
        """What runs beside the requests; nothing beats before."""
        if self.heartbeat is not None:
            yield asyncio.create_task(self.heartbeat.run_forever())

    async def text(self) -> bytes:
        """`/metrics`, within a second whoever is away."""
        beat = self.heartbeat
        silent = None if beat is None else beat.silent is not None
        return self.metrics.text(await self.watch.snapshot(), heartbeat_silent=silent)


class GatewayMetrics:
    """One gateway's registry; `text` renders it together with a snapshot of the chain."""

    def __init__(self, sources: Collection[str], data_age_limit_seconds: float) -> None:
        # When a series began is of no use here, and doubles their number.
        disable_created_metrics()  # type: ignore[no-untyped-call]  # the only one they left bare
        self._sources = frozenset(sources)
        self._data_age_limit = data_age_limit_seconds
        self.registry = CollectorRegistry()
        self._webhooks = Histogram(
            "forewarn_webhook_request_seconds",
            "Webhook requests by source and what became of them.",
            ("source", "disposition"),
            buckets=WEBHOOK_BOUNDS,
            registry=self.registry,
        )

    def webhook(self, source: str, disposition: str, seconds: float) -> None:
        """Count one request; a source that is not configured has no label of its own."""
        known = source if source in self._sources else "unknown"
        self._webhooks.labels(known, disposition).observe(seconds)

    def adopt(self, policy: Policy) -> None:
        """Judge the age of the customer data by another policy."""
        self._data_age_limit = policy.audience.data_age_limit.total_seconds()

    def text(self, snapshot: Snapshot, *, heartbeat_silent: bool | None = None) -> bytes:
        """The text format of Prometheus."""
        registry = CollectorRegistry()
        registry.register(_Once(_families(snapshot, self._data_age_limit, heartbeat_silent)))
        return generate_latest(registry) + generate_latest(self.registry)


class WebhookTimes:
    """Measures every webhook request from outside, whatever answers it."""

    def __init__(self, app: ASGIApp, metrics: GatewayMetrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith(WEBHOOKS):
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        status, body = 500, b""

        async def answer(message: Message) -> None:
            nonlocal status, body
            if message["type"] == "http.response.start":
                status = message["status"]
            elif message["type"] == "http.response.body" and status == 202:
                body += message.get("body", b"")
            await send(message)

        try:
            await self._app(scope, receive, answer)
        finally:
            source = scope["path"].removeprefix(WEBHOOKS)
            disposition = _disposition(body) if status == 202 else f"http_{status}"
            self._metrics.webhook(source, disposition, time.perf_counter() - began)


def _disposition(body: bytes) -> str:
    if len(body) > LONGEST_ANSWER:
        return "other"
    try:
        return str(json.loads(body)["disposition"])
    except (ValueError, KeyError, TypeError):
        return "other"


class _Once(Collector):
    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = list(families)

    def collect(self) -> Iterable[Metric]:
        return self._families

    def describe(self) -> Iterable[Metric]:
        return ()


def _families(
    snapshot: Snapshot, data_age_limit: float, heartbeat_silent: bool | None
) -> Iterator[Metric]:
    yield _gauge("postgresql_down", "1 while PostgreSQL does not answer.",
                 int(snapshot.database is None))  # fmt: skip
    yield _gauge("temporal_down", "1 while Temporal does not answer.",
                 int(snapshot.temporal is None))  # fmt: skip
    yield _gauge("heartbeat_silent", "1 while the heartbeat is withheld; unset: not configured.",
                 heartbeat_silent)  # fmt: skip
    yield _gauge("customer_data_limit_seconds", "Age from which customer data counts as old.",
                 data_age_limit)  # fmt: skip
    if snapshot.database is not None:
        yield _gauge("figures_age_seconds", "Age of the figures from PostgreSQL.",
                     round(snapshot.age_seconds, 3))  # fmt: skip
        yield from _of_database(snapshot.database)
    if snapshot.temporal is not None:
        yield from _of_temporal(snapshot.temporal)


def _of_database(figures: Figures) -> Iterator[Metric]:
    yield _gauge("inbox_waiting", "Signals not yet told to a workflow.", figures.inbox_waiting)
    yield _gauge("inbox_lag_seconds", "Age of the oldest of them.", figures.inbox_lag_seconds)
    yield _gauges("incidents_open", "Incidents that are not over.", ("stage", "severity"),
                  figures.incidents)  # fmt: skip
    yield _gauge("promises_open", "Next updates that are promised.", figures.promises_open)
    yield _gauge("promises_overdue", "Promised updates whose time is past.",
                 figures.promises_overdue)  # fmt: skip
    yield _gauge("promise_overdue_seconds", "How far the most overdue of them is past its time.",
                 figures.most_overdue_seconds)  # fmt: skip
    yield _gauge("promise_next_due_timestamp_seconds", "When the next one is due; unset for none.",
                 figures.next_promise_due)  # fmt: skip
    promises = CounterMetricFamily("forewarn_promises", "Promises by outcome: kept, missed.",
                                   labels=("state",))  # fmt: skip
    for state, number in figures.promises.items():
        promises.add_metric((state,), number)
    yield promises
    waiting = {(s,): float(a.waiting) for s, a in figures.approvals.items()}
    oldest = {(s,): a.oldest_seconds for s, a in figures.approvals.items()}
    yield _gauges("approvals_waiting", "Drafts that wait for a person.", ("severity",), waiting)
    yield _gauges("approval_oldest_seconds", "How long the first of them has waited.",
                  ("severity",), oldest)  # fmt: skip
    # Left out, not zero, when they could not be counted in time.
    if figures.open_rows is not None:
        yield _gauges("deliveries", "Ledger rows not settled, at most 10,000 of each broadcast.",
                      ("channel", "state"), figures.open_rows)  # fmt: skip
    settled = CounterMetricFamily(
        "forewarn_deliveries_settled",
        "Ledger rows settled since this gateway started; every gateway counts all of them.",
        labels=("channel", "state"),
    )
    for labels, number in figures.settled.items():
        settled.add_metric(labels, number)
    yield settled
    yield _gauge("sends_paused", "1 while the kill switch is on.", int(figures.sends_paused))
    yield _gauge("customer_data_age_seconds", "Time since customers were imported; unset: never.",
                 figures.customer_data_age_seconds)  # fmt: skip
    delays = HistogramMetricFamily(
        "forewarn_first_message_delay_seconds",
        "From confirmed impact to the first message, by who let it out: policy, person.",
        labels=("allowed_by",),
    )
    for who, delay in figures.first_messages.items():
        delays.add_metric((who,), _buckets(delay), delay.seconds)
    yield delays


def _of_temporal(figures: TemporalFigures) -> Iterator[Metric]:
    polling = {(queue,): float(number) for queue, number in figures.polling.items()}
    yield _gauges("workers_polling", "Workers that ask a queue for work.", ("queue",), polling)
    yield _gauge("workflows_stuck", "Running workflows with TemporalReportedProblems.",
                 figures.stuck)  # fmt: skip


def _buckets(delay: Delays) -> list[tuple[str, float]]:
    bounded = zip(DELAY_BOUNDS, delay.within, strict=True)
    return [*((str(bound), float(n)) for bound, n in bounded), ("+Inf", float(delay.count))]


def _gauge(name: str, words: str, value: float | None) -> GaugeMetricFamily:
    """A figure without labels; None leaves it out, which a zero would not."""
    family = GaugeMetricFamily(f"forewarn_{name}", words)
    if value is not None:
        family.add_metric((), value)
    return family


def _gauges(
    name: str,
    words: str,
    labels: tuple[str, ...],
    samples: Mapping[Labels, float],
) -> GaugeMetricFamily:
    family = GaugeMetricFamily(f"forewarn_{name}", words, labels=labels)
    for key, value in samples.items():
        family.add_metric(key, value)
    return family
