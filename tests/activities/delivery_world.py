"""What the delivery tests share: a provider in memory, a plain composer, a fixed draft."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncEngine

from activities.deliver import DeliverActivities
from adapters.db.ledger import Ledger
from adapters.db.rate_limits import RateLimits
from domain.message import (
    Channel,
    DraftText,
    DraftVersion,
    Facts,
    Moment,
    OutboundMessage,
    Receipt,
    Recipient,
)
from domain.policy import Policy
from domain.ports import Sender

Behaviour = Callable[[OutboundMessage, int], Exception | float | None]


class Provider:
    """Accepts messages in memory; `behaviour(message, attempt)` may fail or slow one down."""

    name = "memory"

    def __init__(
        self, channel: Channel = Channel.EMAIL, behaviour: Behaviour | None = None
    ) -> None:
        self.channel = channel
        self.behaviour = behaviour
        self.accepted: list[OutboundMessage] = []
        self.attempts: Counter[str] = Counter()

    async def send(self, message: OutboundMessage) -> Receipt:
        self.attempts[message.key] += 1
        verdict = self.behaviour(message, self.attempts[message.key]) if self.behaviour else None
        if isinstance(verdict, Exception):
            raise verdict
        await asyncio.sleep(verdict or 0)
        self.accepted.append(message)
        return Receipt(provider_id=f"id-{message.key}")

    async def aclose(self) -> None:
        return None

    @property
    def received(self) -> Counter[str | None]:
        """Contact → messages accepted."""
        return Counter(m.recipient.contact_id for m in self.accepted)


class PlainComposer:
    def compose(
        self,
        draft: DraftVersion,
        channel: Channel,
        recipient: Recipient,
        *,
        next_update_at: datetime | None,
        thread_key: str,
        key: str,
    ) -> OutboundMessage:
        return OutboundMessage(
            key=key,
            thread=thread_key,
            incident_id=draft.incident_id,
            moment=draft.moment,
            channel=channel,
            recipient=recipient,
            subject="Notice",
            text=f"{draft.texts[0].text} {recipient.name}",
        )

    def preview(self, draft: DraftVersion, channel: Channel, locale: str) -> DraftText:
        return next(t for t in draft.texts if (t.channel, t.locale) == (channel, locale))


class OneDraft:
    """Every version of every incident has the same words; its hash is `hash<version>`."""

    async def save(self, draft: DraftVersion, request: str, *, supersede: bool) -> DraftVersion:
        raise NotImplementedError

    async def load(self, incident_id: str, version: int) -> DraftVersion:
        at = datetime(2026, 3, 10, 14, 0, tzinfo=UTC)
        return DraftVersion(
            incident_id=incident_id,
            version=version,
            moment=Moment.INITIAL,
            number=1,
            texts=tuple(
                DraftText(channel=c, locale=locale, text=f"Payments fail ({c}, {locale})")
                for c in Channel
                for locale in ("en", "de")
            ),
            facts=Facts(
                incident_id=incident_id,
                moment=Moment.INITIAL,
                severity="P1",
                stage="investigating",
                category="local_degradation",
            ),
            audience_rule="payments",
            hash=f"hash{version}",
            created_at=at,
        )


class OnePolicy:
    def __init__(self, policy: Policy) -> None:
        self.policy = policy

    async def by_hash(self, policy_hash: str) -> Policy:
        return self.policy


class MovableClock:
    def __init__(self, now: datetime) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def move(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


def unlimited(policy: Policy, **changes: object) -> Policy:
    """The policy without rate limits, with some delivery figures changed."""
    delivery = policy.delivery.model_copy(update={"rate_per_minute": {}, **changes})
    return policy.model_copy(update={"delivery": delivery})


def activities_of(
    engine: AsyncEngine,
    policy: Policy,
    senders: Mapping[Channel, Sender],
    clock: Callable[[], datetime],
    **options: float,
) -> DeliverActivities:
    return DeliverActivities(
        Ledger(engine),
        PlainComposer(),
        senders,
        RateLimits(engine),
        OnePolicy(policy),
        OneDraft(),
        clock,
        **options,
    )
