"""Every error as `application/problem+json` with a stable type (RFC 9457)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from sqlalchemy.exc import (
    DBAPIError,
    InterfaceError,
    OperationalError,
    SQLAlchemyError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.exceptions import HTTPException

from domain.errors import BadInput, FieldError, NotFound, Refused, Transient, Unauthorized
from domain.message import Finding
from runtime.relay import TemporalDown

log = structlog.get_logger(__name__)


class BrokenRules(BadInput):
    """A text that may not go out: which rules it breaks, where, and what would be better."""

    def __init__(
        self, message: str, errors: list[FieldError], findings: tuple[Finding, ...]
    ) -> None:
        super().__init__(message, errors)
        self.findings = findings


MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_SECONDS = 5
MAX_ERRORS = 20
_SHOWN = 200
_KINDS = {
    400: "bad_request", 401: "unauthorized", 403: "forbidden", 404: "not_found",
    405: "method_not_allowed", 409: "conflict", 413: "too_large",
    415: "unsupported_media_type", 422: "bad_input", 429: "too_many_requests",
    500: "internal", 503: "unavailable",
}  # fmt: skip


def correlation_id(request: Request) -> str:
    """The id that runs from this request to the last row that it leads to."""
    found: str = request.scope.get("state", {}).get("correlation_id", "")
    return found


def problem(
    status: int,
    detail: str,
    *,
    request: Request | None = None,
    kind: str | None = None,
    errors: Sequence[FieldError] = (),
    findings: Sequence[Finding] = (),
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    """A problem document; `kind` is the stable end of its type."""
    name = kind or _KINDS.get(status, "error")
    body: dict[str, Any] = {
        "type": f"urn:forewarn:problem:{name}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
    }
    if errors:
        body["errors"] = [error.model_dump() for error in errors[:MAX_ERRORS]]
    if findings:
        body["findings"] = [finding.model_dump() for finding in findings[:MAX_ERRORS]]
    if request is not None and correlation_id(request):
        body["correlation_id"] = correlation_id(request)
    return JSONResponse(body, status, headers=headers, media_type=MEDIA_TYPE)


def install(app: FastAPI) -> None:
    """Answer every error of the application with a problem document."""

    @app.exception_handler(BadInput)
    async def bad_input(request: Request, error: BadInput) -> JSONResponse:
        findings = error.findings if isinstance(error, BrokenRules) else ()
        return problem(422, str(error), request=request, errors=error.errors, findings=findings)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        found = [_field_error(item) for item in error.errors()[:MAX_ERRORS]]
        return problem(422, "the request has fields at fault", request=request, errors=found)

    @app.exception_handler(Unauthorized)
    async def unauthorized(request: Request, error: Unauthorized) -> JSONResponse:
        headers = {"WWW-Authenticate": "Bearer"}
        return problem(401, str(error), request=request, headers=headers)

    @app.exception_handler(NotFound)
    async def not_found(request: Request, error: NotFound) -> JSONResponse:
        return problem(404, str(error), request=request)

    @app.exception_handler(Refused)
    async def refused(request: Request, error: Refused) -> JSONResponse:
        status = 403 if error.kind == "forbidden" else 409
        return problem(status, str(error), request=request, kind=error.kind)

    @app.exception_handler(TemporalDown)
    async def temporal_down(request: Request, error: TemporalDown) -> JSONResponse:
        return _unavailable(request, "Temporal does not answer; nothing was changed")

    @app.exception_handler(Transient)
    async def transient(request: Request, error: Transient) -> JSONResponse:
        return _unavailable(request, error.reason, error.retry_after)

    @app.exception_handler(SQLAlchemyError)
    async def database(request: Request, error: SQLAlchemyError) -> JSONResponse:
        if unreachable(error):
            log.warning("postgresql_unreachable", correlation_id=correlation_id(request))
            return _unavailable(request, "the database does not answer; nothing was stored")
        return _internal(request, error)

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> JSONResponse:
        return problem(error.status_code, str(error.detail), request=request, headers=error.headers)

    @app.exception_handler(Exception)
    async def unexpected(request: Request, error: Exception) -> JSONResponse:
        return _internal(request, error)


def unreachable(error: SQLAlchemyError) -> bool:
    """Whether the database could not be asked, as opposed to refusing what it was asked."""
    if isinstance(error, DBAPIError):
        # 57P0x: the server is starting, stopping or was killed; 08xxx: the connection broke;
        # 53xxx: it is out of connections, memory or disk.
        state: str | None = getattr(error.orig, "sqlstate", None)
        if state is None:
            return isinstance(error, OperationalError | InterfaceError)
        return state[:2] in ("08", "53") or state.startswith("57P0")
    return isinstance(error, PoolTimeout)


def _internal(request: Request, error: Exception) -> JSONResponse:
    log.error(
        "request_failed",
        path=request.url.path,
        correlation_id=correlation_id(request),
        exc_info=error,
    )
    return problem(500, "an error of ours; the log has it under this id", request=request)


def _unavailable(request: Request, detail: str, retry_after: float | None = None) -> JSONResponse:
    seconds = math.ceil(retry_after or RETRY_AFTER_SECONDS)
    return problem(503, detail, request=request, headers={"Retry-After": str(seconds)})


def _field_error(item: Mapping[str, Any]) -> FieldError:
    """FastAPI's finding as ours: where, what stood there, what is allowed."""
    place, *path = [str(part)[:_SHOWN] for part in item["loc"]] or ["body"]
    value = item.get("input")
    if item["type"] == "missing" or not isinstance(value, str | int | float | bool | None):
        value = None
    if isinstance(value, str) or (isinstance(value, int | float) and not _plain(value)):
        value = str(value)[:_SHOWN].encode(errors="replace").decode()
    expected = (item.get("ctx") or {}).get("expected")
    return FieldError(
        field=".".join(path) or place, value=value, allowed=str(expected or item["msg"])
    )


def _plain(value: float) -> bool:
    return abs(value) <= 2**63 if isinstance(value, int) else math.isfinite(value)
