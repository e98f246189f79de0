"""Broadcasts by the real workflow, ledger and SMTP sender, on servers that a test may break."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.client import Client, WorkflowHandle
from temporalio.worker import Worker

from activities.deliver import DeliverActivities
from activities.round import LEASE_SECONDS
from adapters.db.ledger import Ledger
from adapters.db.rate_limits import RateLimits
from domain.message import Channel, DraftVersion, OutboundMessage, Recipient
from domain.policy import Policy
from domain.ports import BroadcastSpec, ChannelCounts, Sender
from runtime.temporal import sandbox_runner
from tests.activities.delivery_world import OneDraft, OnePolicy, PlainComposer, unlimited
from tests.adapters.db.ledger_world import audience, customers, incident
from workflows import names
from workflows.broadcast import Broadcast, BroadcastResult

Handle = WorkflowHandle[Broadcast, BroadcastResult]


class MailComposer(PlainComposer):
    """Adds what a mail needs besides its words."""

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
        message = super().compose(
            draft,
            channel,
            recipient,
            next_update_at=next_update_at,
            thread_key=thread_key,
            key=key,
        )
        return message.model_copy(update={"metadata": {"from_email": "status@acme.example"}})


class SendingWorld:
    """An incident with an audience, and workers that send to it."""

    def __init__(self, engine: AsyncEngine, policy: Policy, client: Client | None = None) -> None:
        self.engine = engine
        # Waits of milliseconds, so that eight attempts pass within a test.
        self.policy = unlimited(
            policy, retry_base=timedelta(milliseconds=100), retry_cap=timedelta(milliseconds=400)
        )
        self.client = client
        self.moved = timedelta(0)
        self.lease_seconds = LEASE_SECONDS
        self.ledger = Ledger(engine)

    def change(self, **delivery: Any) -> None:
        """Change figures of the policy's delivery."""
        self.policy = unlimited(self.policy, **delivery)

    def now(self) -> datetime:
        return datetime.now(UTC) + self.moved

    async def customers(self, number: int) -> None:
        await incident(self.engine, self.now())
        await customers(self.engine, self.now(), number)
        await audience(self.engine, self.now(), range(number))

    def activities(self, senders: Mapping[Channel, Sender]) -> DeliverActivities:
        return DeliverActivities(
            Ledger(self.engine),
            MailComposer(),
            senders,
            RateLimits(self.engine),
            OnePolicy(self.policy),
            OneDraft(),
            self.now,
            lease_seconds=self.lease_seconds,
        )

    @asynccontextmanager
    async def working(self, senders: Mapping[Channel, Sender]) -> AsyncIterator[None]:
        """A worker for the broadcast and its steps; the senders are closed with it."""
        assert self.client is not None
        steps = self.activities(senders)
        worker = Worker(
            self.client,
            task_queue=names.QUEUE_DELIVERY,
            workflows=[Broadcast],
            workflow_runner=sandbox_runner(),
            activities=[
                steps.open_broadcast,
                steps.deliver,
                steps.fall_back,
                steps.settle_broadcast,
            ],
        )
        async with AsyncExitStack() as stack:
            for sender in senders.values():
                stack.push_async_callback(sender.aclose)
            await stack.enter_async_context(worker)
            yield

    async def start(self, given: BroadcastSpec) -> Handle:
        assert self.client is not None
        return await self.client.start_workflow(
            Broadcast.run,
            given,
            # The test's own: all of them share one Temporal.
            id=f"{names.broadcast_workflow_id(given.incident_id, given.n)}/{id(self)}",
            task_queue=names.QUEUE_DELIVERY,
        )

    async def counts(
        self, broadcast_id: int = 1, channel: Channel = Channel.EMAIL
    ) -> ChannelCounts:
        return (await self.ledger.counts(broadcast_id)).get(channel, ChannelCounts())

    async def rows(self, columns: str, where: str = "true") -> list[Any]:
        async with self.engine.connect() as conn:
            query = text(f"SELECT {columns} FROM deliveries WHERE {where} ORDER BY id")
            return list(await conn.execute(query))


async def until(what: str, look: Callable[[], Awaitable[Any]], seconds: float = 30) -> Any:
    """Look again until something is found."""
    try:
        async with asyncio.timeout(seconds):
            while not (found := await look()):  # noqa: ASYNC110 - servers change it, not tasks
                await asyncio.sleep(0.02)
            return found
    except TimeoutError:
        raise AssertionError(f"{what}: not within {seconds} s") from None
