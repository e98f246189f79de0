"""The steps of a broadcast: freeze the audience, send in rounds, settle."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, Field
from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.falling_back import adds_somebody, fallback_orders
from activities.liveness import heartbeats
from activities.round import (
    IN_FLIGHT,
    LEASE_SECONDS,
    ROUND_SECONDS,
    Budget,
    DeliverInput,
    DeliverResult,
    LedgerPort,
    RateLimiter,
    Round,
)
from activities.sending import Composer, Job, for_everybody
from domain.errors import NotFound, Refused
from domain.message import FOR_ALL, Channel, DraftVersion
from domain.ports import BroadcastSpec, ChannelCounts, Clock, Drafts, Policies, Sender

# Texts of one draft in all languages are some tens of kilobytes.
REMEMBERED_DRAFTS = 64


class OpenedBroadcast(BaseModel):
    """A frozen broadcast: its row id, and how many rows each channel has in which state.

    Whom a channel of `fallbacks` cannot reach may be told on another.
    """

    model_config = ConfigDict(frozen=True)

    broadcast_id: int
    counts: dict[Channel, ChannelCounts]
    fallbacks: tuple[Channel, ...] = ()


class FallBackInput(BaseModel):
    """A channel of a broadcast whose rows are settled."""

    model_config = ConfigDict(frozen=True)

    broadcast_id: int
    spec: BroadcastSpec
    channel: Channel


class FellBack(BaseModel):
    """How many rows stand in for a channel and still have to be sent, by channel."""

    model_config = ConfigDict(frozen=True)

    pending: dict[Channel, int] = Field(default_factory=dict)


class SettleInput(BaseModel):
    """Which broadcast to count and close."""

    model_config = ConfigDict(frozen=True)

    broadcast_id: int
    incident_id: str


class DeliverActivities:
    """Freezes, sends and settles broadcasts; one instance per worker."""

    def __init__(
        self,
        ledger: LedgerPort,
        composer: Composer,
        senders: Mapping[Channel, Sender],
        limiter: RateLimiter,
        policies: Policies,
        drafts: Drafts,
        clock: Clock,
        round_seconds: float = ROUND_SECONDS,
        lease_seconds: float = LEASE_SECONDS,
    ) -> None:
        self._ledger = ledger
        self._composer = composer
        self._senders = senders
        self._limiter = limiter
        self._policies = policies
        self._drafts = drafts
        self._clock = clock
        self._round_seconds = round_seconds
        self._lease_seconds = lease_seconds
        self._budgets: dict[Channel, Budget] = {}
        self._approved: OrderedDict[tuple[str, int, str], DraftVersion] = OrderedDict()

    @activity.defn(name="open_broadcast")
    async def open_broadcast(self, spec: BroadcastSpec) -> OpenedBroadcast:
        """Freeze the audience into ledger rows; again changes nothing. Refuses altered texts."""
        draft = await self._draft(spec)
        policy = await self._policies.by_hash(spec.policy_hash)
        orders = fallback_orders(spec, draft, policy, self._senders)
        async with heartbeats():
            try:
                broadcast_id = await self._ledger.open(
                    spec, policy, self._clock(), frozenset(self._senders), fallbacks=orders
                )
            except Refused as error:
                raise ApplicationError(str(error), type=error.kind, non_retryable=True) from error
            counts = await self._ledger.counts(broadcast_id)
        activity.logger.info("audience frozen: %d rows", sum(c.total for c in counts.values()))
        return OpenedBroadcast(
            broadcast_id=broadcast_id,
            counts=counts,
            fallbacks=tuple(c for c in counts if adds_somebody(spec, orders.get(c, ()))),
        )

    @activity.defn(name="fall_back")
    async def fall_back(self, work: FallBackInput) -> FellBack:
        """Have those whom a channel cannot reach told on the next one; again changes nothing."""
        spec = work.spec
        draft = await self._draft(spec)
        policy = await self._policies.by_hash(spec.policy_hash)
        order = fallback_orders(spec, draft, policy, self._senders).get(work.channel, ())
        async with heartbeats():
            pending = await self._ledger.fall_back(
                work.broadcast_id, spec, policy, work.channel, order, self._clock()
            )
        return FellBack(pending=pending)

    @activity.defn(name="deliver")
    async def deliver(self, work: DeliverInput) -> DeliverResult:
        """Send a channel's rows until none is left, or for a round; then say how to go on."""
        spec, channel = work.spec, work.channel
        sender = self._senders.get(channel)
        if sender is None:
            # The worker that froze the rows had this channel, this one has not.
            raise ApplicationError(f"no way out for {channel.value} here", type="not_configured")
        draft = await self._draft(spec)
        policy = await self._policies.by_hash(spec.policy_hash)
        shared: dict[str, object] = {}
        if channel in FOR_ALL or channel is Channel.IN_APP:
            shared = for_everybody(spec, work.broadcast_id, draft, channel, self._composer)
        job = Job(
            spec=spec,
            channel=channel,
            draft=draft,
            delivery=policy.delivery,
            composer=self._composer,
            sender=sender,
            shared=shared,
            clock=self._clock,
        )
        budget = self._budgets.setdefault(channel, Budget(IN_FLIGHT))
        async with heartbeats() as beat:
            ending = time.monotonic() + self._round_seconds
            return await Round(
                self._ledger, self._limiter, job, work, budget, beat, ending, self._lease_seconds
            ).run()

    @activity.defn(name="settle_broadcast")
    async def settle_broadcast(self, work: SettleInput) -> OpenedBroadcast:
        """Mark the broadcast finished and return its final counts."""
        async with heartbeats():
            if not await self._ledger.finish(work.broadcast_id, self._clock()):
                activity.logger.info("already settled by an earlier attempt")
            counts = await self._ledger.counts(work.broadcast_id)
        return OpenedBroadcast(broadcast_id=work.broadcast_id, counts=counts)

    async def _draft(self, spec: BroadcastSpec) -> DraftVersion:
        """The approved texts; what was approved is what the hash says, nothing else leaves.

        Found right once they stay right, so a broadcast's rounds on all its channels read them
        once.
        """
        key = (spec.incident_id, spec.version, spec.hash)
        if key in self._approved:
            return self._approved[key]
        try:
            draft = await self._drafts.load(spec.incident_id, spec.version)
        except NotFound as error:
            raise ApplicationError(str(error), type="not_found", non_retryable=True) from error
        if draft.hash != spec.hash:
            raise ApplicationError(
                f"draft {spec.version} of {spec.incident_id} is not the one that was approved",
                type="superseded",
                non_retryable=True,
            )
        self._approved[key] = draft
        if len(self._approved) > REMEMBERED_DRAFTS:
            self._approved.popitem(last=False)
        return draft
