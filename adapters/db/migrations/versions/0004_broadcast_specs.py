"""What was decided to be sent, kept from the moment of the decision: `reconcile` starts from it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "broadcast_specs",
        sa.Column("incident_id", sa.Text(), sa.ForeignKey("incidents.id"), nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("spec", postgresql.JSONB(), nullable=False),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("incident_id", "n"),
    )
