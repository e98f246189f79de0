"""What a back-test writes down, as plain data: messages, promises, and the comparison."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from domain.incident import AudienceCount, Frozen, Stage
from domain.message import Channel, Moment
from domain.signal import Severity


class Crowd(Frozen):
    """Who would be reached: the audience, and recipients per channel (None: not known)."""

    audience: AudienceCount
    channels: dict[Channel, int | None]


class Sent(Frozen):
    """A message that would have gone out, and what let it out."""

    at: datetime
    moment: Moment
    number: int
    severity: Severity
    stage: Stage
    channels: tuple[Channel, ...]
    recipients: dict[Channel, int | None]
    gate: Literal["auto", "approved", "silence", "holding"]
    by: str
    to_customers: bool
    next_update_at: datetime | None


class Kept(Frozen):
    """A promise of a next update and what became of it."""

    made_at: datetime
    due: datetime
    state: Literal["kept", "missed", "superseded"]
    settled_at: datetime


class HumanAct(Frozen):
    """A person was asked, reminded, or the next one was asked."""

    at: datetime
    kind: str
    who: str


class ActualMessage(Frozen):
    """What the real operator told customers; `incident` is the name that the signals carry."""

    incident: str
    at: datetime
    stage: str


class Operator(Frozen):
    """Ours beside what the real operator did.

    `first_later_seconds`: our first message after theirs (negative: before); None where either
    told nobody. `gaps_in_rhythm` of `gaps`: pauses of theirs that kept `rhythm_seconds`, the
    rhythm that the policy promises at this severity; `gaps_in_shortest`: those that kept the
    shortest rhythm that it has at all.
    """

    messages: int
    first_at: datetime
    last_at: datetime
    first_later_seconds: int | None
    longest_silence_seconds: int
    rhythm_seconds: int | None
    gaps: int
    gaps_in_rhythm: int | None
    gaps_in_shortest: int | None


class Change(Frozen):
    """How one message differs under the other policy."""

    kind: Literal["added", "missing", "moved", "channels"]
    moment: Moment
    nth: int
    at: datetime | None = None
    other_at: datetime | None = None
    channels: tuple[Channel, ...] = ()
    other_channels: tuple[Channel, ...] = ()


class OtherPolicy(Frozen):
    """The same incident under the other policy, grouped from the same alerts or not."""

    severity: Severity
    category: str
    stage: Stage
    messages: tuple[Sent, ...]
    grouped_alike: bool
    changes: tuple[Change, ...]


class Told(Frozen):
    """One incident of the report."""

    key: str
    title: str
    recorded: tuple[str, ...]
    signals: int
    severity: Severity
    opened_as: Severity
    worst: Severity
    category: str
    components: tuple[str, ...]
    regions: tuple[str, ...]
    stage: Stage
    started_at: datetime
    opened_at: datetime
    confirmed_at: datetime | None
    resolved_at: datetime | None
    reasons: tuple[str, ...]
    accounts: int
    recipients: int
    messages: tuple[Sent, ...]
    promises: tuple[Kept, ...]
    asked: tuple[HumanAct, ...]
    longest_silence_seconds: int
    rhythm_seconds: int | None
    post_mortem_due: datetime | None
    remarks: tuple[str, ...]
    actual: tuple[ActualMessage, ...] = ()
    operator: Operator | None = None
    other: OtherPolicy | None = None

    @property
    def to_customers(self) -> tuple[Sent, ...]:
        """Messages that customers would have seen."""
        return tuple(message for message in self.messages if message.to_customers)

    @property
    def thread(self) -> tuple[Sent, ...]:
        """What customers would have read from the start to the all-clear, without the report."""
        return tuple(m for m in self.to_customers if m.moment is not Moment.POST_MORTEM)
