"""The real worker, but that its mails go nowhere; takes the arguments of worker.py.

python -m benchmarks.parts.null_worker
"""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncEngine

import worker
from domain.message import Channel, OutboundMessage, Receipt
from domain.policy import Policy
from domain.ports import Sender
from runtime import wiring


class NullSender:
    """Takes every mail at once and forgets it."""

    channel = Channel.EMAIL
    name = "null"

    async def send(self, message: OutboundMessage) -> Receipt:
        return Receipt(provider_id=message.key)

    async def check(self) -> str:
        return "takes everything"

    async def aclose(self) -> None:
        return None


def build_senders(engine: AsyncEngine, policy: Policy) -> dict[Channel, Sender]:
    """In place of those that the environment describes."""
    return {Channel.EMAIL: NullSender()}


if __name__ == "__main__":
    wiring.build_senders = build_senders
    worker.main()
