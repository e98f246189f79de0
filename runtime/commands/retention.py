"""`retention run`: delete and blank what the policy no longer keeps."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn

from adapters.db.engine import make_engine
from adapters.db.retention import RetentionReport, RetentionRun
from domain.policy import Policy
from runtime.commands.common import (
    DEFAULT_DATA_DIR,
    AsJson,
    DataDir,
    database_url,
    emit,
    run_async,
)
from runtime.commands.ruled import policy_in_force

app = typer.Typer(help="Delete what the policy no longer keeps.", no_args_is_help=True)
BY = "command line"


@app.callback()
def retention() -> None:
    """Delete what the policy no longer keeps."""


@app.command()
def run(
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Count what would go, change nothing.")
    ] = False,
    as_json: AsJson = False,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Apply the section `retention` of the policy, and say how many rows went per table.

    Rows of open incidents stay. Counts, the audit log and its proof stay whole. The gateway does
    the same once a day by itself.
    """
    url = database_url(data_dir)
    report = run_async(_run(url, policy_in_force(url), dry_run))
    if as_json:
        emit(report.model_dump(mode="json"), True)
        return
    emit([line.model_dump() for line in report.lines], False)
    total = sum(line.rows for line in report.lines)
    emit(f"{total} rows {'would go; nothing was changed' if dry_run else 'are gone'}", False)


async def _run(url: str, policy: Policy, dry_run: bool) -> RetentionReport:
    # Progress is for who watches; stdout stays clean for programs.
    console = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.description}"))
    engine = make_engine(url, pool_size=2)
    try:
        with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
            task = bar.add_task("", total=None)
            return await RetentionRun(engine).run(
                policy.retention,
                datetime.now(UTC),
                BY,
                dry_run=dry_run,
                progress=lambda table, rows: bar.update(task, description=f"{table}: {rows}"),
            )
    finally:
        await engine.dispose()
