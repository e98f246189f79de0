"""What the gateway is handed of the adapters: it may not import them itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from pydantic import SecretStr
from pydantic_settings import BaseSettings
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters import registry
from adapters.base import Monitor, MonitorSettings
from adapters.db.engine import make_engine
from adapters.db.intake import Accepted, Intake
from adapters.db.policies import PolicyStore
from domain.policy import Policy
from runtime.settings import load_settings

__all__ = [
    "Accepted",
    "Intake",
    "Monitor",
    "Source",
    "load_sources",
    "make_engine",
    "save_policy",
]


@dataclass(frozen=True)
class Source:
    """A monitor and its secret; without one its door stays shut."""

    monitor: Monitor
    secret: SecretStr | None


def load_sources(given: Mapping[str, str] | None = None) -> dict[str, Source]:
    """Every monitor with its secret from the environment, or from `given` by source name."""
    sources: dict[str, Source] = {}
    for spec in registry.monitors():
        settings: BaseSettings = load_settings(spec.settings)
        secret = settings.webhook_secret if isinstance(settings, MonitorSettings) else None
        if secret is None and given and given.get(spec.name):
            secret = SecretStr(given[spec.name])
        sources[spec.name] = Source(monitor=spec.build(settings), secret=secret)
    return sources


async def save_policy(engine: AsyncEngine, policy: Policy, source: str, now: datetime) -> bool:
    """Keep the policy under its hash, for the incidents that begin under it; True when new."""
    return await PolicyStore(engine).save(policy, source, now)
