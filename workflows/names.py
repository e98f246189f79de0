"""Every name that reaches Temporal: workflow types, task queues, search attributes, ids."""

from __future__ import annotations

from dataclasses import dataclass

from domain.maintenance import is_maintenance

QUEUE_INCIDENTS = "incidents"
QUEUE_DRAFTING = "drafting"
QUEUE_DELIVERY = "delivery"
QUEUE_HEALTH = "health"
QUEUES = (QUEUE_INCIDENTS, QUEUE_DRAFTING, QUEUE_DELIVERY, QUEUE_HEALTH)

INCIDENT = "Incident"
BROADCAST = "Broadcast"
POST_MORTEM = "PostMortem"
MAINTENANCE = "Maintenance"


@dataclass(frozen=True)
class SearchAttribute:
    """A custom search attribute: its name and its Temporal type."""

    name: str
    kind: str


SEVERITY = SearchAttribute("ForewarnSeverity", "Keyword")
STAGE = SearchAttribute("ForewarnStage", "Keyword")
CATEGORY = SearchAttribute("ForewarnCategory", "Keyword")
COMPONENTS = SearchAttribute("ForewarnComponents", "KeywordList")
AWAITING_APPROVAL = SearchAttribute("ForewarnAwaitingApproval", "Bool")
NEXT_UPDATE_DUE = SearchAttribute("ForewarnNextUpdateDue", "Datetime")
DRY_RUN = SearchAttribute("ForewarnDryRun", "Bool")

# An upsert of an unregistered attribute jams the run: servers, tests and bootstrap read this list.
SEARCH_ATTRIBUTES = (
    SEVERITY,
    STAGE,
    CATEGORY,
    COMPONENTS,
    AWAITING_APPROVAL,
    NEXT_UPDATE_DUE,
    DRY_RUN,
)


def incident_workflow_id(incident_id: str) -> str:
    """The run behind a row of `incidents`: planned work is one of another type (PRODUCT 9)."""
    kind = "maintenance" if is_maintenance(incident_id) else "incident"
    return f"{kind}/{incident_id}"


def broadcast_workflow_id(incident_id: str, n: int) -> str:
    return f"{incident_workflow_id(incident_id)}/broadcast/{n}"


def post_mortem_workflow_id(incident_id: str) -> str:
    return f"incident/{incident_id}/post-mortem"
