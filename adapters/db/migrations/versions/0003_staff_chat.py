"""What was posted to staff in their chat, and what they clicked there."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    at = sa.DateTime(timezone=True)
    op.create_table(
        "staff_posts",
        sa.Column("incident_id", sa.Text(), sa.ForeignKey("incidents.id"), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("place", sa.Text(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("final", sa.Boolean(), nullable=False),
        sa.Column("posted_at", at, nullable=False),
        sa.Column("updated_at", at, nullable=False),
        sa.PrimaryKeyConstraint("incident_id", "key"),
    )
    op.create_table(
        "slack_actions",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("incident_id", sa.Text(), nullable=True),
        sa.Column("payload", postgresql.JSONB(), nullable=False),
        sa.Column("correlation_id", sa.Text(), nullable=False),
        sa.Column("received_at", at, nullable=False),
        sa.Column("state", sa.Text(), server_default="waiting", nullable=False),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("not_before", at, nullable=False),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.Column("settled_at", at, nullable=True),
        sa.Column("told_at", at, nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_slack_actions_incident_id", "slack_actions", ["incident_id"])
    op.create_index(
        "ix_slack_actions_waiting",
        "slack_actions",
        ["not_before"],
        postgresql_where=sa.text("told_at IS NULL"),
    )
