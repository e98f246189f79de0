"""What the steps need from the world: one role per port, few methods each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Protocol

from pydantic import BaseModel, ConfigDict, Field

from domain.cascade import TakeIn
from domain.incident import AudienceCount, IncidentState
from domain.locales import nearest
from domain.message import (
    PERSONAL,
    Channel,
    DraftText,
    DraftVersion,
    Facts,
    Finding,
    Moment,
    OutboundMessage,
    Receipt,
    Recipient,
)
from domain.policy import Policy
from domain.signal import AlertBatch

Clock = Callable[[], datetime]


class Model(BaseModel):
    model_config = ConfigDict(frozen=True)


# ------------------------------------------------------------------ incidents


class TimelineEntry(Model):
    """A line to write; `key` is unique in the incident and makes a retry harmless."""

    key: str
    at: datetime
    kind: str
    text: str
    actor: str
    customer_visible: bool = False
    data: dict[str, str] = Field(default_factory=dict)


class PromiseChange(Model):
    """A promise made (state open), kept, missed or superseded."""

    number: int
    made_at: datetime
    due: datetime
    kept_at: datetime | None = None
    state: str = "open"


class Decision(Model):
    """What a named person decided on a version."""

    version: int
    state: str
    decision: str | None = None
    by: str | None = None
    reason: str = ""
    at: datetime


class IncidentRecords(Protocol):
    """The incident's projection, timeline, promises and decisions in PostgreSQL."""

    async def record(
        self,
        state: IncidentState,
        now: datetime,
        timeline: Sequence[TimelineEntry],
        promises: Sequence[PromiseChange],
        decisions: Sequence[Decision],
        broadcasts: Sequence[BroadcastSpec] = (),
        links: Sequence[TakeIn] = (),
    ) -> None:
        """Write one step of an incident in one transaction; the same step twice is one.

        Raises Refused (`behind`) when a later step is recorded already, NotFound without a row."""
        ...

    async def note(self, note_id: str) -> str:
        """The human's words behind a note id."""
        ...


class SignalInbox(Protocol):
    async def batch_after(self, incident_id: str, watermark: int) -> AlertBatch | None:
        """The stored signals of an incident above a watermark as one batch; None for none."""
        ...


class TrustRecords(Protocol):
    """When customers were told that something said to them was wrong."""

    async def last_bad_send(self, category: str) -> datetime | None: ...


class Policies(Protocol):
    async def by_hash(self, policy_hash: str) -> Policy: ...


# ------------------------------------------------------------------ audience


class AudienceRule(Model):
    """Who is meant: components (with children), regions (none means all)."""

    components: tuple[str, ...]
    regions: tuple[str, ...]


class Audiences(Protocol):
    async def snapshot(
        self, incident_id: str, rule: AudienceRule, policy: Policy, now: datetime
    ) -> AudienceCount:
        """Save who is affected with reasons and exclusions; the same rule again grows the
        snapshot (same id) and never removes anybody."""
        ...

    async def is_fresh(self, audience_id: str, rule: AudienceRule, now: datetime) -> bool:
        """Whether this snapshot was taken under this rule within the last minute."""
        ...


# ------------------------------------------------------------------ drafts


class DraftRequest(Model):
    """What to write: the facts, and the channels and locales to write it for.

    `personal` are the locales of those who are written to one by one; None means all.
    """

    facts: Facts
    channels: tuple[Channel, ...]
    locales: tuple[str, ...]
    personal: tuple[str, ...] | None = None

    def locales_of(self, channel: Channel) -> tuple[str, ...]:
        """The languages that somebody may read on a channel; always the first."""
        if self.personal is None or channel not in PERSONAL:
            return self.locales
        read = {nearest(locale, self.locales) for locale in self.personal}
        return tuple(x for x in self.locales if x in read or x == self.locales[0])


class Drafter(Protocol):
    name: str

    async def write(self, request: DraftRequest, policy: Policy) -> tuple[DraftText, ...]:
        """One text per channel and locale, with frozen facts as placeholders."""
        ...


class Drafts(Protocol):
    async def save(self, draft: DraftVersion, request: str, *, supersede: bool) -> DraftVersion:
        """Store a version under the next free number; the same `request` returns what is there.

        `draft.version` is ignored on the way in and set on the way out. With `supersede`, earlier
        pending versions of the incident become superseded."""
        ...

    async def load(self, incident_id: str, version: int) -> DraftVersion: ...


# ------------------------------------------------------------------ ledger


class BroadcastSpec(Model):
    """An approved message and whom it is for; what `Broadcast` is started with (ids only)."""

    incident_id: str
    n: int
    version: int
    hash: str
    moment: Moment
    number: int
    severity: str
    stage: str
    category: str
    components: tuple[str, ...] = ()
    channels: tuple[Channel, ...]
    audience_id: str | None
    policy_hash: str
    allowed_by: str
    dry_run: bool = False
    next_update_at: datetime | None = None
    expires_at: datetime | None = None


class ChannelCounts(Model):
    """How many rows of a channel stand in each state; they add up to the audience."""

    pending: int = 0
    sending: int = 0
    sent: int = 0
    failed: int = 0
    suppressed: int = 0
    unknown: int = 0
    resent: int = 0

    @property
    def settled(self) -> bool:
        return self.pending == 0 and self.sending == 0

    @property
    def total(self) -> int:
        return (
            self.pending + self.sending + self.sent + self.failed + self.suppressed + self.unknown
        )


class Claim(Model):
    """Rows leased to one worker: send each only before `lease_until`, settle with its fence.

    By delivery id: `attempts` made before, and in `first` the number of the broadcast that first
    reached this recipient in this incident, or in the merged or split one that `first_in` names.
    `paused` says that the kill switch is on.
    """

    recipients: tuple[Recipient, ...]
    fences: dict[int, int]
    lease_until: datetime
    attempts: dict[int, int] = Field(default_factory=dict)
    first: dict[int, int] = Field(default_factory=dict)
    first_in: dict[int, str] = Field(default_factory=dict)
    paused: bool = False


class Remaining(Model):
    """What a channel still has to do; `next_at` is when the earliest put-off row may go."""

    pending: bool
    sending: bool
    next_at: datetime | None = None

    @property
    def nothing(self) -> bool:
        return not (self.pending or self.sending)


class Outcome(Model):
    """What became of one claimed row: sent, failed, suppressed, unknown, or pending again.

    `attempted` is False for a row that was given back untried; `resent` marks one that goes again
    although its last outcome is unknown.
    """

    delivery_id: int
    fence: int
    state: str
    provider_id: str | None = None
    reason: str | None = None
    text_hash: str | None = None
    retry_at: datetime | None = None
    sent_at: datetime | None = None
    attempted: bool = True
    resent: bool = False


class Sender(Protocol):
    """A channel's way out. Raises Permanent, Transient or OutcomeUnknown."""

    channel: Channel
    name: str

    async def send(self, message: OutboundMessage) -> Receipt: ...

    async def aclose(self) -> None: ...


class DeliveryLookup(Protocol):
    """A provider that can say whether it accepted a message with this key."""

    async def lookup(self, key: str) -> Receipt | None: ...


class Validator(Protocol):
    def __call__(self, draft: DraftText, facts: Facts, policy: Policy) -> Sequence[Finding]: ...


# ------------------------------------------------------------------ audit


class AuditLog(Protocol):
    async def append(
        self,
        kind: str,
        actor: str,
        body: dict[str, object],
        at: datetime,
        incident_id: str | None = None,
    ) -> int:
        """Add one entry to the chain and return its sequence number. No personal data in it."""
        ...
