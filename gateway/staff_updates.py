"""A human's command on its way to the incident's workflow, and the workflow's answer back."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TypeVar

from pydantic import BaseModel
from temporalio.client import (
    Client,
    WorkflowUpdateFailedError,
    WorkflowUpdateRPCTimeoutOrCancelledError,
)
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode

from domain.errors import NotFound, Refused, Transient
from gateway.deps import Deps
from runtime.relay import TemporalDown
from workflows.names import incident_workflow_id

TIMEOUT_SECONDS = 10.0
RETRY_AFTER_SECONDS = 5.0
_SILENT = (RPCStatusCode.UNAVAILABLE, RPCStatusCode.DEADLINE_EXCEEDED, RPCStatusCode.CANCELLED)

R = TypeVar("R", bound=BaseModel)


async def command(
    deps: Deps,
    incident_id: str,
    update: str,
    argument: BaseModel,
    result: type[R],
    update_id: str,
) -> R:
    """Carry out an update and return its answer; the same `update_id` is carried out once.

    Raises Refused with the workflow's own kind, NotFound, and Transient when Temporal or its
    worker does not answer in time: then the command may still be carried out later.
    """
    try:
        client = await deps.temporal.client()
    except TemporalDown as error:
        raise _silent() from error
    handle = client.get_workflow_handle(incident_workflow_id(incident_id))
    try:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            answer = await handle.execute_update(
                update,
                argument,
                id=update_id,
                result_type=result,
                rpc_timeout=timedelta(seconds=TIMEOUT_SECONDS),
            )
            return result.model_validate(answer)
    except WorkflowUpdateFailedError as error:
        raise _refused(error) from error
    except (TimeoutError, WorkflowUpdateRPCTimeoutOrCancelledError) as error:
        raise _silent() from error
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            raise await _gone(client, incident_id) from error
        if error.status in _SILENT:
            raise _silent() from error
        raise


def _refused(error: WorkflowUpdateFailedError) -> Refused:
    cause = error.cause
    if isinstance(cause, ApplicationError):
        return Refused(cause.type or "refused", cause.message)
    return Refused("refused", "the incident refused this command")


def _silent() -> Transient:
    return Transient(
        "Temporal did not answer in time; repeat the command with the same Idempotency-Key",
        RETRY_AFTER_SECONDS,
    )


async def _gone(client: Client, incident_id: str) -> Exception:
    """Why there is no workflow to talk to: it ended, or it has not begun yet."""
    try:
        described = await client.get_workflow_handle(incident_workflow_id(incident_id)).describe(
            rpc_timeout=timedelta(seconds=TIMEOUT_SECONDS)
        )
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            return NotFound("this incident has no workflow yet; try again in a few seconds")
        return _silent()
    status = described.status.name.lower() if described.status else "over"
    return Refused("not_open", f"the incident is over: its workflow is {status}")
