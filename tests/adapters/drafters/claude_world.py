"""What the tests of the model's drafts share: facts, a drafter, a budget in memory."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from adapters.drafters.claude import Claude, ClaudeSettings
from adapters.drafters.claude_asking import Budget, Writing
from adapters.drafters.claude_brief import Briefing
from adapters.drafters.claude_drafter import ClaudeDrafter
from adapters.drafters.claude_layout import Layout
from adapters.drafters.templates import TemplateDrafter
from domain.message import Channel, DraftText, Facts, Finding, Moment
from domain.policy import Policy
from domain.ports import DraftRequest
from domain.validation import validate_text
from tests.adapters.drafters.fake_claude import KEY, FakeClaude

CONTENT = Path(__file__).parents[3] / "content"
AT = datetime(2026, 11, 21, 9, 5, tzinfo=UTC)
URL = "https://status.acme.example"
INCIDENT = "inc_abcdefghijkl"
CUSTOMERS = tuple(c for c in Channel if c is not Channel.INTERNAL)


def facts(policy: Policy, moment: Moment = Moment.INITIAL, **changes: Any) -> Facts:
    """Two components in Europe, with everything that is known of them."""
    components = ("payments", "integrations")
    values: dict[str, Any] = {
        "incident_id": INCIDENT, "moment": moment, "number": 3, "severity": "P1",
        "stage": "investigating", "category": "local_degradation", "components": components,
        "component_names": {
            locale: [policy.component(key).names[locale] for key in components]
            for locale in policy.locales
        },
        "regions": ["eu"],
        "times": {"impact_start": AT, "next_update": AT + timedelta(minutes=30)},
        "numbers": {"share_percent": 12.5},
        "links": {"status": URL, "incident": f"{URL}/incidents/{INCIDENT}"},
    }  # fmt: skip
    return Facts.model_validate(values | changes)


def settings(api: FakeClaude, **changes: object) -> ClaudeSettings:
    given: dict[str, object] = {"api_key": KEY, "base_url": api.url, "timeout": 60}
    return ClaudeSettings.model_validate(given | changes)


@cache
def templates() -> TemplateDrafter:
    """Read once: reading and compiling them takes longer than a test."""
    return TemplateDrafter(CONTENT)


@cache
def words() -> tuple[Briefing, Layout]:
    """Read once, as well."""
    return Briefing(CONTENT), Layout(CONTENT)


class Purse:
    """A budget in memory that remembers how each draft ended."""

    def __init__(self) -> None:
        self.spent = 0
        self.reserved: list[int] = []
        self.ended: list[tuple[str, int, tuple[Finding, ...]]] = []

    async def reserve(
        self, incident_id: str, request: str, model: str, tokens: int, limit: int, now: datetime
    ) -> bool:
        if self.spent + tokens > limit:
            return False
        self.spent += tokens
        self.reserved.append(tokens)
        return True

    async def record(
        self,
        incident_id: str,
        request: str,
        model: str,
        *,
        outcome: str,
        attempts: int,
        unused: int,
        findings: Sequence[Finding],
        now: datetime,
    ) -> None:
        self.spent -= unused
        self.ended.append((outcome, attempts, tuple(findings)))


class Alerts:
    """Titles as the monitors sent them."""

    def __init__(self, *titles: str) -> None:
        self._titles = titles

    async def of(self, incident_id: str) -> tuple[str, ...]:
        return self._titles


class Desk:
    """A drafter that asks the server, and what the templates wrote before it."""

    def __init__(self, api: FakeClaude, policy: Policy, **changes: object) -> None:
        self.policy = policy
        self.purse = Purse()
        self.settings = settings(api, **changes)
        self.base: tuple[DraftText, ...] = ()

    async def write(
        self,
        what: Facts | None = None,
        *titles: str,
        locales: tuple[str, ...] = ("en", "de"),
        channels: tuple[Channel, ...] = CUSTOMERS,
        budget: Budget | None = None,
    ) -> Writing:
        writing = await self.maybe(what, *titles, locales=locales, channels=channels, budget=budget)
        assert writing is not None
        return writing

    async def maybe(
        self,
        what: Facts | None = None,
        *titles: str,
        locales: tuple[str, ...] = ("en", "de"),
        channels: tuple[Channel, ...] = CUSTOMERS,
        budget: Budget | None = None,
    ) -> Writing | None:
        known = what or facts(self.policy)
        request = DraftRequest(facts=known, channels=channels, locales=locales)
        self.base = await templates().write(request, self.policy)
        claude = Claude(self.settings)
        claude.open()
        drafter = ClaudeDrafter(
            claude,
            self.settings,
            *words(),
            budget or self.purse,
            Alerts(*titles),
            validate_text,
            lambda: AT,
        )
        try:
            return await drafter.write(request, self.policy, self.base, "draft-1")
        finally:
            await drafter.aclose()
