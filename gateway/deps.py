"""What the doors are built from; put together in one place, handed to every router."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property

from pydantic import SecretStr
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.converter import PayloadCodec

from domain.policy import Policy
from runtime.doors import Intake, Slack, Source
from runtime.relay import Relay, TemporalLink
from runtime.temporal import configured_codec


def utc_now() -> datetime:
    """The present instant, aware."""
    return datetime.now(UTC)


@dataclass(frozen=True)
class Deps:
    """The gateway's dependencies. `now` is the clock, so that tests can move it."""

    engine: AsyncEngine
    policy: Policy
    public_url: str
    secret_key: SecretStr
    sources: Mapping[str, Source]
    intake: Intake
    temporal: TemporalLink
    relay: Relay
    dry_run: bool = False
    temporal_ui: str | None = None
    temporal_namespace: str = "default"
    slack: Slack | None = None
    payload_codec: PayloadCodec | None = field(default_factory=configured_codec)
    now: Callable[[], datetime] = field(default=utc_now)

    @cached_property
    def policy_hash(self) -> str:
        """The hash that names the policy in rows and workflows."""
        return self.policy.hash
