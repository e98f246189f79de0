"""The incident as data: all that it remembers between two events."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from domain.cascade import Merging, Splitting
from domain.message import Channel, Moment
from domain.signal import Severity


class Stage(StrEnum):
    SUSPECTED = "suspected"
    INVESTIGATING = "investigating"
    IDENTIFIED = "identified"
    MONITORING = "monitoring"
    RESOLVED = "resolved"
    CLOSED = "closed"
    DISMISSED = "dismissed"
    FALSE_ALARM = "false_alarm"
    # Of planned work.
    SCHEDULED = "scheduled"
    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    CANCELLED = "cancelled"


ACTIVE = frozenset({Stage.INVESTIGATING, Stage.IDENTIFIED, Stage.MONITORING})
OVER = frozenset(
    {Stage.CLOSED, Stage.DISMISSED, Stage.FALSE_ALARM, Stage.COMPLETED, Stage.CANCELLED}
)


# What the plan does has changed over time: a run goes on by the edition that it began under.
EDITION = 4


# What a human may state in words, beside times and figures; the keys of `Facts.notes`.
STATED = ("cause", "workaround", "fixed", "prevention")


class PostMortemState(StrEnum):
    NONE = "none"
    DUE = "due"
    DRAFTED = "drafted"
    PUBLISHED = "published"
    COMPLETED = "completed"
    NOT_REQUIRED = "not_required"


class TimerKind(StrEnum):
    PROMISE = "promise"
    PROMISE_REMINDER = "promise_reminder"
    APPROVAL_REMINDER = "approval_reminder"
    APPROVAL_ESCALATION = "approval_escalation"
    STABILITY = "stability"
    REOPEN_WINDOW = "reopen_window"
    CONFIRMATION = "confirmation"
    ENGAGE = "engage"
    ASSESSMENT = "assessment"
    ETA = "eta"
    EXTENDED = "extended"
    EXECUTIVE = "executive"
    RESOLUTION_TARGET = "resolution_target"
    MAINTENANCE_REMINDER = "maintenance_reminder"
    MAINTENANCE_START = "maintenance_start"
    OVERRUN_QUESTION = "overrun_question"
    OVERRUN_REPEAT = "overrun_repeat"
    MAINTENANCE_END = "maintenance_end"
    CREDIT = "credit"


class Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)


class AudienceCount(Frozen):
    """The snapshot's size; `share` is affected ÷ active accounts, None when unknown."""

    audience_id: str | None = None
    accounts: int = 0
    recipients: int = 0
    active_accounts: int | None = None
    share: float | None = None
    share_of_customers: float | None = None
    locales: tuple[str, ...] | None = None
    """The languages of its recipients, as they stand there; None when nobody asked."""


class Pending(Frozen):
    """A draft version that waits for a decision."""

    draft: int
    moment: Moment
    number: int
    hash: str
    channels: tuple[Channel, ...]
    audience: AudienceCount = AudienceCount()
    next_update_at: datetime | None = None
    promised: datetime | None = None
    """The promised time that had passed when it was written: it admits that."""
    promise_is_literal: bool = False
    invalid: bool = False
    note_id: str | None = None
    """The human's words in it: should it be written anew, they are not lost."""
    stage: Stage
    asked_at: datetime
    approvals: tuple[str, ...] = ()
    approvals_needed: int = 1
    escalation_level: int = 0
    suggested: bool = False
    """Written for the commander to edit: nobody is pressed, and it lapses with its promise."""
    edited: bool = False


class Promise(Frozen):
    """The open "next update by"; kept when a message goes out at or before `due`.

    `channels` carried it: what keeps it goes to all of them that customers were told on, whatever
    the severity is by then.
    """

    number: int
    channels: tuple[Channel, ...] = ()
    made_at: datetime
    due: datetime


class PostMortemOffer(Frozen):
    """A post-mortem draft that waits to be put before its reviewers."""

    version: int
    hash: str
    invalid: bool = False


class Draft(Frozen):
    """Write the texts of a moment and answer with `Drafted` carrying the same `request`."""

    kind: Literal["draft"] = "draft"
    request: int
    moment: Moment
    number: int
    channels: tuple[Channel, ...]
    stage: Stage
    holding: bool = False
    note_id: str | None = None
    next_update_at: datetime | None = None
    promised: datetime | None = None
    """The promised time that has passed unkept: the message admits it."""
    beside: bool = False
    """It leaves what waits for a decision as it is."""
    form: Literal["unchanged", "personal"] | None = None
    """Of an executive note: nothing new to say, or meant to be sent on by an executive."""
    keeps: int | None = None
    """The promise that a holding line or a suggested update is for."""


class IncidentState(Frozen):
    """All that the incident remembers between two events; carried through continue-as-new."""

    id: str
    edition: int = 0
    severity: Severity
    severity_by_human: bool = False
    severity_stated: bool = False
    regions_by_human: bool = False
    regions_seen: tuple[str, ...] = ()
    """Regions that monitors named: those that a human names are held against them."""
    regions_accepted: tuple[str, ...] = ()
    """Regions that an approver let out although the signals do not bear them out."""
    stage: Stage = Stage.SUSPECTED
    category: str
    components: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()
    affected_share: float | None = None
    stated: dict[str, str] = Field(default_factory=dict)
    """What a human stated, by key of `STATED`: the id of the row that holds the words."""
    eta: datetime | None = None
    credits: dict[str, str] = Field(default_factory=dict)
    """Approved SLA credits in percent of the monthly fee, by plan, or "*" for all alike."""
    proposing: int = 0
    """How often credits are being worked out."""
    started_at: datetime
    opened_at: datetime
    confirmed_at: datetime | None = None
    resolved_at: datetime | None = None
    dry_run: bool = False
    people: dict[str, str] = Field(default_factory=dict)
    """Role → who took it over for this incident; asked before those whom the policy names."""
    watermark: int = 0
    firing: int = 0
    firing_sources: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    policy_hash: str | None = None
    """The policy adopted since it began; None: still the one it began under."""

    audience: AudienceCount = AudienceCount()
    versions: int = 0
    broadcasts: int = 0
    updates: int = 0
    promises: int = 0
    steps: int = 0
    """Counts planned events: names timeline lines so that a retried write is the same line."""
    targeting: bool = False
    drafting: Draft | None = None
    """The draft being written; a newer request replaces it, its answer is then ignored."""
    holding: Draft | None = None
    """The holding line being written; it goes out beside whatever waits for a decision."""
    draft_request: int = 0
    pending: Pending | None = None
    offer: PostMortemOffer | None = None
    announced: bool = False
    """Customers were sent the start."""
    told: tuple[Channel, ...] = ()
    """Channels on which customers were sent something: the end goes there, whatever the routes."""
    ended: bool = False
    """Customers were sent the end."""
    told_stage: Stage | None = None
    """The stage that customers were told last: going back behind it is said plainly."""
    last_sent_at: datetime | None = None
    quiet_since: datetime | None = None
    """Since when no alert of the incident fires."""
    promise: Promise | None = None
    timers: dict[TimerKind, datetime] = Field(default_factory=dict)
    post_mortem: PostMortemState = PostMortemState.NONE
    post_mortem_due: datetime | None = None
    report_outdated: bool = False
    """The incident went on, or a credit was approved, since its post-mortem was begun: what is
    drafted is written anew."""
    decided: tuple[int, ...] = ()
    sent: tuple[int, ...] = ()

    merging: Merging | None = None
    merged_into: str | None = None
    merged: tuple[str, ...] = ()
    """Incidents that go on in this one."""
    merged_firing: dict[str, int] = Field(default_factory=dict)
    """How many of their alerts were counted as firing here, until alerts are counted anew."""
    splitting: Splitting | None = None
    split_from: str | None = None
    split_off: tuple[str, ...] = ()
    # Towards colleagues.
    acknowledged_at: datetime | None = None
    """When a human first acted."""
    engage_level: int = 0
    told_roles: tuple[str, ...] = ()
    war_room: str | None = None
    """Name of the channel where responders meet; "" while it is being opened."""
    missed: tuple[str, ...] = ()
    """Targets that were missed: `response`, `resolution`."""
    extended_since: datetime | None = None
    extensions: int = 0
    extension_untold: bool = False
    executives: int = 0
    executive: Draft | None = None
    """The note to executives being written; it goes out beside whatever waits."""
    executive_at: datetime | None = None
    suggesting: Draft | None = None
    changed_at: datetime | None = None
    """Since when nothing has changed that people would want to hear."""
    tightened: bool = False
    """Trust in drafts of this category is taken back: customers' messages wait for approval."""
    human_wrote_at: datetime | None = None
    """When customers were last sent a human's words."""

    @property
    def next_update_due(self) -> datetime | None:
        return self.promise.due if self.promise else None

    @property
    def over(self) -> bool:
        return self.stage in OVER
