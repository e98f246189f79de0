"""What the staff API takes and gives, as pydantic models."""

from __future__ import annotations

from datetime import UTC
from typing import Annotated, Literal
from urllib.parse import quote

from pydantic import (
    AfterValidator,
    AliasChoices,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
)

from domain.audience import AudienceMember, AudienceSummary
from domain.casework import Asked, Response
from domain.errors import BadInput, FieldError
from domain.message import Channel, DraftText, DraftVersion, Finding
from domain.policy import Policy
from domain.signal import Severity, Share
from gateway.differences import TextChange
from runtime.staff import DraftView, IncidentLinks, IncidentView, SubIssue, Utc, View
from workflows.names import incident_workflow_id


def _no_control_characters(text: str) -> str:
    if any(ord(c) < 32 and c not in "\n\r\t" for c in text) or "\x7f" in text:
        raise ValueError("allowed: text without control characters")
    return text


def _text(longest: int) -> StringConstraints:
    return StringConstraints(strip_whitespace=True, min_length=1, max_length=longest)


_Clean = AfterValidator(_no_control_characters)
Title = Annotated[str, _text(300), _Clean]
Message = Annotated[str, _text(4000), _Clean]
Key = Annotated[str, _text(200), _Clean]
Keys = Annotated[tuple[Key, ...], Field(max_length=50)]
Reason = Annotated[str, StringConstraints(strip_whitespace=True, max_length=1000), _Clean]


Instant = Annotated[AwareDatetime, AfterValidator(lambda at: at.astimezone(UTC))]
Words = Annotated[str, StringConstraints(strip_whitespace=True, max_length=2000), _Clean]


# Drafts call their words `text`; who writes that of a message means the same.
_WORDS = AliasChoices("message", "text")


class Body(BaseModel):
    """A request body: unknown fields are refused, so that a misspelt one is not lost."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class StartBody(Body):
    title: Title
    description: Annotated[str, StringConstraints(max_length=20_000), _Clean] = ""
    components: Keys = ()
    regions: Keys = ()
    severity: Severity | None = None
    customer_impact: bool = True
    affected_share: Share | None = None
    separate: bool = False
    dry_run: bool = False


class UpdateBody(Body):
    message: Message = Field(validation_alias=_WORDS)
    stage: Literal["investigating", "identified", "monitoring"] | None = None


class FactsBody(Body):
    """What is known by now. What is left out stays; "" or null takes words, or the ETA, back."""

    cause: Words | None = None
    workaround: Words | None = None
    fixed: Words | None = None
    prevention: Words | None = None
    eta: Instant | None = None
    affected_share: Share | None = None
    started_at: Instant | None = None


class SeverityBody(Body):
    severity: Severity
    reason: Reason = ""


class ConfirmBody(Body):
    components: Keys = ()
    regions: Keys = ()
    severity: Severity | None = None


class ReasonBody(Body):
    reason: Reason = ""


class HandOverBody(Body):
    """Who is asked from now on: who approves, or who commands."""

    role: Literal["approver", "commander"]
    to: Annotated[str, _text(100), _Clean]


class MessageBody(Body):
    message: Message | None = Field(default=None, validation_alias=_WORDS)


class TextBody(Body):
    """The words of one channel and language, written by a human."""

    channel: Channel
    locale: Annotated[str, _text(20), _Clean]
    subject: Annotated[str, StringConstraints(max_length=500), _Clean] | None = None
    text: Annotated[str, StringConstraints(min_length=1, max_length=50_000), _Clean]
    html: Annotated[str, StringConstraints(max_length=200_000), _Clean] | None = None

    def as_draft(self) -> DraftText:
        return DraftText.model_validate(self.model_dump())


class DecisionBody(Body):
    draft: Annotated[int, Field(ge=1, le=2**31 - 1)]
    decision: Literal["approve", "reject", "edit"]
    edits: Annotated[tuple[TextBody, ...], Field(max_length=100)] = ()
    reason: Reason = ""


class CommandAnswer(View):
    """Where the incident stands after a command."""

    incident_id: str
    stage: str
    severity: str


class DecisionAnswer(View):
    """What became of a version; after an edit `version` is the new one, with its `changes`."""

    incident_id: str
    draft: int
    state: str
    version: int
    changes: tuple[TextChange, ...] = ()


class StartAnswer(View):
    """The incident a report went into: `started`, or an open one that it folded into."""

    id: str
    incident_id: str
    signal_id: str
    disposition: str


class IncidentOut(IncidentView):
    """INTERFACES 'Shapes'; who is asked, what it belongs with and its sub-issues of one alone."""

    workflow_id: str
    temporal_url: str | None
    asked: Asked | None = None
    merged_into: str | None = None
    merged: tuple[str, ...] | None = None
    split_from: str | None = None
    split_off: tuple[str, ...] | None = None
    sub_issues: tuple[SubIssue, ...] | None = None
    response: Response | None = None


class MergeBody(Body):
    """The incident that goes on."""

    into: Key


class SplitBody(Body):
    """The components that go on as an incident of their own."""

    components: Annotated[tuple[Key, ...], Field(min_length=1, max_length=50)]


class LinkAnswer(View):
    """Where this incident stands, and the one that goes on beside or instead of it."""

    incident_id: str
    stage: str
    other: str


class DraftOut(View):
    """One text of a version, as its reader will see it."""

    version: int
    moment: str
    number: int
    channel: Channel
    locale: str
    subject: str | None
    text: str
    html: str | None
    findings: tuple[Finding, ...]
    state: str
    hash: str
    author: str
    based_on: int | None
    created_at: Utc
    decided_by: str | None
    decided_at: Utc | None
    decision: str | None
    reason: str | None


class AudienceOut(View):
    """How many are meant and why, who was left out, and a page of the members."""

    accounts: int
    recipients: int
    summary: AudienceSummary | None
    items: tuple[AudienceMember, ...]
    next: str | None = None


class CheckAnswer(View):
    """The rules a draft breaks; none when it may go out."""

    findings: tuple[Finding, ...]


def incident_out(
    view: IncidentView,
    temporal_ui: str | None,
    namespace: str,
    asked: Asked | None = None,
    links: IncidentLinks | None = None,
) -> IncidentOut:
    """An incident with the way to its workflow and, where they were looked up, who is asked, what
    it belongs with and its sub-issues."""
    workflow_id = incident_workflow_id(view.id)
    url = None
    if temporal_ui:
        path = f"namespaces/{quote(namespace, safe='')}/workflows/{quote(workflow_id, safe='')}"
        url = f"{temporal_ui.rstrip('/')}/{path}"
    return IncidentOut(
        **{name: getattr(view, name) for name in type(view).model_fields},
        workflow_id=workflow_id,
        temporal_url=url,
        asked=asked,
        **({name: getattr(links, name) for name in type(links).model_fields} if links else {}),
        response=asked.response if asked is not None else None,
    )


def draft_out(view: DraftView, shown: DraftText) -> DraftOut:
    """One previewed text of a version."""
    draft = view.draft
    return DraftOut(
        version=draft.version,
        moment=draft.moment,
        number=draft.number,
        **shown.model_dump(),
        findings=text_findings(draft, shown),
        state=view.state,
        hash=draft.hash,
        author=draft.author,
        based_on=draft.based_on,
        created_at=draft.created_at,
        decided_by=view.decided_by,
        decided_at=view.decided_at,
        decision=view.decision,
        reason=view.reason,
    )


def text_findings(draft: DraftVersion, text: DraftText) -> tuple[Finding, ...]:
    """The findings of a version that speak of one of its texts."""
    place = f"{text.channel}/{text.locale}"
    return tuple(f for f in draft.findings if f.where == place or f.where.startswith(f"{place}/"))


def known_places(policy: Policy, components: Keys, regions: Keys) -> None:
    """Raise BadInput for components and regions that the policy does not know."""
    allowed = {
        "components": sorted(policy.component_keys()),
        "regions": list(policy.regions),
    }
    errors = [
        FieldError(field=f"{field}.{index}", value=name, allowed=", ".join(allowed[field]))
        for field, names in (("components", components), ("regions", regions))
        for index, name in enumerate(names)
        if name not in allowed[field]
    ]
    if errors:
        raise BadInput("the policy does not know what is named here", errors)


class SwitchAnswer(View):
    """Whether sends are paused now, and whether this call changed it."""

    paused: bool
    changed: bool
