"""What Alembic runs: against the connection of `migrate.upgrade`, or a developer's DATABASE_URL."""

from __future__ import annotations

import os

from alembic import context
from sqlalchemy import Connection

import adapters.db.credit_models

# These tables stand in files of their own; importing them adds them to `Base`.
import adapters.db.erasure_models
import adapters.db.link_models
import adapters.db.maintenance_models
import adapters.db.model_drafts
import adapters.db.policy_models
import adapters.db.post_mortem_models
import adapters.db.slack_models  # noqa: F401 - imported for what they declare
from adapters.db.engine import make_sync_engine
from adapters.db.models import Base


def migrate(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        compare_server_default=True,
        transaction_per_migration=True,
    )
    with context.begin_transaction():
        context.run_migrations()


given = context.config.attributes.get("connection")
if given is not None:
    migrate(given)
else:
    with make_sync_engine(os.environ["DATABASE_URL"]).connect() as own:
        migrate(own)
