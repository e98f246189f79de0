"""Errors that carry a decision: who is at fault and whether trying again can help."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class FieldError(BaseModel):
    """One field at fault: where it is, what stood there, and what is allowed."""

    model_config = ConfigDict(frozen=True)

    field: str
    value: str | int | float | bool | None = None
    allowed: str


class ForewarnError(Exception):
    """Base of every error that Forewarn raises on purpose."""


class BadInput(ForewarnError):
    """Input that names its fields at fault; leaves nothing behind."""

    def __init__(self, message: str, errors: list[FieldError] | None = None) -> None:
        super().__init__(message)
        self.errors = errors or []


class Unauthorized(ForewarnError):
    """A caller who could not be authenticated."""


class NotFound(ForewarnError):
    """A thing named by the caller that does not exist."""


class Refused(ForewarnError):
    """A command that is well formed but not allowed in the present state.

    `kind` is stable and read by programs: superseded, already_decided, already_sent,
    forbidden, not_announced, not_open, invalid_draft, same_severity, second_person_needed.
    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class Permanent(ForewarnError):
    """A provider refused and would refuse again; `reason` is its own words, cleaned."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Transient(ForewarnError):
    """A provider failed in a way that may pass; `retry_after` is in seconds."""

    def __init__(self, reason: str, retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.retry_after = retry_after


class Unreachable(Transient):
    """The provider itself is away, which says nothing about the recipient: nobody fails by it."""


class OutcomeUnknown(ForewarnError):
    """The provider may or may not have accepted: the connection died after the data went out."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Unsupported(ForewarnError):
    """The adapter does not offer this ability."""
