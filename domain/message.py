"""What is said: moments, channels, draft versions, and the message handed to a provider."""

from __future__ import annotations

import hashlib
from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class Channel(StrEnum):
    EMAIL = "email"
    IN_APP = "in_app"
    STATUS_PAGE = "status_page"
    SMS = "sms"
    SOCIAL = "social"
    SLACK = "slack"
    TEAMS = "teams"
    INTERNAL = "internal"
    TICKET = "ticket"


# Channels with one row per contact, per account, and one row for everybody.
PER_CONTACT = frozenset({Channel.EMAIL, Channel.IN_APP, Channel.SMS})
PER_ACCOUNT = frozenset({Channel.SLACK, Channel.TEAMS})
# Channels that are read one by one; a banner is also for visitors whose language nobody knows.
PERSONAL = frozenset({Channel.EMAIL, Channel.SMS, Channel.SLACK, Channel.TEAMS})
FOR_ALL = frozenset({Channel.STATUS_PAGE, Channel.SOCIAL, Channel.INTERNAL, Channel.TICKET})


class Moment(StrEnum):
    INITIAL = "initial"
    UPDATE = "update"
    EXTENDED = "extended"
    ESCALATION = "escalation"
    PARTIAL_RECOVERY = "partial_recovery"
    RESOLUTION = "resolution"
    FALSE_ALARM = "false_alarm"
    CORRECTION = "correction"
    MAINTENANCE_NOTICE = "maintenance_notice"
    MAINTENANCE_REMINDER = "maintenance_reminder"
    MAINTENANCE_START = "maintenance_start"
    MAINTENANCE_OVERRUN = "maintenance_overrun"
    MAINTENANCE_DONE = "maintenance_done"
    EXECUTIVE = "executive"
    POST_MORTEM = "post_mortem"


# Moments that end the customer's thread: they go to whoever heard the start (closure guarantee).
CLOSING = frozenset(
    {Moment.RESOLUTION, Moment.FALSE_ALARM, Moment.CORRECTION, Moment.MAINTENANCE_DONE}
)


class Gate(StrEnum):
    AUTO = "auto"
    APPROVE = "approve"


class Finding(BaseModel):
    """A broken rule in a draft: which, where (channel/locale/field:offset), what, and a remedy."""

    model_config = ConfigDict(frozen=True)

    rule: str
    where: str
    found: str
    suggestion: str


class DraftText(BaseModel):
    """The words of one moment on one channel in one language.

    Recipient-specific and time-dependent facts stand as placeholders `[[key]]` (frozen facts,
    PRODUCT 4): `[[name]]`, `[[time:KEY]]`, `[[link:KEY]]`; KEY is a key of `Facts.times`/`links`.
    `html` is the body fragment; the mail shell is added when the message is composed.
    """

    model_config = ConfigDict(frozen=True)

    channel: Channel
    locale: str
    subject: str | None = None
    text: str
    html: str | None = None


class Facts(BaseModel):
    """Everything a draft may state, and nothing else; written to the draft row, not to history.

    `components` are keys; `component_names` maps locale → customer-facing names in order.
    `times` are UTC instants by key: impact_start, next_update, restored_at, published_at …
    `numbers` are figures by key: share_percent, duration_minutes, update_number, accounts.
    `notes` are sentences written by a human for customers, by key: message, and `incident.STATED`.
    `links` are URLs by key: status, incident, report.
    """

    model_config = ConfigDict(frozen=True)

    incident_id: str
    moment: Moment
    number: int = 1
    severity: str
    stage: str
    category: str
    components: tuple[str, ...] = ()
    component_names: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    regions: tuple[str, ...] = ()
    times: dict[str, datetime] = Field(default_factory=dict)
    numbers: dict[str, float] = Field(default_factory=dict)
    notes: dict[str, str] = Field(default_factory=dict)
    links: dict[str, str] = Field(default_factory=dict)
    names: tuple[str, ...] = ()
    holding: bool = False


class DraftVersion(BaseModel):
    """The whole set of texts of one moment; `hash` binds texts and audience rule (PRODUCT 5)."""

    model_config = ConfigDict(frozen=True)

    incident_id: str
    version: int
    moment: Moment
    number: int
    texts: tuple[DraftText, ...]
    facts: Facts
    audience_rule: str
    hash: str
    findings: tuple[Finding, ...] = ()
    author: str = "template"
    based_on: int | None = None
    created_at: datetime


class Recipient(BaseModel):
    """One ledger row's addressee, as the delivery activity sees it; never in history."""

    model_config = ConfigDict(frozen=True)

    delivery_id: int
    account_id: str | None = None
    contact_id: str | None = None
    name: str | None = None
    address: str | None = None
    locale: str = "en"
    timezone: str = "UTC"
    reason: str = ""


class OutboundMessage(BaseModel):
    """A finished message for one recipient: nothing left to fill in.

    `key` is constant across retries: providers with idempotency keys get it as such, mail gets
    it as Message-ID. `thread` is the key of the incident's first message to this recipient.
    """

    model_config = ConfigDict(frozen=True)

    key: str
    thread: str
    incident_id: str
    moment: Moment
    channel: Channel
    recipient: Recipient
    subject: str | None = None
    text: str
    html: str | None = None
    unsubscribe_url: str | None = None
    metadata: dict[str, Any] = Field(default_factory=dict)


class Receipt(BaseModel):
    """What the provider answered when it accepted a message."""

    model_config = ConfigDict(frozen=True)

    provider_id: str


def message_key(incident_id: str, n: int, channel: Channel, recipient: str) -> str:
    """Constant across retries, different for each message, and nobody can be read from it."""
    whole = f"{incident_id}.{n}.{channel.value}.{recipient}"
    return hashlib.sha256(whole.encode()).hexdigest()[:32]
