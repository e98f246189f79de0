"""Short steps on our own database: done at once where that works, else by the server."""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import BaseModel
from temporalio import workflow
from temporalio.exceptions import (
    ActivityError,
    ApplicationError,
    FailureError,
    is_cancelled_exception,
)

from workflows import options

Answer = TypeVar("Answer", bound=BaseModel)


async def short(
    name: str, given: Any, answers: type[Answer], summary: str, *, at_once: bool
) -> Answer:
    """Run a short activity; `at_once` within the workflow task: one event instead of six.

    What does not succeed there in one go is handed to the server, which tries until it does
    without holding the worker. Raises FailureError for what no retry would change.
    """
    if at_once:
        try:
            done: Answer = await workflow.execute_local_activity(
                name, given, result_type=answers, **options.AT_ONCE, summary=summary
            )
            return done
        except FailureError as error:
            # A local activity's failure comes with or without an ActivityError around it.
            cause = error.cause if isinstance(error, ActivityError) else error
            final = isinstance(cause, ApplicationError) and cause.non_retryable
            if final or is_cancelled_exception(error):
                raise
    answer: Answer = await workflow.execute_activity(
        name, given, result_type=answers, **options.PROJECTION, summary=summary
    )
    return answer
