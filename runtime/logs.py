"""Structured logs: one JSON object per line, without secrets and personal data."""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

HIDDEN = "(hidden)"
# By key, whatever its case: what these hold is a secret or names a person.
SECRET_KEYS = frozenset(
    {
        "authorization", "cookie", "database_url", "password", "secret", "secret_key",
        "signature", "smtp_url", "token",
    }
)  # fmt: skip
PERSONAL_KEYS = frozenset(
    {"address", "body", "contact_name", "email", "name", "phone", "recipient", "subject", "text"}
)
_SECRET_ENDINGS = ("_secret", "_token", "_password", "_api_key")


def redact(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Hide the values of keys that are known to hold a secret or a person, at any depth."""
    return {key: _redacted(key, value) for key, value in event.items()}


def _redacted(key: str, value: Any) -> Any:
    lowered = key.lower()
    if lowered in SECRET_KEYS | PERSONAL_KEYS or lowered.endswith(_SECRET_ENDINGS):
        return HIDDEN
    if isinstance(value, dict):
        return {str(k): _redacted(str(k), v) for k, v in value.items()}
    return value


def configure_logs(level: int = logging.INFO) -> None:
    """Send structlog and the libraries' own logs as JSON lines to standard error."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.dict_tracebacks,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                redact,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logging.getLogger(name).handlers[:] = []
        logging.getLogger(name).propagate = True
    # The access line carries query strings, and those carry signed links.
    logging.getLogger("uvicorn.access").setLevel(logging.WARNING)
    # One line per request to every vendor says nothing that our own events don't.
    logging.getLogger("httpx2").setLevel(logging.WARNING)
