"""What staff are shown where they decide: the blast-radius card as data, in no chat's own form."""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from domain.audience import AudienceSummary
from domain.incident import IncidentState
from domain.message import FOR_ALL, Channel, DraftText, DraftVersion, Finding, Moment
from domain.policy import Policy
from domain.policy_base import format_duration

# Timeline lines that colleagues are shown where they work; each has a sentence of its own.
NudgeKind = Literal[
    "reminded", "escalated", "promise_reminder", "told", "war_room_opened", "war_room_by_hand",
    "not_engaged", "target_missed", "assessment_missing", "eta_passed", "extended_entered",
    "credits_proposed", "workaround_wanted",
    "maintenance_start_due", "overrun_question", "overrun_unanswered", "credit_considered",
    "objection",
]  # fmt: skip
MAINTENANCE_NUDGES = frozenset(
    {
        "maintenance_start_due", "overrun_question", "overrun_unanswered", "credit_considered",
        "objection",
    }
)  # fmt: skip


class Model(BaseModel):
    model_config = ConfigDict(frozen=True)


# ---------------------------------------------------------------- blast radius


class ChannelReach(Model):
    """Recipients (accounts for slack and teams) of a channel, and why others are left out there."""

    reached: int
    suppressed: dict[str, int]


class BlastRadius(Model):
    """Whom a message would reach: the audience at a glance and what each channel makes of it.

    `channels` holds the channels that have recipients of their own; a status page has none.
    `value` is the yearly revenue of the accounts touched, over those whose value is known.
    `age_limit` is the policy's, past which `summary.stale` warns.
    """

    summary: AudienceSummary
    channels: dict[str, ChannelReach]
    value: float
    accounts_without_value: int
    age_limit: str


# ---------------------------------------------------------------- cards and replies


class Outcome(Model):
    """How a question ended; `kind` names its sentence."""

    kind: Literal[
        "approved", "sent", "rejected", "superseded", "withdrawn", "confirmed", "dismissed",
        "closed_unconfirmed", "over",
    ]  # fmt: skip
    by: str | None = None
    reason: str | None = None
    version: int | None = None


class DraftCard(Model):
    """The part of a card that is about a draft version; `texts` as their readers will see them."""

    version: int
    hash: str
    moment: Moment
    number: int
    author: str
    audience_rule: str
    channels: tuple[Channel, ...]
    next_update_at: datetime | None
    asked_at: datetime
    approvals: tuple[str, ...]
    approvals_needed: int
    findings: tuple[Finding, ...]
    texts: tuple[DraftText, ...]
    radius: BlastRadius | None
    covers_holding_lines: bool
    only_those_told: bool
    suggested_until: datetime | None = None
    """When the holding line goes out in place of a suggested update."""
    over_cap: float | None = None
    """The share of all customers, where it is more than one person may decide on."""


class Card(Model):
    """A question to staff: does a customer feel it, or may this draft go out.

    With an `outcome` the question is over and nothing can be clicked any more. `version` and
    `moment` are the draft's. `mentions` are the chat's ids of whoever is asked.
    """

    key: str
    question: Literal["confirm", "decide"]
    incident_id: str
    title: str
    severity: str
    stage: str
    category: str
    components: tuple[str, ...]
    regions: tuple[str, ...]
    reasons: tuple[str, ...]
    affected_share: float | None
    started_at: datetime
    dry_run: bool
    url: str
    asked: str | None = None
    mentions: tuple[str, ...] = ()
    version: int | None = None
    moment: Moment | None = None
    draft: DraftCard | None = None
    outcome: Outcome | None = None


class Reply(Model):
    """A line under a card, or on its own where there is none: a reminder, an escalation."""

    key: str
    under: str | None
    kind: NudgeKind
    incident_id: str
    title: str
    url: str
    version: int | None = None
    due: datetime | None = None
    asked: str | None = None
    mentions: tuple[str, ...] = ()
    words: dict[str, str] = Field(default_factory=dict)
    """What else its sentence names: roles, facts that are missing, a channel, a target."""


def digest(shown: Card | Reply) -> str:
    """Names what is shown, so that the same is not shown twice."""
    return hashlib.sha256(shown.model_dump_json().encode()).hexdigest()[:32]


class Place(Model):
    """Where a post stands, in the chat's own names, and what it shows; `final` never changes."""

    place: str
    message: str
    digest: str
    final: bool


# ---------------------------------------------------------------- the case as it stands


class Nudge(Model):
    """A timeline line by which somebody is asked again."""

    key: str
    kind: NudgeKind
    version: int | None
    due: datetime | None
    who: str | None
    words: dict[str, str] = Field(default_factory=dict)


class Ended(Model):
    """A draft version that was shown and waits no longer; `newer` is the version after it."""

    version: int
    moment: Moment
    state: str
    decided_by: str | None
    allowed_by: str | None
    reason: str | None
    newer: int | None


class Closing(Model):
    """The timeline line that ended a suspicion."""

    kind: str
    actor: str
    reason: str | None


class Case(Model):
    """An incident as PostgreSQL knows it, with everything that a card may show of it."""

    incident_id: str
    title: str
    state: IncidentState
    policy: Policy
    draft: DraftVersion | None = None
    radius: BlastRadius | None = None
    nudges: tuple[Nudge, ...] = ()
    ended: tuple[Ended, ...] = ()
    suspicion_ended: Closing | None = None
    shown: frozenset[str] = frozenset()
    """Keys of what was posted already; only these get an outcome."""


def recipient_channels(channels: tuple[Channel, ...]) -> tuple[Channel, ...]:
    """Those that have recipients of their own."""
    return tuple(channel for channel in channels if channel not in FOR_ALL)


def age_limit(policy: Policy) -> str:
    """How old customer data may be, in words of the policy."""
    return format_duration(policy.audience.data_age_limit)


CONFIRM = "confirm"


def decide_key(version: int) -> str:
    """The key of a version's card."""
    return f"draft/{version}"
