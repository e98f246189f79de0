"""Indexes for what a broadcast looks for again and again: leases, and ends that are in doubt.

Both find a handful among a million rows; without them each look reads the whole ledger.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # The ledger may be long, and workers go on writing to it.
    with op.get_context().autocommit_block():
        op.create_index(
            "ix_deliveries_sending",
            "deliveries",
            ["broadcast_id", "channel", "lease_until"],
            postgresql_where=sa.text("state = 'sending'"),
            postgresql_concurrently=True,
            if_not_exists=True,
        )
        op.create_index(
            "ix_deliveries_in_doubt",
            "deliveries",
            ["broadcast_id", "channel"],
            postgresql_where=sa.text("reason = 'in_doubt'"),
            postgresql_concurrently=True,
            if_not_exists=True,
        )
