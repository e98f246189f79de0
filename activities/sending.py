"""One claimed row: the message made of it, the attempt to send it, and what came of that."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from domain.errors import OutcomeUnknown, Permanent, Transient, Unreachable
from domain.message import (
    FOR_ALL,
    Channel,
    DraftText,
    DraftVersion,
    OutboundMessage,
    Recipient,
    message_key,
)
from domain.policy_sections import Delivery
from domain.ports import BroadcastSpec, Claim, Clock, Outcome, Sender

# What must be left of a lease after a send, so that its outcome is written while the lease holds.
SETTLE_SECONDS = 10.0


class Composer(Protocol):
    """Fills a draft for one recipient."""

    def compose(
        self,
        draft: DraftVersion,
        channel: Channel,
        recipient: Recipient,
        *,
        next_update_at: datetime | None,
        thread_key: str,
        key: str,
    ) -> OutboundMessage: ...

    def preview(self, draft: DraftVersion, channel: Channel, locale: str) -> DraftText: ...


def addressee(channel: Channel, recipient: Recipient) -> str:
    """The ledger's name of a row's recipient: contact, account or `*`."""
    if channel in FOR_ALL:
        return "*"
    return recipient.contact_id or recipient.account_id or "*"


def text_hash(message: OutboundMessage) -> str:
    """SHA-256 over what the recipient reads: subject, text and HTML, each behind its length."""
    digest = hashlib.sha256()
    for words in (message.subject, message.text, message.html):
        read = b"" if words is None else words.encode("utf-8", "replace")
        digest.update(b"-;" if words is None else b"%d;%b" % (len(read), read))
    return digest.hexdigest()


def backoff(delivery: Delivery, attempts: int, salt: int) -> timedelta:
    """Wait before the next attempt: doubling, capped, spread by up to a fifth per row."""
    base = delivery.retry_base.total_seconds() * 2 ** min(attempts, 30)
    seconds = min(base, delivery.retry_cap.total_seconds())
    return timedelta(seconds=seconds * (1 - 0.2 * (salt % 100) / 100))


def for_everybody(
    spec: BroadcastSpec,
    broadcast_id: int,
    draft: DraftVersion,
    channel: Channel,
    composer: Composer,
) -> dict[str, object]:
    """What a page or banner needs besides one recipient's text: all languages and the state."""
    if spec.next_update_at is not None:
        times = {**draft.facts.times, "next_update": spec.next_update_at}
        draft = draft.model_copy(update={"facts": draft.facts.model_copy(update={"times": times})})
    locales = dict.fromkeys(t.locale for t in draft.texts if t.channel is channel)
    texts = {
        locale: composer.preview(draft, channel, locale).model_dump(
            include={"subject", "text", "html"}
        )
        for locale in locales
    }
    return {
        "broadcast_id": broadcast_id,
        "n": spec.n,
        "stage": draft.facts.stage,
        "severity": spec.severity,
        "components": spec.components,
        "next_update_at": spec.next_update_at,
        "texts": texts,
    }


@dataclass
class Row:
    """A claimed row on its way; `until` is the lease's end on this process's own clock."""

    recipient: Recipient
    fence: int
    attempts: int
    first: int | None
    until: float
    first_in: str | None = None


def rows_of(claim: Claim, until: float) -> list[Row]:
    """The claim's rows, in the order they are to be sent."""
    return [
        Row(
            recipient=r,
            fence=claim.fences[r.delivery_id],
            attempts=claim.attempts.get(r.delivery_id, 0),
            first=claim.first.get(r.delivery_id),
            first_in=claim.first_in.get(r.delivery_id),
            until=until,
        )
        for r in claim.recipients
    ]


@dataclass
class Job:
    """All that the rows of one channel of one broadcast have in common."""

    spec: BroadcastSpec
    channel: Channel
    draft: DraftVersion
    delivery: Delivery
    composer: Composer
    sender: Sender
    shared: Mapping[str, object]
    clock: Clock

    async def send(self, row: Row) -> Outcome:
        """Send one row within its lease and say what came of it; never raises but on cancel."""
        left = row.until - time.monotonic() - SETTLE_SECONDS
        if left <= 0:
            return self.back(row)
        try:
            message = self._message(row)
        except Permanent as error:
            return self._outcome(row, "failed", error.reason)
        # Nothing has left yet: the row is tried again by the ledger, up to the policy's limit.
        except Exception as error:
            return self._again(row, f"not composed: {type(error).__name__}")
        try:
            async with asyncio.timeout(left):
                receipt = await self.sender.send(message)
        except Permanent as error:
            return self._outcome(row, "failed", error.reason)
        except Unreachable as error:
            # However long the provider is away, only the message's own expiry ends the waiting.
            return self._later(row, error.reason, error.retry_after)
        except Transient as error:
            return self._again(row, error.reason, error.retry_after)
        except OutcomeUnknown as error:
            return self._unknown(row, error.reason)
        except TimeoutError:
            return self._unknown(row, "no answer within the lease")
        # A fault of an adapter that names no outcome: this row is retried or held as policy says,
        # and the rest of the batch goes on. Its text may hold an address, its type does not.
        except Exception as error:
            return self._unknown(row, f"unexpected {type(error).__name__}")
        return Outcome(
            delivery_id=row.recipient.delivery_id,
            fence=row.fence,
            state="sent",
            provider_id=receipt.provider_id,
            text_hash=text_hash(message),
            sent_at=self.clock(),
        )

    def back(self, row: Row) -> Outcome:
        """The row given back untried."""
        return self._outcome(row, "pending").model_copy(update={"attempted": False})

    def _message(self, row: Row) -> OutboundMessage:
        name = addressee(self.channel, row.recipient)
        key = message_key(self.spec.incident_id, self.spec.n, self.channel, name)
        thread = key
        if row.first is not None:
            began = row.first_in or self.spec.incident_id
            thread = message_key(began, row.first, self.channel, name)
        message = self.composer.compose(
            self.draft,
            self.channel,
            row.recipient,
            next_update_at=self.spec.next_update_at,
            thread_key=thread,
            key=key,
        )
        if not self.shared:
            return message
        return message.model_copy(update={"metadata": {**message.metadata, **self.shared}})

    def _again(self, row: Row, reason: str, retry_after: float | None = None) -> Outcome:
        if row.attempts + 1 >= self.delivery.max_attempts:
            return self._outcome(row, "failed", reason)
        return self._later(row, reason, retry_after)

    def _later(self, row: Row, reason: str, retry_after: float | None = None) -> Outcome:
        wait = backoff(self.delivery, row.attempts, row.recipient.delivery_id)
        if retry_after is not None:
            cap = self.delivery.retry_cap
            wait = max(wait, min(timedelta(seconds=retry_after), cap))
        return self._outcome(row, "pending", reason).model_copy(
            update={"retry_at": self.clock() + wait}
        )

    def _unknown(self, row: Row, reason: str) -> Outcome:
        again = self.delivery.on_unknown.get(self.channel, "hold") == "resend"
        if not again or row.attempts + 1 >= self.delivery.max_attempts:
            return self._outcome(row, "unknown", reason)
        return self._again(row, reason).model_copy(update={"resent": True})

    def _outcome(self, row: Row, state: str, reason: str | None = None) -> Outcome:
        return Outcome(
            delivery_id=row.recipient.delivery_id, fence=row.fence, state=state, reason=reason
        )
