"""A span for each request, in the caller's trace where a monitor sends one."""

from __future__ import annotations

from opentelemetry import trace
from opentelemetry.trace import SpanKind, StatusCode, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.limits import HEADER
from gateway.webhooks import PATH
from runtime.telemetry import MARKS

# Asked every few seconds by machines, or open for hours: spans of these would say nothing.
UNTRACED = frozenset({"/healthz", "/readyz", "/metrics", "/api/banner/stream"})
# Whoever else may call is not to decide what is sampled.
CONTINUED = "/webhooks/"
W3C = TraceContextTextMapPropagator()


class Traces:
    """Stands before everything else, so that the correlation id can name the trace."""

    def __init__(self, app: ASGIApp, tracer: Tracer) -> None:
        self._app = app
        self._tracer = tracer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in UNTRACED:
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        parent = W3C.extract(headers) if scope["path"].startswith(CONTINUED) else None
        method = scope["method"]
        with self._tracer.start_as_current_span(
            f"HTTP {method}",
            context=parent,
            kind=SpanKind.SERVER,
            attributes={"http.request.method": method},
        ) as span:
            _name_by_trace(scope, span)

            async def answer(message: Message) -> None:
                if message["type"] == "http.response.start":
                    _answered(span, message)
                await send(message)

            try:
                await self._app(scope, receive, answer)
            finally:
                # Only the pattern: what stands in a path or query may be a signed link.
                route = PATH if parent is not None else getattr(scope.get("route"), "path", None)
                if route is not None:
                    span.update_name(f"{method} {route}")
                    span.set_attribute("http.route", route)


def _name_by_trace(scope: Scope, span: trace.Span) -> None:
    """Give the request a correlation id that leads back to this span, unless it brings its own.

    It is kept with the signal, so that an alert which waits for Temporal goes on with its trace.
    """
    context = span.get_span_context()
    headers = MutableHeaders(scope=scope)
    if context.trace_flags.sampled and HEADER not in headers:
        headers[HEADER] = f"{context.trace_id:032x}-{context.span_id:016x}"


def _answered(span: trace.Span, start: Message) -> None:
    span.set_attribute("http.response.status_code", start["status"])
    if start["status"] >= 500:
        span.set_status(StatusCode.ERROR)
    identity = dict(start.get("headers", ())).get(HEADER.lower().encode())
    if identity is not None:
        span.set_attribute(MARKS["correlation_id"], identity.decode("ascii"))
