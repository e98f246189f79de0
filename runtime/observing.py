"""How a worker is watched: settings, the figures it offers to Prometheus, senders that count."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from datetime import timedelta
from time import monotonic
from urllib.parse import urlsplit

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict
from temporalio import activity
from temporalio.runtime import PrometheusConfig, Runtime, TelemetryConfig

from domain.errors import (
    BadInput,
    FieldError,
    OutcomeUnknown,
    Permanent,
    Transient,
    Unreachable,
)
from domain.message import Channel, OutboundMessage, Receipt
from domain.ports import Sender
from runtime.settings import ENV_FILE, load_settings

METRICS_ADDRESS = "FOREWARN_METRICS_ADDRESS"
ERRORS = "forewarn_provider_errors"
CALLS = "forewarn_provider_call"
# The first that fits; what an adapter raises beside these is a fault of its own.
KINDS: tuple[tuple[type[BaseException], str], ...] = (
    (Unreachable, "unreachable"),
    (Transient, "transient"),
    (Permanent, "permanent"),
    (OutcomeUnknown, "unknown"),
)


class ObservingSettings(BaseSettings):
    """What watches Forewarn; nothing is on unless it is set."""

    model_config = SettingsConfigDict(
        env_file=ENV_FILE,
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        populate_by_name=True,
    )

    metrics_address: str | None = Field(
        default=None,
        validation_alias=METRICS_ADDRESS,
        description="Where a worker offers its figures to Prometheus, as host:port; each worker "
        "of a host needs a port of its own. Unset: nowhere.",
    )
    heartbeat_url: str | None = Field(
        default=None,
        validation_alias="FOREWARN_HEARTBEAT_URL",
        description="Fetched by the gateway every minute while the whole chain is healthy; "
        "whoever offers it raises the alarm when that stops.",
    )

    @field_validator("metrics_address")
    @classmethod
    def _is_address(cls, value: str | None) -> str | None:
        if value is None:
            return None
        host, _, port = value.rpartition(":")
        if not host or not (port.isascii() and port.isdigit() and 0 < int(port) < 65_536):
            raise ValueError("host:port, such as 127.0.0.1:9464")
        return value

    @field_validator("heartbeat_url")
    @classmethod
    def _is_web_address(cls, value: str | None) -> str | None:
        if value is not None:
            parts = urlsplit(value)
            if parts.scheme not in ("http", "https") or not parts.netloc:
                raise ValueError("an http:// or https:// address")
        return value


def worker_runtime(settings: ObservingSettings | None = None) -> Runtime | None:
    """The SDK's runtime with its figures and ours at FOREWARN_METRICS_ADDRESS; None when unset.

    Make it once per process: it holds the port until the process ends. Raises BadInput when
    somebody else has the port.
    """
    address = (settings or load_settings(ObservingSettings)).metrics_address
    if address is None:
        return None
    metrics = PrometheusConfig(
        bind_address=_numeric(address),
        counters_total_suffix=True,
        unit_suffix=True,
        durations_as_seconds=True,
    )
    try:
        return Runtime(telemetry=TelemetryConfig(metrics=metrics))
    except ValueError as error:
        raise _refused(address, str(error).rpartition(": ")[2]) from error


def _numeric(address: str) -> str:
    """The SDK takes no names, only numbers."""
    host, _, port = address.rpartition(":")
    try:
        found = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)
    except OSError as error:
        raise _refused(address, str(error.strerror or error)) from error
    number = found[0][4][0]
    return f"[{number}]:{port}" if ":" in str(number) else f"{number}:{port}"


def _refused(address: str, why: str) -> BadInput:
    allowed = "host:port on this machine that no other program, and no other worker, listens on"
    return BadInput(
        f"{METRICS_ADDRESS}: value '{address}' not allowed ({why}); allowed: {allowed}",
        [FieldError(field=METRICS_ADDRESS, value=address, allowed=allowed)],
    )


# ------------------------------------------------------------------ providers


def counted(senders: Mapping[Channel, Sender]) -> dict[Channel, Sender]:
    """The same senders; what they do shows at the worker's Prometheus address.

    `forewarn_provider_call_seconds` by channel and provider, and `forewarn_provider_errors_total`
    by kind as well: unreachable, transient, permanent, unknown (outcome), fault (of the adapter).
    """
    return {channel: CountedSender(sender) for channel, sender in senders.items()}


class CountedSender:
    """A sender whose calls are measured by the meter of the activity they are made in."""

    def __init__(self, sender: Sender) -> None:
        self._sender = sender
        self.channel = sender.channel
        self.name = sender.name
        self._figures: _Figures | None = None

    async def send(self, message: OutboundMessage) -> Receipt:
        """Send, count, and raise what the sender raises."""
        if self._figures is None:
            self._figures = _Figures(self.channel.value, self.name)
        began = monotonic()
        try:
            return await self._sender.send(message)
        except Exception as error:
            # Not handled here: the caller decides by the same error what becomes of the row.
            self._figures.failed(error)
            raise
        finally:
            self._figures.took(monotonic() - began)

    async def aclose(self) -> None:
        await self._sender.aclose()


class _Figures:
    """One provider's, made once: making them costs more than counting."""

    def __init__(self, channel: str, provider: str) -> None:
        meter = activity.metric_meter()
        labels = {"channel": channel, "provider": provider}
        errors = meter.create_counter(ERRORS, "Failed calls of a provider.")
        calls = meter.create_histogram_timedelta(CALLS, "Duration of a provider's calls.", "s")
        self._calls = calls.with_additional_attributes(labels)
        self._errors = {
            kind: errors.with_additional_attributes({**labels, "kind": kind})
            for kind in ("unreachable", "transient", "permanent", "unknown", "fault")
        }
        for counter in self._errors.values():
            # Seen from the start, so that the first error is a rise and not a beginning.
            counter.add(0)

    def failed(self, error: BaseException) -> None:
        kind = next((word for known, word in KINDS if isinstance(error, known)), "fault")
        self._errors[kind].add(1)

    def took(self, seconds: float) -> None:
        self._calls.record(timedelta(seconds=seconds))
