"""One id from the webhook to the last activity, in every log line and on every span.

It travels as a header of the workflow, so that no message and no history event needs a field.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn

import structlog
from temporalio import activity, client, worker, workflow
from temporalio.api.common.v1 import Payload
from temporalio.converter import PayloadConverter

from runtime import telemetry

HEADER = "forewarn-correlation"
KEY = "correlation_id"

Headers = Mapping[str, Payload]


def correlation_id() -> str | None:
    """The id of what is being done now."""
    found = structlog.contextvars.get_contextvars().get(KEY)
    return found if isinstance(found, str) else None


class Correlation(client.Interceptor, worker.Interceptor):
    """Hands the id of the caller to the workflow it starts, and on to activities and children."""

    def intercept_client(self, next: client.OutboundInterceptor) -> client.OutboundInterceptor:
        return _Client(next)

    def intercept_activity(
        self, next: worker.ActivityInboundInterceptor
    ) -> worker.ActivityInboundInterceptor:
        return _Activity(next)

    def workflow_interceptor_class(
        self, input: worker.WorkflowInterceptorClassInput
    ) -> type[worker.WorkflowInboundInterceptor]:
        return _Workflow


class _Client(client.OutboundInterceptor):
    async def start_workflow(
        self, input: client.StartWorkflowInput
    ) -> client.WorkflowHandle[Any, Any]:
        known = correlation_id()
        input.headers = _with(input.headers, known)
        # An alert that waited for Temporal goes on with the trace of the request that brought it.
        with telemetry.resumed(known):
            return await super().start_workflow(input)

    async def signal_workflow(self, input: client.SignalWorkflowInput) -> None:
        with telemetry.resumed(correlation_id()):
            await super().signal_workflow(input)


class _Activity(worker.ActivityInboundInterceptor):
    async def execute_activity(self, input: worker.ExecuteActivityInput) -> Any:
        bound = _of_run(activity.info().workflow_id, input.headers)
        with structlog.contextvars.bound_contextvars(**bound):
            return await super().execute_activity(input)


class _Workflow(worker.WorkflowInboundInterceptor):
    def init(self, outbound: worker.WorkflowOutboundInterceptor) -> None:
        super().init(_Outbound(outbound))

    async def execute_workflow(self, input: worker.ExecuteWorkflowInput) -> Any:
        _bind()
        return await super().execute_workflow(input)

    async def handle_signal(self, input: worker.HandleSignalInput) -> None:
        _bind()
        await super().handle_signal(input)

    async def handle_update_handler(self, input: worker.HandleUpdateInput) -> Any:
        _bind()
        return await super().handle_update_handler(input)


class _Outbound(worker.WorkflowOutboundInterceptor):
    def start_activity(self, input: worker.StartActivityInput) -> workflow.ActivityHandle[Any]:
        input.headers = _inherited(input.headers)
        return super().start_activity(input)

    async def start_child_workflow(
        self, input: worker.StartChildWorkflowInput
    ) -> workflow.ChildWorkflowHandle[Any, Any]:
        input.headers = _inherited(input.headers)
        return await super().start_child_workflow(input)

    def continue_as_new(self, input: worker.ContinueAsNewInput) -> NoReturn:
        input.headers = _inherited(input.headers)
        super().continue_as_new(input)


def _bind() -> None:
    # Not undone: the handler's task has a context of its own, and an evicted run is closed in
    # another one, where undoing would be refused.
    info = workflow.info()
    structlog.contextvars.bind_contextvars(**_of_run(info.workflow_id, info.headers))


def _of_run(workflow_id: str | None, headers: Headers) -> dict[str, str]:
    """What the lines of a run carry: its incident by the id's second part, and the correlation."""
    bound = {}
    kind, _, rest = (workflow_id or "").partition("/")
    if kind == "incident":
        bound["incident_id"] = rest.partition("/")[0]
    if HEADER in headers:
        bound[KEY] = PayloadConverter.default.from_payload(headers[HEADER], str)
    return bound


def _with(headers: Headers, identity: str | None) -> Headers:
    if identity is None:
        return headers
    return {**headers, HEADER: PayloadConverter.default.to_payload(identity)}


def _inherited(headers: Headers) -> Headers:
    given = workflow.info().headers.get(HEADER)
    return headers if given is None else {**headers, HEADER: given}
