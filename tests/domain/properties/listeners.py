"""Simulated customers and a ledger in memory: who heard what, on which channel."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from domain.actions import Broadcast
from domain.message import CLOSING, FOR_ALL, PER_ACCOUNT, Channel, Moment
from domain.step import STAFF_CHANNELS

EVERYBODY = "*"
# These go to those who were told and to nobody else.
TOLD_ONLY = CLOSING | {Moment.POST_MORTEM}


@dataclass(frozen=True)
class Contact:
    """Somebody who can be told; `uses` and `region` decide which incidents concern them."""

    name: str
    account: str
    uses: frozenset[str]
    region: str
    channels: frozenset[Channel]


_PER_CONTACT = (Channel.EMAIL, Channel.IN_APP)
CONTACTS = (
    Contact(
        "ada",
        "north",
        frozenset({"payments", "dashboard"}),
        "eu",
        frozenset({*_PER_CONTACT, Channel.SMS, Channel.SLACK}),
    ),
    Contact("bo", "north", frozenset({"payments"}), "eu", frozenset({Channel.EMAIL})),
    Contact(
        "cem",
        "south",
        frozenset({"dashboard"}),
        "us",
        frozenset({*_PER_CONTACT, Channel.TEAMS}),
    ),
    Contact("dee", "west", frozenset({"payments"}), "us", frozenset({Channel.IN_APP})),
)


@dataclass(frozen=True)
class Heard:
    """One row of the ledger; `sent` is False where the recipient had opted out before."""

    step: int
    at: datetime
    recipient: str
    channel: Channel
    moment: Moment
    number: int
    version: int
    sent: bool


@dataclass
class Ledger:
    """Freezes audiences as the real one does: the ends go to those who were told."""

    rows: list[Heard] = field(default_factory=list)
    opted_out: set[tuple[str, Channel]] = field(default_factory=set)
    audiences: dict[str, frozenset[str]] = field(default_factory=dict)
    doubted: set[tuple[str, Channel]] = field(default_factory=set)
    """Whether they were told nobody knows since a loss: they count as told."""
    _taken: dict[str, datetime] = field(default_factory=dict)
    _losses: int = 0

    def snapshot(self, components: tuple[str, ...], regions: tuple[str, ...], at: datetime) -> str:
        """The id of the audience of these components and regions; no region means all."""
        found = frozenset(
            c.name
            for c in CONTACTS
            if c.uses & set(components) and (not regions or c.region in regions)
        )
        names = "_".join(sorted(found))
        for losses in range(self._losses + 1):
            saved = f"aud{losses}_{names}"
            if saved in self.audiences:
                return saved
        key = f"aud{self._losses}_{names}"
        self.audiences[key] = found
        self._taken[key] = at
        return key

    def lose_audiences(self, since: datetime) -> frozenset[str]:
        """Those taken after an instant are gone; the same ones taken anew have another id."""
        self._losses += 1
        lost = frozenset(key for key, at in self._taken.items() if at > since)
        for key in lost:
            del self.audiences[key], self._taken[key]
        return lost

    def doubt(self, broadcast: Broadcast, audience_id: str | None) -> None:
        """The rows of a broadcast are gone: whoever may have got it counts as told."""
        meant = broadcast.model_copy(update={"audience_id": audience_id})
        for channel in broadcast.channels:
            found = {(name, channel) for name in self._recipients(meant, channel)}
            self.doubted |= found - self.opted_out

    def send(self, broadcast: Broadcast, step: int, at: datetime) -> dict[str, int]:
        """Write a row per recipient and channel; answers with the counts by state."""
        counts = {"sent": 0, "suppressed": 0}
        for channel in broadcast.channels:
            for recipient in sorted(self._recipients(broadcast, channel)):
                sent = (recipient, channel) not in self.opted_out
                counts["sent" if sent else "suppressed"] += 1
                self.rows.append(
                    Heard(
                        step,
                        at,
                        recipient,
                        channel,
                        broadcast.moment,
                        broadcast.number,
                        broadcast.version,
                        sent,
                    )
                )
        return counts

    def _recipients(self, broadcast: Broadcast, channel: Channel) -> set[str]:
        told = {row.recipient for row in self.rows if row.channel is channel and row.sent}
        told |= {name for name, doubtful in self.doubted if doubtful is channel}
        if broadcast.moment in TOLD_ONLY and channel is not Channel.INTERNAL:
            return told
        if broadcast.moment is Moment.EXECUTIVE and channel not in FOR_ALL:
            return set()
        if channel in FOR_ALL:
            return {EVERYBODY}
        names = self.audiences.get(broadcast.audience_id or "", frozenset())
        members = {
            contact.account if channel in PER_ACCOUNT else contact.name
            for contact in CONTACTS
            if contact.name in names and channel in contact.channels
        }
        return members if broadcast.moment is Moment.INITIAL else members | told


def for_customers(broadcast: Broadcast) -> bool:
    """Whether anybody but the staff reads it."""
    return bool(set(broadcast.channels) - STAFF_CHANNELS)
