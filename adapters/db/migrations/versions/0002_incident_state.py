"""The whole state of an incident beside its projection: `reconcile` starts workflows from it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Nullable: workers of the release before write rows without it.
    op.add_column("incidents", sa.Column("state", postgresql.JSONB(), nullable=True))
