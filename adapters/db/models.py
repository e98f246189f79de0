"""The PostgreSQL schema: what was heard, said and to whom."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    DateTime,
    Float,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    Numeric,
    String,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

Json = dict[str, Any]


class Base(DeclarativeBase):
    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy reads this class attribute as it is
        datetime: DateTime(timezone=True),
        str: Text(),
        Json: JSONB(),
        list[str]: ARRAY(Text()),
    }


# ------------------------------------------------------------------ policy and switches


class PolicyRow(Base):
    """Every policy that ever ruled, by hash."""

    __tablename__ = "policies"
    hash: Mapped[str] = mapped_column(primary_key=True)
    content: Mapped[Json]
    source: Mapped[str]
    loaded_at: Mapped[datetime]


class Switch(Base):
    """Global switches; `sends_paused` is the kill switch."""

    __tablename__ = "switches"
    name: Mapped[str] = mapped_column(primary_key=True)
    active: Mapped[bool] = mapped_column(Boolean)
    changed_by: Mapped[str]
    changed_at: Mapped[datetime]


# ------------------------------------------------------------------ signals


class SignalRow(Base):
    """The inbox: one row per alert per delivery, written before the bridge is answered."""

    __tablename__ = "signals"
    seq: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    id: Mapped[str] = mapped_column(unique=True)
    source: Mapped[str]
    external_id: Mapped[str]
    dedup_key: Mapped[str]
    status: Mapped[str]
    signal: Mapped[Json]
    category: Mapped[str]
    severity: Mapped[str]
    severity_stated: Mapped[bool] = mapped_column(Boolean)
    confirms: Mapped[bool] = mapped_column(Boolean)
    components: Mapped[list[str]]
    regions: Mapped[list[str]]
    affected_share: Mapped[float | None] = mapped_column(Float)
    reasons: Mapped[list[str]]
    correlation_id: Mapped[str]
    incident_id: Mapped[str | None] = mapped_column(index=True)
    disposition: Mapped[str]
    received_at: Mapped[datetime]
    relayed_at: Mapped[datetime | None]
    relates: Mapped[list[str]] = mapped_column(server_default=text("'{}'"))
    __table_args__ = (
        UniqueConstraint("source", "external_id", name="uq_signals_source_external_id"),
        Index("ix_signals_incident_seq", "incident_id", "seq"),
        Index(
            "ix_signals_unrelayed",
            "incident_id",
            postgresql_where=text("relayed_at IS NULL AND incident_id IS NOT NULL"),
        ),
    )


class AlertRow(Base):
    """One row per alert of an incident: the fingerprint → incident map and whether it fires.

    `fingerprint` is `source:dedup_key`. `open` falls when the incident is over for good, so that
    one open incident at most owns a fingerprint.
    """

    __tablename__ = "alerts"
    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    fingerprint: Mapped[str]
    incident_id: Mapped[str] = mapped_column(ForeignKey("incidents.id"), index=True)
    firing: Mapped[bool] = mapped_column(Boolean)
    open: Mapped[bool] = mapped_column(Boolean, server_default="true")
    last_seen_at: Mapped[datetime]
    __table_args__ = (
        Index(
            "uq_alerts_open_fingerprint", "fingerprint", unique=True, postgresql_where=text("open")
        ),
    )


# ------------------------------------------------------------------ incidents


class IncidentRow(Base):
    """The projection of an incident, written by its workflow; created by intake.

    `open` is False once it is closed, dismissed or a false alarm. `last_alert_at` and
    `resolved_at` serve grouping and the re-open window. `pending` is the pending draft as the API
    shows it. `dry_run` suppresses every send. `state` is all that the workflow
    knows, so that it can be started again from here.
    """

    __tablename__ = "incidents"
    id: Mapped[str] = mapped_column(primary_key=True)
    title: Mapped[str]
    severity: Mapped[str]
    stage: Mapped[str]
    category: Mapped[str]
    components: Mapped[list[str]]
    regions: Mapped[list[str]]
    affected_share: Mapped[float | None] = mapped_column(Float)
    dry_run: Mapped[bool] = mapped_column(Boolean)
    separate: Mapped[bool] = mapped_column(Boolean, server_default="false")
    open: Mapped[bool] = mapped_column(Boolean, server_default="true")
    started_at: Mapped[datetime]
    opened_at: Mapped[datetime]
    confirmed_at: Mapped[datetime | None]
    resolved_at: Mapped[datetime | None]
    closed_at: Mapped[datetime | None]
    last_alert_at: Mapped[datetime]
    next_update_due: Mapped[datetime | None]
    announced: Mapped[bool] = mapped_column(Boolean, server_default="false")
    audience_id: Mapped[str | None]
    audience_accounts: Mapped[int] = mapped_column(Integer, server_default="0")
    audience_recipients: Mapped[int] = mapped_column(Integer, server_default="0")
    pending: Mapped[Json | None]
    post_mortem: Mapped[str] = mapped_column(server_default="none")
    post_mortem_due: Mapped[datetime | None]
    policy_hash: Mapped[str]
    correlation_id: Mapped[str]
    opened_by: Mapped[str] = mapped_column(server_default="monitoring")
    updated_at: Mapped[datetime]
    state: Mapped[Json | None]
    __table_args__ = (
        Index("ix_incidents_open", "opened_at", postgresql_where=text("open")),
        Index("ix_incidents_opened_at", "opened_at", "id"),
    )


class TimelineRow(Base):
    """One line of an incident's story; `key` makes a retried write the same line."""

    __tablename__ = "timeline"
    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    incident_id: Mapped[str] = mapped_column(ForeignKey("incidents.id"))
    key: Mapped[str]
    at: Mapped[datetime]
    kind: Mapped[str]
    text: Mapped[str]
    actor: Mapped[str]
    customer_visible: Mapped[bool] = mapped_column(Boolean)
    data: Mapped[Json]
    __table_args__ = (
        UniqueConstraint("incident_id", "key", name="uq_timeline_incident_key"),
        Index("ix_timeline_incident_at", "incident_id", "at", "id"),
    )


class NoteRow(Base):
    """A human's words for customers, kept out of workflow history."""

    __tablename__ = "notes"
    id: Mapped[str] = mapped_column(primary_key=True)
    incident_id: Mapped[str] = mapped_column(ForeignKey("incidents.id"), index=True)
    text: Mapped[str]
    author: Mapped[str]
    created_at: Mapped[datetime]


class PromiseRow(Base):
    """One "next update by": made, due, kept; `state` open, kept, missed or superseded."""

    __tablename__ = "promises"
    incident_id: Mapped[str] = mapped_column(ForeignKey("incidents.id"), primary_key=True)
    number: Mapped[int] = mapped_column(Integer, primary_key=True)
    made_at: Mapped[datetime]
    due: Mapped[datetime]
    kept_at: Mapped[datetime | None]
    state: Mapped[str] = mapped_column(server_default="open")


class PostMortemRow(Base):
    """The post-mortem documents: internal Markdown and, when public, the customers' report."""

    __tablename__ = "post_mortems"
    incident_id: Mapped[str] = mapped_column(ForeignKey("incidents.id"), primary_key=True)
    public: Mapped[bool] = mapped_column(Boolean)
    due: Mapped[datetime | None]
    state: Mapped[str]
    internal_markdown: Mapped[str]
    version: Mapped[int | None] = mapped_column(Integer)
    published_at: Mapped[datetime | None]
    published_by: Mapped[str | None]


# ------------------------------------------------------------------ drafts


class DraftRow(Base):
    """A draft version: `state` pending, approved, rejected, superseded or sent."""

    __tablename__ = "drafts"
    incident_id: Mapped[str] = mapped_column(ForeignKey("incidents.id"), primary_key=True)
    version: Mapped[int] = mapped_column(Integer, primary_key=True)
    request: Mapped[str] = mapped_column(comment="idempotency key of the request it answers")
    moment: Mapped[str]
    number: Mapped[int] = mapped_column(Integer)
    facts: Mapped[Json]
    audience_rule: Mapped[str]
    hash: Mapped[str]
    findings: Mapped[list[Any]] = mapped_column(JSONB)
    state: Mapped[str]
    author: Mapped[str]
    based_on: Mapped[int | None] = mapped_column(Integer)
    created_at: Mapped[datetime]
    decided_by: Mapped[str | None]
    decided_at: Mapped[datetime | None]
    decision: Mapped[str | None]
    reason: Mapped[str | None]
    __table_args__ = (UniqueConstraint("incident_id", "request", name="uq_drafts_request"),)


class DraftTextRow(Base):
    __tablename__ = "draft_texts"
    incident_id: Mapped[str] = mapped_column(primary_key=True)
    version: Mapped[int] = mapped_column(Integer, primary_key=True)
    channel: Mapped[str] = mapped_column(primary_key=True)
    locale: Mapped[str] = mapped_column(primary_key=True)
    subject: Mapped[str | None]
    text: Mapped[str]
    html: Mapped[str | None]


# ------------------------------------------------------------------ customers


class AccountRow(Base):
    """A customer account. `features` are component keys; `activity` maps component → last use."""

    __tablename__ = "accounts"
    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str | None]
    plan: Mapped[str | None]
    segment: Mapped[str | None]
    region: Mapped[str | None]
    arr: Mapped[float | None] = mapped_column(Numeric(14, 2))
    monthly_fee: Mapped[float | None] = mapped_column(Numeric(14, 2))
    features: Mapped[list[str]]
    activity: Mapped[Json]
    last_active_at: Mapped[datetime | None]
    regimes: Mapped[list[str]]
    csm: Mapped[str | None]
    csm_manager: Mapped[str | None]
    sponsor: Mapped[str | None]
    renewal_date: Mapped[str | None] = mapped_column(String(10))
    slack_channel: Mapped[str | None]
    teams_webhook: Mapped[str | None]
    active: Mapped[bool] = mapped_column(Boolean, server_default="true")
    imported_at: Mapped[datetime]
    __table_args__ = (Index("ix_accounts_features", "features", postgresql_using="gin"),)


class ContactRow(Base):
    """A person at an account; `channels` are the channels they agreed to."""

    __tablename__ = "contacts"
    id: Mapped[str] = mapped_column(primary_key=True)
    account_id: Mapped[str] = mapped_column(ForeignKey("accounts.id"), index=True)
    email: Mapped[str]
    name: Mapped[str | None]
    phone: Mapped[str | None]
    locale: Mapped[str]
    timezone: Mapped[str]
    channels: Mapped[list[str]]
    imported_at: Mapped[datetime]


class ImportRow(Base):
    """One customers import: its age stands on the approval card."""

    __tablename__ = "imports"
    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    at: Mapped[datetime]
    accounts: Mapped[int] = mapped_column(Integer)
    contacts: Mapped[int] = mapped_column(Integer)
    skipped: Mapped[int] = mapped_column(Integer)


class SuppressionRow(Base):
    """An address that must not be written to on a channel: unsubscribed, bounced, complained."""

    __tablename__ = "suppressions"
    channel: Mapped[str] = mapped_column(primary_key=True)
    address: Mapped[str] = mapped_column(primary_key=True)
    reason: Mapped[str]
    at: Mapped[datetime]


# ------------------------------------------------------------------ audience and ledger


class AudienceRow(Base):
    """A saved snapshot; grows under the same `rule`, a new rule makes a new snapshot."""

    __tablename__ = "audiences"
    id: Mapped[str] = mapped_column(primary_key=True)
    incident_id: Mapped[str] = mapped_column(ForeignKey("incidents.id"), index=True)
    rule: Mapped[str]
    created_at: Mapped[datetime]
    accounts: Mapped[int] = mapped_column(Integer)
    recipients: Mapped[int] = mapped_column(Integer)
    active_accounts: Mapped[int] = mapped_column(Integer)
    data_as_of: Mapped[datetime | None]
    choices: Mapped[Json]


class AudienceMemberRow(Base):
    __tablename__ = "audience_members"
    audience_id: Mapped[str] = mapped_column(ForeignKey("audiences.id"), primary_key=True)
    contact_id: Mapped[str] = mapped_column(primary_key=True)
    account_id: Mapped[str]
    reason: Mapped[str]
    added_at: Mapped[datetime]
    __table_args__ = (Index("ix_audience_members_account", "account_id"),)


class AudienceExclusionRow(Base):
    """An account that the rule looked at and left out, with the reason."""

    __tablename__ = "audience_exclusions"
    audience_id: Mapped[str] = mapped_column(ForeignKey("audiences.id"), primary_key=True)
    account_id: Mapped[str] = mapped_column(primary_key=True)
    reason: Mapped[str]


class BroadcastSpecRow(Base):
    """What a broadcast was decided to be, written in the step that decided it.

    Between that step and the freezing of its audience there is no row in `broadcasts` yet.
    """

    __tablename__ = "broadcast_specs"
    incident_id: Mapped[str] = mapped_column(ForeignKey("incidents.id"), primary_key=True)
    n: Mapped[int] = mapped_column(Integer, primary_key=True)
    spec: Mapped[Json]
    decided_at: Mapped[datetime]


class BroadcastRow(Base):
    """One approved message to one audience; `n` numbers them within the incident."""

    __tablename__ = "broadcasts"
    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    incident_id: Mapped[str] = mapped_column(ForeignKey("incidents.id"))
    n: Mapped[int] = mapped_column(Integer)
    version: Mapped[int] = mapped_column(Integer)
    hash: Mapped[str]
    moment: Mapped[str]
    number: Mapped[int] = mapped_column(Integer)
    severity: Mapped[str]
    stage: Mapped[str]
    channels: Mapped[list[str]]
    dry_run: Mapped[bool] = mapped_column(Boolean)
    allowed_by: Mapped[str]
    policy_hash: Mapped[str]
    correlation_id: Mapped[str]
    next_update_at: Mapped[datetime | None]
    expires_at: Mapped[datetime | None]
    created_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]
    __table_args__ = (UniqueConstraint("incident_id", "n", name="uq_broadcasts_incident_n"),)


class DeliveryRow(Base):
    """The ledger: one row per recipient, channel and message.

    `recipient` is the contact id, the account id or `*`. States: pending, sending, sent, failed,
    suppressed, unknown. A settled row never changes again, so that its audit digest holds; what
    the provider reports later stands in `delivery_events`. `fence` grows with each claim.
    """

    __tablename__ = "deliveries"
    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    broadcast_id: Mapped[int] = mapped_column(ForeignKey("broadcasts.id"))
    incident_id: Mapped[str]
    channel: Mapped[str]
    recipient: Mapped[str]
    account_id: Mapped[str | None]
    contact_id: Mapped[str | None]
    name: Mapped[str | None]
    address: Mapped[str | None]
    locale: Mapped[str]
    timezone: Mapped[str]
    why: Mapped[str]
    priority: Mapped[int] = mapped_column(Integer)
    state: Mapped[str]
    reason: Mapped[str | None]
    attempts: Mapped[int] = mapped_column(Integer, server_default="0")
    resent: Mapped[int] = mapped_column(Integer, server_default="0")
    fence: Mapped[int] = mapped_column(Integer, server_default="0")
    lease_until: Mapped[datetime | None]
    not_before: Mapped[datetime | None]
    provider_id: Mapped[str | None]
    text_hash: Mapped[str | None]
    sent_at: Mapped[datetime | None]
    settled_at: Mapped[datetime | None]
    audit_seq: Mapped[int | None] = mapped_column(BigInteger)
    __table_args__ = (
        UniqueConstraint("broadcast_id", "channel", "recipient", name="uq_deliveries_row"),
        Index(
            "ix_deliveries_open",
            "broadcast_id",
            "channel",
            "priority",
            "id",
            postgresql_where=text("state IN ('pending', 'sending')"),
        ),
        # A handful among a million rows, looked for every few seconds.
        Index(
            "ix_deliveries_sending",
            "broadcast_id",
            "channel",
            "lease_until",
            postgresql_where=text("state = 'sending'"),
        ),
        Index(
            "ix_deliveries_in_doubt",
            "broadcast_id",
            "channel",
            postgresql_where=text("reason = 'in_doubt'"),
        ),
        Index("ix_deliveries_incident", "incident_id", "id"),
        Index("ix_deliveries_contact", "incident_id", "contact_id", "channel"),
        Index(
            "ix_deliveries_provider",
            "provider_id",
            postgresql_where=text("provider_id IS NOT NULL"),
        ),
        Index(
            "ix_deliveries_audit_seq", "audit_seq", postgresql_where=text("audit_seq IS NOT NULL")
        ),
    )


class DeliveryEventRow(Base):
    """What a provider reported after acceptance: delivered, bounced, complained, unsubscribed."""

    __tablename__ = "delivery_events"
    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    delivery_id: Mapped[int] = mapped_column(ForeignKey("deliveries.id"), index=True)
    kind: Mapped[str]
    reason: Mapped[str | None]
    at: Mapped[datetime]


class RateLimitRow(Base):
    """A provider's token bucket, shared by all workers."""

    __tablename__ = "rate_limits"
    name: Mapped[str] = mapped_column(primary_key=True)
    per_minute: Mapped[int] = mapped_column(Integer)
    tokens: Mapped[float] = mapped_column(Float)
    refilled_at: Mapped[datetime]


class RateDemandRow(Base):
    """Who wants tokens now: lets a P1 overtake a running P3 broadcast."""

    __tablename__ = "rate_demand"
    name: Mapped[str] = mapped_column(primary_key=True)
    broadcast_id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    priority: Mapped[int] = mapped_column(Integer)
    expires_at: Mapped[datetime]


# ------------------------------------------------------------------ where customers look


class AnnouncementRow(Base):
    """A text that stands on the status page or in the banner, per locale."""

    __tablename__ = "announcements"
    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    incident_id: Mapped[str] = mapped_column(ForeignKey("incidents.id"))
    channel: Mapped[str]
    broadcast_id: Mapped[int] = mapped_column(BigInteger)
    moment: Mapped[str]
    locale: Mapped[str]
    title: Mapped[str]
    body: Mapped[str]
    html: Mapped[str | None]
    stage: Mapped[str]
    severity: Mapped[str]
    components: Mapped[list[str]]
    posted_at: Mapped[datetime]
    next_update_at: Mapped[datetime | None]
    __table_args__ = (
        UniqueConstraint("broadcast_id", "channel", "locale", name="uq_announcements_row"),
        Index("ix_announcements_incident", "incident_id", "posted_at"),
    )


# ------------------------------------------------------------------ audit, access


class AuditRow(Base):
    """The hash-chained audit log: `hash` = SHA-256 over `prev_hash` and the canonical entry."""

    __tablename__ = "audit_log"
    seq: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    at: Mapped[datetime]
    kind: Mapped[str]
    actor: Mapped[str]
    incident_id: Mapped[str | None] = mapped_column(index=True)
    body: Mapped[Json]
    prev_hash: Mapped[bytes] = mapped_column(LargeBinary(32))
    hash: Mapped[bytes] = mapped_column(LargeBinary(32))


class TokenRow(Base):
    """A staff token: only its SHA-256 is kept."""

    __tablename__ = "tokens"
    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    token_hash: Mapped[bytes] = mapped_column(LargeBinary(32), unique=True)
    roles: Mapped[list[str]]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    revoked_at: Mapped[datetime | None]


class IdempotencyRow(Base):
    """The answer given to a command, so that its retry gets the same one."""

    __tablename__ = "idempotency"
    key: Mapped[str] = mapped_column(primary_key=True)
    actor: Mapped[str] = mapped_column(primary_key=True)
    request_hash: Mapped[str]
    status: Mapped[int | None] = mapped_column(Integer)
    body: Mapped[str | None]
    created_at: Mapped[datetime]
