"""What the staff doors are handed of the database: the gateway may not import adapters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.db.audiences import AudienceStore
from adapters.db.audit import Audit, AuditEntry
from adapters.db.blast_radius import BlastRadiusRead
from adapters.db.cursors import DEFAULT_LIMIT, MAX_LIMIT, Page, read_cursor, write_cursor
from adapters.db.drafts import DraftStore
from adapters.db.idempotency import Answer, Claim, Idempotency
from adapters.db.ids import id_of
from adapters.db.incidents_read import (
    DraftView,
    IncidentsRead,
    IncidentView,
    PendingDraft,
    TimelineView,
    Utc,
    View,
)
from adapters.db.ledger import Ledger
from adapters.db.ledger_read import Delivery
from adapters.db.links import IncidentLinks, LinksRead, SubIssue
from adapters.db.measures import Measure, Measures
from adapters.db.notes import Notes
from adapters.db.staff_board import StaffBoard
from adapters.db.switches import Switches
from adapters.db.tokens import PREFIX as STAFF_TOKEN_PREFIX
from adapters.db.tokens import Token, Tokens
from adapters.drafters.compose import Composer
from domain.policy import Policy

CONTENT = Path(__file__).resolve().parent.parent / "content"

__all__ = [
    "DEFAULT_LIMIT",
    "MAX_LIMIT",
    "STAFF_TOKEN_PREFIX",
    "Answer",
    "AuditEntry",
    "Claim",
    "Composer",
    "Delivery",
    "DraftView",
    "IncidentLinks",
    "IncidentView",
    "Measure",
    "Page",
    "PendingDraft",
    "Staff",
    "SubIssue",
    "TimelineView",
    "Token",
    "Utc",
    "View",
    "id_of",
    "read_cursor",
    "staff_composer",
    "staff_stores",
    "write_cursor",
]


@dataclass(frozen=True)
class Staff:
    """The stores behind the staff API and the console."""

    tokens: Tokens
    idempotency: Idempotency
    incidents: IncidentsRead
    links: LinksRead
    drafts: DraftStore
    notes: Notes
    audit: Audit
    switches: Switches
    measures: Measures
    ledger: Ledger
    audiences: AudienceStore
    radius: BlastRadiusRead
    board: StaffBoard


def staff_stores(engine: AsyncEngine) -> Staff:
    """The stores on one engine."""
    return Staff(
        tokens=Tokens(engine),
        idempotency=Idempotency(engine),
        incidents=IncidentsRead(engine),
        links=LinksRead(engine),
        drafts=DraftStore(engine),
        notes=Notes(engine),
        audit=Audit(engine),
        switches=Switches(engine),
        measures=Measures(engine),
        ledger=Ledger(engine),
        audiences=AudienceStore(engine),
        radius=BlastRadiusRead(engine),
        board=StaffBoard(engine),
    )


def staff_composer(
    policy: Policy, public_url: str, secret: str, clock: Callable[[], datetime]
) -> Composer:
    """What shows drafts as their readers will see them."""
    return Composer(policy, public_url, secret=secret, content_dir=CONTENT, clock=clock)
