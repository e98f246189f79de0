"""The gateway as it is put together for real, on a Temporal server that may be away."""

from __future__ import annotations

from pydantic import SecretStr
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.policy import Policy
from gateway.deps import Deps
from runtime.doors import Intake, Source, load_sources
from runtime.relay import Relay, TemporalLink
from runtime.temporal import connect

SECRET = SecretStr("the-webhook-secret")


def deps_on(engine: AsyncEngine, policy: Policy, address: str) -> Deps:
    """What `create_app` needs; `address` is Temporal's."""
    link = TemporalLink(lambda: connect(address), connect_seconds=2)
    intake = Intake(engine)
    return Deps(
        engine=engine,
        policy=policy,
        public_url="http://testserver",
        secret_key=SecretStr("k" * 32),
        sources={name: Source(s.monitor, SECRET) for name, s in load_sources().items()},
        intake=intake,
        temporal=link,
        relay=Relay(intake, link, policy),
    )
