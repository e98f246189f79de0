"""Planned work: what a maintenance has beside its row of `incidents`, and objections to it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

AT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "maintenances",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("advice", sa.Text(), nullable=False),
        sa.Column("impact", sa.Text(), nullable=False),
        sa.Column("starts_at", AT, nullable=False),
        sa.Column("ends_at", AT, nullable=False),
        sa.Column("told_start", AT, nullable=True),
        sa.Column("told_end", AT, nullable=True),
        sa.Column("began_at", AT, nullable=True),
        sa.Column("ended_at", AT, nullable=True),
        sa.Column("objections_until", AT, nullable=True),
        sa.Column("credit_considered", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("incidents", postgresql.ARRAY(sa.Text()), server_default="{}", nullable=False),
        sa.Column("run_started_at", AT, nullable=True),
        sa.ForeignKeyConstraint(["id"], ["incidents.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_maintenances_starts_at", "maintenances", ["starts_at", "id"])
    op.create_index(
        "ix_maintenances_not_run",
        "maintenances",
        ["id"],
        postgresql_where=sa.text("run_started_at IS NULL"),
    )
    op.create_table(
        "maintenance_objections",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("maintenance_id", sa.Text(), nullable=False),
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("contact_id", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("late", sa.Boolean(), nullable=False),
        sa.Column("assignee", sa.Text(), nullable=True),
        sa.Column("at", AT, nullable=False),
        sa.Column("told_at", AT, nullable=True),
        sa.ForeignKeyConstraint(["maintenance_id"], ["maintenances.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        "ix_maintenance_objections_maintenance", "maintenance_objections", ["maintenance_id", "at"]
    )
    op.create_index(
        "ix_maintenance_objections_untold",
        "maintenance_objections",
        ["maintenance_id"],
        postgresql_where=sa.text("told_at IS NULL"),
    )
