"""What can happen to an incident."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from domain.cascade import Absorb, MergeAnswered, MergeAsked, SplitAsked, SplitDone, SplitOpened
from domain.incident import AudienceCount, Frozen, PostMortemState, Stage, TimerKind
from domain.message import Channel, Moment
from domain.signal import AlertBatch, Severity


class AlertsReceived(Frozen):
    kind: Literal["alerts"] = "alerts"
    batch: AlertBatch


class ImpactConfirmed(Frozen):
    """A human's word that customers feel it; may name what monitoring could not."""

    kind: Literal["confirmed"] = "confirmed"
    by: str
    components: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()
    severity: Severity | None = None


class Dismissed(Frozen):
    kind: Literal["dismissed"] = "dismissed"
    by: str
    reason: str = ""


class SeverityChanged(Frozen):
    kind: Literal["severity"] = "severity"
    by: str
    severity: Severity
    reason: str = ""


class UpdatePosted(Frozen):
    """A human's words for customers; `note_id` names the row that holds them."""

    kind: Literal["update"] = "update"
    by: str
    note_id: str
    stage: Stage | None = None


class FactsStated(Frozen):
    """What a human knows by now; what is left out stays as it was.

    `notes` names by key of `STATED` the row that holds the words, "" takes them back;
    `eta_unknown` takes back the estimated time of resolution.
    """

    kind: Literal["facts"] = "facts"
    by: str
    notes: dict[str, str] = Field(default_factory=dict)
    eta: datetime | None = None
    eta_unknown: bool = False
    affected_share: float | None = None
    started_at: datetime | None = None


class CreditsProposed(Frozen):
    """Credits were worked out and wait for a person; `unknown` accounts have no known fee."""

    kind: Literal["credits_proposed"] = "credits_proposed"
    accounts: int
    total: str
    unknown: int = 0


class CreditsApproved(Frozen):
    """A named person approved amounts; `percents` by plan, or under "*" for all alike."""

    kind: Literal["credits_approved"] = "credits_approved"
    by: str
    accounts: int
    total: str
    percents: dict[str, str]


class ResolveRequested(Frozen):
    kind: Literal["resolve"] = "resolve"
    by: str
    note_id: str | None = None


class FalseAlarmMarked(Frozen):
    kind: Literal["false_alarm"] = "false_alarm"
    by: str
    note_id: str | None = None


class HandedOver(Frozen):
    """Somebody else is asked from now on: who approves, or who commands."""

    kind: Literal["handed_over"] = "handed_over"
    by: str
    role: Literal["approver", "commander"]
    to: str


class PolicyAdopted(Frozen):
    """From now on another policy rules; the plan is asked with that one."""

    kind: Literal["policy_adopted"] = "policy_adopted"
    by: str
    hash: str
    old: str = ""


class Acknowledged(Frozen):
    """A human says: I am on it."""

    kind: Literal["acknowledged"] = "acknowledged"
    by: str


class WarRoomOpened(Frozen):
    """What became of `OpenWarRoom`; without a `name` people have to meet where they can."""

    kind: Literal["war_room"] = "war_room"
    name: str | None = None
    url: str | None = None
    reason: str = ""


class Targeted(Frozen):
    kind: Literal["targeted"] = "targeted"
    audience: AudienceCount
    tightened: bool = False
    """A message of this category was taken back since its gates were relaxed."""


class Drafted(Frozen):
    """A version is written and validated; `request` is the `draft_request` it answers."""

    kind: Literal["drafted"] = "drafted"
    request: int
    version: int
    moment: Moment
    number: int
    hash: str
    invalid: bool = False
    next_update_at: datetime | None = None
    promise_is_literal: bool = False
    audience: AudienceCount | None = None


class Decided(Frozen):
    kind: Literal["decided"] = "decided"
    draft: int
    decision: Literal["approve", "reject"]
    by: str
    role: str = "approver"
    reason: str = ""


class Edited(Frozen):
    """The edited version stands in PostgreSQL as `version` and replaces the pending one."""

    kind: Literal["edited"] = "edited"
    draft: int
    version: int
    hash: str
    by: str
    invalid: bool = False
    promise_is_literal: bool = False


class BroadcastDone(Frozen):
    """Every row of a broadcast is settled; counts by state.

    `instead` are channels on which somebody was told in place of another: the end is owed there.
    """

    kind: Literal["broadcast_done"] = "broadcast_done"
    broadcast: int
    moment: Moment
    counts: dict[str, int] = Field(default_factory=dict)
    instead: tuple[Channel, ...] = ()


class TimerFired(Frozen):
    kind: Literal["timer"] = "timer"
    timer: TimerKind


class PostMortemMoved(Frozen):
    """The post-mortem child reached a state; `version` is the draft that it offers or published."""

    kind: Literal["post_mortem"] = "post_mortem"
    state: PostMortemState
    version: int | None = None
    hash: str | None = None
    invalid: bool = False


Event = Annotated[
    AlertsReceived
    | ImpactConfirmed
    | Dismissed
    | SeverityChanged
    | UpdatePosted
    | FactsStated
    | CreditsProposed
    | CreditsApproved
    | ResolveRequested
    | FalseAlarmMarked
    | HandedOver
    | PolicyAdopted
    | Acknowledged
    | WarRoomOpened
    | Targeted
    | Drafted
    | Decided
    | Edited
    | BroadcastDone
    | TimerFired
    | PostMortemMoved
    | MergeAsked
    | Absorb
    | MergeAnswered
    | SplitAsked
    | SplitDone
    | SplitOpened,
    Field(discriminator="kind"),
]
