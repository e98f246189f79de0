"""What Temporal carries to and from the workflows: one model per handler, ids and facts only."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from domain.cascade import MergeAsked, SplitAsked
from domain.events import (
    Acknowledged,
    CreditsApproved,
    Decided,
    Dismissed,
    Edited,
    Event,
    FactsStated,
    FalseAlarmMarked,
    HandedOver,
    ImpactConfirmed,
    PolicyAdopted,
    ResolveRequested,
    SeverityChanged,
    UpdatePosted,
)
from domain.incident import IncidentState, Pending, Stage
from domain.policy import Policy
from domain.signal import AlertBatch, Severity


class Message(BaseModel):
    model_config = ConfigDict(frozen=True)


class TimelineLine(Message):
    """One line of the query `timeline`: keys and figures, the words are in PostgreSQL."""

    at: datetime
    key: str
    actor: str
    data: dict[str, str] = Field(default_factory=dict)


class IncidentStart(Message):
    """Input of `Incident`; `state` is set when a run continues an earlier one, `queue` are
    events that it had not come to.

    `policy` spares the run its look-up by `policy_hash`. `restored` says that the earlier run was
    lost, so that nothing it asked for will be answered.
    """

    incident_id: str
    policy_hash: str
    policy: Policy | None = None
    batch: AlertBatch
    dry_run: bool = False
    opened_at: datetime
    state: IncidentState | None = None
    lines: tuple[TimelineLine, ...] = ()
    broadcasting: tuple[int, ...] = ()
    queue: tuple[Event, ...] = ()
    restored: bool = False

    @model_validator(mode="before")
    @classmethod
    def _share_policy(cls, given: Any) -> Any:
        # A thousand open incidents would hold, and read, the same long policy a thousand times.
        if isinstance(given, dict) and isinstance(given.get("policy"), dict):
            known = _POLICIES.get(given.get("policy_hash", ""))
            if known is not None:
                return {**given, "policy": known}
        return given

    def model_post_init(self, _: Any) -> None:
        """Remember the policy for the runs that come after."""
        policy = self.policy
        if policy is None or self.policy_hash in _POLICIES:
            return
        if policy.hash == self.policy_hash:
            _POLICIES[self.policy_hash] = policy


# By hash: as many as were changed while this process ran.
_POLICIES: dict[str, Policy] = {}


class DecideInput(Message):
    """A decision by id. `role` is what the caller was found to have, checked at the door."""

    draft: int
    decision: Literal["approve", "reject", "edit"]
    by: str = "temporal"
    role: str = "approver"
    reason: str = ""
    edited_version: int | None = None
    edited_hash: str | None = None
    invalid: bool = False
    promise_is_literal: bool = False

    def event(self) -> Decided | Edited:
        if self.decision == "edit":
            return Edited(
                draft=self.draft,
                version=self.edited_version or 0,
                hash=self.edited_hash or "",
                by=self.by,
                invalid=self.invalid,
                promise_is_literal=self.promise_is_literal,
            )
        return Decided(
            draft=self.draft,
            decision=self.decision,
            by=self.by,
            role=self.role,
            reason=self.reason,
        )


class DecideResult(Message):
    draft: int
    state: str


class PostUpdateInput(Message):
    by: str
    note_id: str
    stage: str | None = None

    def event(self) -> UpdatePosted:
        stage = Stage(self.stage) if self.stage else None
        return UpdatePosted(by=self.by, note_id=self.note_id, stage=stage)


class StateFactsInput(Message):
    """What a human knows by now: ids of words, times and figures; what is left out stays."""

    by: str
    notes: dict[str, str] = Field(default_factory=dict)
    eta: datetime | None = None
    eta_unknown: bool = False
    affected_share: float | None = None
    started_at: datetime | None = None

    def event(self) -> FactsStated:
        return FactsStated(**self.model_dump())


class ChangeSeverityInput(Message):
    by: str
    severity: str
    reason: str = ""

    def event(self) -> SeverityChanged:
        return SeverityChanged(by=self.by, severity=Severity(self.severity), reason=self.reason)


class ConfirmInput(Message):
    by: str
    components: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()
    severity: str | None = None

    def event(self) -> ImpactConfirmed:
        severity = Severity(self.severity) if self.severity else None
        return ImpactConfirmed(
            by=self.by, components=self.components, regions=self.regions, severity=severity
        )


class DismissInput(Message):
    by: str
    reason: str = ""

    def event(self) -> Dismissed:
        return Dismissed(by=self.by, reason=self.reason)


class CreditsApprovedInput(Message):
    """What a person approved; the amounts by account are in PostgreSQL."""

    by: str
    accounts: int
    total: str
    percents: dict[str, str]

    def event(self) -> CreditsApproved:
        return CreditsApproved(**self.model_dump())


class ResolveInput(Message):
    by: str
    note_id: str | None = None

    def event(self) -> ResolveRequested:
        return ResolveRequested(by=self.by, note_id=self.note_id)


class FalseAlarmInput(Message):
    by: str
    note_id: str | None = None

    def event(self) -> FalseAlarmMarked:
        return FalseAlarmMarked(by=self.by, note_id=self.note_id)


class HandOverInput(Message):
    by: str
    role: Literal["approver", "commander"]
    to: str

    def event(self) -> HandedOver:
        return HandedOver(by=self.by, role=self.role, to=self.to)


class AdoptPolicyInput(Message):
    """Names a stored policy; that it can rule the incident is checked by the incident itself."""

    by: str
    hash: str

    def event(self) -> PolicyAdopted:
        return PolicyAdopted(by=self.by, hash=self.hash)


class MergeInput(Message):
    """Update `merge_into`: this incident goes on in another one."""

    by: str
    into: str

    def event(self) -> MergeAsked:
        return MergeAsked(into=self.into, by=self.by)


class SplitInput(Message):
    """Update `split`: these components go on as the incident `id`."""

    by: str
    id: str
    components: tuple[str, ...]

    def event(self) -> SplitAsked:
        return SplitAsked(id=self.id, components=self.components, by=self.by)


class CommandResult(Message):
    stage: str
    severity: str


class AcknowledgeInput(Message):
    by: str

    def event(self) -> Acknowledged:
        return Acknowledged(by=self.by)


class StatusView(Message):
    """Answer of the query `status`."""

    incident_id: str
    severity: str
    stage: str
    category: str
    components: tuple[str, ...]
    regions: tuple[str, ...]
    audience_accounts: int
    audience_recipients: int
    next_update_due: datetime | None
    post_mortem: str
    dry_run: bool
    broadcasts: int


class PendingView(Message):
    """Answer of the query `pending_draft`."""

    pending: Pending | None


class PostMortemStart(Message):
    """Input of `PostMortem`; `state` is the incident as it was when it was resolved.

    `attempts` were made by a run that was lost; `drafted` says that the last of them waits for
    its reviewers.
    """

    incident_id: str
    policy_hash: str
    public: bool
    due: datetime | None
    state: IncidentState
    attempts: int = 0
    drafted: bool = False


class PostMortemAnswer(Message):
    """Signal `answered` to `PostMortem`: the reviewers' decision on a version.

    `state` is the incident as it is now, which may have gone on since the post-mortem was begun.
    """

    approved: bool
    version: int
    by: str
    state: IncidentState | None = None


class PostMortemResult(Message):
    state: str
    version: int | None = None
