"""What the gateway is handed of the adapters: it may not import them itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import SecretStr
from pydantic_settings import BaseSettings

from adapters import registry
from adapters.base import Monitor, MonitorSettings
from adapters.chat.cards import ACTIONS as SLACK_ACTIONS
from adapters.chat.cards import REASON as SLACK_REASON
from adapters.chat.mrkdwn import line as chat_line
from adapters.chat.slack import Slack, SlackSettings
from adapters.chat.words import card_words
from adapters.db.engine import make_engine
from adapters.db.intake import Intake
from adapters.db.signal_rows import Accepted
from adapters.db.slack_inbox import DueAction, SlackAction, SlackInbox
from runtime.settings import load_settings

__all__ = [
    "SLACK_ACTIONS",
    "SLACK_REASON",
    "Accepted",
    "DueAction",
    "Intake",
    "Monitor",
    "Slack",
    "SlackAction",
    "SlackInbox",
    "Source",
    "card_words",
    "chat_line",
    "load_slack",
    "load_sources",
    "make_engine",
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


def load_slack() -> Slack:
    """Slack as the environment describes it; without a signing secret it lets nobody in."""
    return Slack(load_settings(SlackSettings))
