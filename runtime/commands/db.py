"""`db upgrade`: brings the schema up to date; neither worker nor gateway does so by itself."""

from __future__ import annotations

import typer

from adapters.db.migrate import upgrade as migrate
from runtime.commands.common import DEFAULT_DATA_DIR, DataDir, database_url, guard_database

app = typer.Typer(help="Look after the database.", no_args_is_help=True)


@app.callback()
def db() -> None:
    """Look after the database."""


@app.command()
def upgrade(data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """Migrate the database to the newest schema; doing it twice changes nothing."""
    url = database_url(data_dir)
    with guard_database():
        migrate(url)
    typer.echo("the schema is up to date")
