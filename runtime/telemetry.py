"""Traces by OpenTelemetry, when OTEL_EXPORTER_OTLP_ENDPOINT says where they go; else nothing.

A trace runs from the request through workflow and activity to the provider. Its spans carry ids
and counts; what an exception said stays in the logs, because it may hold a person's data.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from time import time_ns
from typing import Any

import structlog
from opentelemetry import context, trace
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import Event, ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace import Span as RecordedSpan
from opentelemetry.sdk.trace.export import (
    BatchSpanProcessor,
    SimpleSpanProcessor,
    SpanExporter,
)
from opentelemetry.trace import (
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    Status,
    TraceFlags,
    Tracer,
)
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.contrib.opentelemetry import TracingInterceptor

from adapters.db.ledger import Ledger
from domain.message import Channel
from domain.ports import Claim, Outcome, Sender
from runtime.settings import environment

log = structlog.get_logger(__name__)

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
GATEWAY = "forewarn-gateway"
WORKER = "forewarn-worker"
FLUSH_SECONDS = 2.0
# The ids that log lines carry, and what they are called on a span.
MARKS = {"correlation_id": "forewarn.correlation_id", "incident_id": "forewarn.incident_id"}
# Of an exception only its type: its text may hold an address, a name or a statement's values.
_TOLD_OF_EXCEPTIONS = ("exception.type", "exception.escaped")
# A correlation id that we gave out while tracing: trace and span of the request, in hexadecimal.
_OURS = re.compile(r"([0-9a-f]{32})-([0-9a-f]{16})")
# Batches that were claimed and never settled are forgotten when there are so many rows of them.
_MOST_OPEN = 10_000

_provider: TracerProvider | None = None


def start(service: str, exporter: SpanExporter | None = None) -> bool:
    """Begin to trace as the OTEL_* variables say; False without an endpoint.

    OTEL_SERVICE_NAME overrides `service`. `exporter` takes the place of the one for OTLP.
    """
    global _provider
    given = {k: v for k, v in environment().items() if k.startswith("OTEL_")}
    if exporter is None and not given.get(ENDPOINT):
        return False
    if _provider is None:
        for name, value in given.items():
            # The libraries read the process environment alone, not `.env`.
            os.environ.setdefault(name, value)
        _provider = _make_provider(service, exporter)
        log.info("tracing_started", service=service)
    return True


async def stop() -> None:
    """Send what is left and end tracing; a collector that is away holds nobody up."""
    global _provider
    provider, _provider = _provider, None
    if provider is None:
        return
    try:
        async with asyncio.timeout(FLUSH_SECONDS):
            await asyncio.to_thread(provider.shutdown)
    except TimeoutError:
        log.warning("traces_lost", seconds=FLUSH_SECONDS)


def tracer() -> Tracer | None:
    """What makes spans; None while nobody collects them."""
    return None if _provider is None else _provider.get_tracer("forewarn")


def temporal_interceptors() -> list[TracingInterceptor]:
    """What carries the trace through Temporal, for a client and the workers made with it."""
    made = tracer()
    # Runs that were started by somebody who does not trace get spans of their own, too.
    return [TracingInterceptor(made, always_create_workflow_spans=True)] if made else []


@contextmanager
def resumed(correlation_id: str | None) -> Iterator[None]:
    """A context in which the trace of an earlier request goes on, unless one is going on now."""
    known = _OURS.fullmatch(correlation_id or "")
    if _provider is None or not known or trace.get_current_span().get_span_context().is_valid:
        yield
        return
    # The id was given out only for a request that was sampled.
    parent = SpanContext(
        int(known[1], 16), int(known[2], 16), is_remote=True, trace_flags=TraceFlags(1)
    )
    token = context.attach(trace.set_span_in_context(NonRecordingSpan(parent)))
    try:
        yield
    finally:
        context.detach(token)


# ------------------------------------------------------------------ what a span may say


def _make_provider(service: str, exporter: SpanExporter | None) -> TracerProvider:
    """A provider whose spans carry our ids and no text; sampler and batches as OTEL_* say."""
    named = {} if os.environ.get("OTEL_SERVICE_NAME") else {SERVICE_NAME: service}
    provider = TracerProvider(resource=Resource.create(named), shutdown_on_exit=False)
    provider.add_span_processor(_Marking())
    if exporter is None:
        # Loaded only where traces are collected: it brings a second HTTP client.
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

        provider.add_span_processor(_Discreet(BatchSpanProcessor(OTLPSpanExporter())))
    else:
        provider.add_span_processor(_Discreet(SimpleSpanProcessor(exporter)))
    return provider


class _Marking(SpanProcessor):
    """Puts the ids that log lines carry on every span."""

    def on_start(self, span: RecordedSpan, parent_context: context.Context | None = None) -> None:
        bound = structlog.contextvars.get_contextvars()
        for key, attribute in MARKS.items():
            if key in bound:
                span.set_attribute(attribute, str(bound[key]))


class _Discreet(SpanProcessor):
    """Passes spans on without what exceptions said."""

    def __init__(self, next: SpanProcessor) -> None:
        self._next = next

    def on_start(self, span: RecordedSpan, parent_context: context.Context | None = None) -> None:
        self._next.on_start(span, parent_context)

    def on_end(self, span: ReadableSpan) -> None:
        self._next.on_end(_discreet(span) if span.events or span.status.description else span)

    def shutdown(self) -> None:
        self._next.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._next.force_flush(timeout_millis)


def _discreet(span: ReadableSpan) -> ReadableSpan:
    """The same span; its errors are named and not quoted."""
    return ReadableSpan(
        name=span.name,
        context=span.context,
        parent=span.parent,
        resource=span.resource,
        attributes=span.attributes,
        events=[_named(event) for event in span.events],
        links=span.links,
        kind=span.kind,
        status=Status(span.status.status_code),
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )


def _named(event: Event) -> Event:
    told = {k: v for k, v in (event.attributes or {}).items() if k in _TOLD_OF_EXCEPTIONS}
    return Event(event.name, told, event.timestamp)


# ------------------------------------------------------------------ the last step: sending


def sending_ledger(engine: AsyncEngine, senders: Mapping[Channel, Sender]) -> Ledger:
    """The ledger of the worker: where traces are collected, a span for each claimed batch."""
    made = tracer()
    return Ledger(engine) if made is None else _TracedLedger(engine, senders, made)


class _TracedLedger(Ledger):
    """A batch's span begins when it is claimed and ends when its outcomes are to be written.

    A span per message would cost more than sending it.
    """

    def __init__(
        self, engine: AsyncEngine, senders: Mapping[Channel, Sender], tracer: Tracer
    ) -> None:
        super().__init__(engine)
        self._providers = {channel: sender.name for channel, sender in senders.items()}
        self._tracer = tracer
        self._batches: dict[int, _Batch] = {}

    # The arguments are the ledger's business; only the first two and the outcomes are looked at.
    async def claim(self, broadcast_id: int, channel: Channel, *rest: Any, **named: Any) -> Claim:
        found = await super().claim(broadcast_id, channel, *rest, **named)
        if found.recipients:
            if len(self._batches) > _MOST_OPEN:
                self._batches.clear()
            span = self._tracer.start_span(
                f"send {channel.value}",
                kind=SpanKind.CLIENT,
                attributes={
                    "forewarn.channel": channel.value,
                    "forewarn.provider": self._providers.get(channel, "none"),
                    "forewarn.broadcast": broadcast_id,
                    "forewarn.rows": len(found.recipients),
                },
            )
            batch = _Batch(span, len(found.recipients))
            self._batches.update((r.delivery_id, batch) for r in found.recipients)
        return found

    async def settle(self, outcomes: Sequence[Outcome], *rest: Any, **named: Any) -> int:
        now = time_ns()
        for outcome in outcomes:
            batch = self._batches.pop(outcome.delivery_id, None)
            if batch is not None:
                batch.add(outcome, now)
        return await super().settle(outcomes, *rest, **named)


class _Batch:
    """Counts what became of the rows; the last one ends the span."""

    def __init__(self, span: Span, rows: int) -> None:
        self._span = span
        self._left = rows
        self._counts: dict[str, int] = {}

    def add(self, outcome: Outcome, now: int) -> None:
        state = outcome.state if outcome.attempted else "untried"
        self._counts[state] = self._counts.get(state, 0) + 1
        self._left -= 1
        if not self._left:
            self._span.set_attributes({f"forewarn.{s}": n for s, n in self._counts.items()})
            self._span.end(now)
