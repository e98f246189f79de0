"""What the doors of planned work take and give, as pydantic models."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import quote

from pydantic import AliasChoices, AwareDatetime, Field, StringConstraints

from domain.maintenance import Impact
from domain.maintenance_facts import page_url
from domain.signal import Severity
from gateway.staff_shapes import _WORDS, Body, Key, Keys, Message, Title, _Clean
from runtime.maintenances import MaintenanceView
from runtime.staff import PendingDraft, Utc, View
from workflows.names import incident_workflow_id

Description = Annotated[str, StringConstraints(strip_whitespace=True, max_length=4000), _Clean]
Short = Annotated[str, StringConstraints(strip_whitespace=True, max_length=1000), _Clean]
_REASON = AliasChoices("reason", "message", "text")


class ScheduleBody(Body):
    """Planned work: what, where, when, and what customers are to expect."""

    title: Title
    description: Description = ""
    components: Annotated[Keys, Field(min_length=1)]
    regions: Keys = ()
    starts_at: AwareDatetime
    ends_at: AwareDatetime
    impact: Impact
    advice: Short = ""
    objections_until: AwareDatetime | None = None
    dry_run: bool = False


class RescheduleBody(Body):
    """New times; `reason` is told to customers."""

    starts_at: AwareDatetime
    ends_at: AwareDatetime
    objections_until: AwareDatetime | None = None
    reason: Message | None = Field(default=None, validation_alias=_REASON)


class ExtendBody(Body):
    """It takes longer: until when, and why, in words for customers."""

    ends_at: AwareDatetime
    reason: Message | None = Field(default=None, validation_alias=_REASON)


class CompleteBody(Body):
    message: Message | None = Field(default=None, validation_alias=_WORDS)


class CancelBody(Body):
    reason: Message | None = Field(default=None, validation_alias=_REASON)


class EscalateBody(Body):
    """The incident that it became; without a title it is called as the work is."""

    title: Title | None = None
    description: Description = ""
    severity: Severity | None = None


class ObjectionBody(Body):
    account_id: Key
    reason: Short = ""


class MaintenanceAnswer(View):
    """Where it stands after a command."""

    id: str
    stage: str
    starts_at: Utc
    ends_at: Utc


class EscalationAnswer(View):
    id: str
    incident_id: str
    disposition: str


class Size(View):
    accounts: int
    recipients: int


class Withheld(View):
    """Words that customers don't read, and what would be better."""

    field: str
    rule: str
    found: str
    suggestion: str


class MaintenanceOut(View):
    """Planned work as staff see it; `told_…` are the times that customers know.

    `withheld` names what of its words breaks a rule, so that customers are told without it.
    """

    id: str
    title: str
    stage: str
    components: tuple[str, ...]
    regions: tuple[str, ...]
    impact: str
    description: str
    advice: str
    starts_at: Utc
    ends_at: Utc
    told_start: Utc | None
    told_end: Utc | None
    began_at: Utc | None
    ended_at: Utc | None
    objections_until: Utc | None
    announced: bool
    audience: Size
    audience_id: str | None
    pending: PendingDraft | None
    next_update_due: Utc | None
    credit_considered: bool
    incidents: tuple[str, ...]
    dry_run: bool
    opened_at: Utc
    opened_by: str
    url: str
    workflow_id: str
    temporal_url: str | None
    withheld: tuple[Withheld, ...] = ()


def maintenance_out(
    view: MaintenanceView, public_url: str, temporal_ui: str | None, namespace: str
) -> MaintenanceOut:
    """A maintenance with the ways to its page and its workflow."""
    case, workflow_id = view.case, incident_workflow_id(view.case.id)
    url = None
    if temporal_ui:
        path = f"namespaces/{quote(namespace, safe='')}/workflows/{quote(workflow_id, safe='')}"
        url = f"{temporal_ui.rstrip('/')}/{path}"
    own = {k: getattr(view, k) for k in type(view).model_fields if k != "case"}
    shared = (
        "id", "title", "stage", "components", "regions", "announced", "audience_id", "pending",
        "next_update_due", "dry_run", "opened_at", "opened_by",
    )  # fmt: skip
    return MaintenanceOut(
        **own,
        **{k: getattr(case, k) for k in shared},
        audience=Size(**case.audience.model_dump()),
        url=page_url(public_url, case.id),
        workflow_id=workflow_id,
        temporal_url=url,
    )
