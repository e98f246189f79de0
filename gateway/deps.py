"""What the doors are built from; put together in one place, handed to every router."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

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


@dataclass(eq=False)
class Deps:
    """The gateway's dependencies. `now` is the clock, so that tests can move it.

    `policy_source` is the file that the policy was read from. Only `policy` changes, by `adopt`:
    read it where it is needed, or `follow` it.
    """

    engine: AsyncEngine
    policy: Policy
    public_url: str
    secret_key: SecretStr
    sources: Mapping[str, Source]
    intake: Intake
    temporal: TemporalLink
    relay: Relay
    policy_source: str = "gateway"
    dry_run: bool = False
    temporal_ui: str | None = None
    temporal_namespace: str = "default"
    slack: Slack | None = None
    payload_codec: PayloadCodec | None = field(default_factory=configured_codec)
    now: Callable[[], datetime] = field(default=utc_now)

    _followers: list[Callable[[Policy], None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        # Kept: it takes a millisecond to compute, and every alert asks for it.
        self.policy_hash = self.policy.hash

    def follow(self, adopt: Callable[[Policy], None]) -> None:
        """Have somebody who keeps a policy told of the next one."""
        self._followers.append(adopt)

    def adopt(self, policy: Policy) -> None:
        """Let another policy rule from now on, everywhere in the gateway at once."""
        self.policy, self.policy_hash = policy, policy.hash
        self.relay.adopt(policy)
        for tell in self._followers:
            tell(policy)
