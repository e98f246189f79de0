"""`reconcile`: compares PostgreSQL and Temporal after a loss, and repairs what can be repaired."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Annotated

import typer
from temporalio.service import RPCError

from adapters.db.audiences import AudienceStore
from adapters.db.engine import make_engine
from adapters.db.inbox import Inbox
from adapters.db.incidents import IncidentStore
from adapters.db.maintenances import MaintenanceStore
from adapters.db.mend import Mender
from adapters.db.policies import PolicyStore
from adapters.db.reconcile import Records
from adapters.drafters.catalog import Catalog
from domain.errors import ForewarnError
from domain.ports import Model
from runtime.commands.common import (
    DEFAULT_DATA_DIR,
    AsJson,
    DataDir,
    database_url,
    emit,
    fail,
    run_async,
    stack,
)
from runtime.reconcile import Both, Finding, Kind, compare, lasting
from runtime.reconcile_look import Look
from runtime.reconcile_records import RecordsRepair
from runtime.reconcile_repair import Repair
from runtime.settings import environment
from runtime.temporal import connect
from runtime.wiring import CONTENT

app = typer.Typer()
# A step that is being written now, or a child about to start, is no disagreement.
SECOND_LOOK_SECONDS = 3


class Line(Model):
    """One finding as it is reported."""

    kind: str
    incident: str
    found: str
    done: str
    left: str


@app.command()
def reconcile(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what differs.")] = False,
    restart_cancelled: Annotated[
        bool, typer.Option("--restart-cancelled", help="Take up what somebody cancelled.")
    ] = False,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    as_json: AsJson = False,
) -> None:
    """Compare PostgreSQL and Temporal after one of them was lost, and repair what can be."""
    env = environment()
    address = env.get("TEMPORAL_ADDRESS") or stack(data_dir).temporal
    url = database_url(data_dir)
    try:
        lines = run_async(_reconcile(url, address, dry_run, restart_cancelled))
    except (RPCError, RuntimeError) as error:
        fail(f"Temporal at {address} refused: {error}")
    if lines or as_json:
        emit([line.model_dump() for line in lines], as_json)
    else:
        emit("PostgreSQL and Temporal agree", as_json=False)
    if any(line.left for line in lines):
        raise typer.Exit(1)


async def _reconcile(
    url: str, address: str, dry_run: bool, restart_cancelled: bool
) -> tuple[Line, ...]:
    async with _tools(url, address) as (look, repair):
        found, both = await _lasting(look)
        lines = []
        for finding in found:
            done, left = "", finding.person
            if dry_run:
                left = left or "run `reconcile` without --dry-run"
            elif finding.kind is not Kind.RUN_CANCELLED or restart_cancelled:
                done, left = await _repaired(repair, finding, both)
            lines.append(_line(finding, done, left))
        return tuple(lines)


async def _lasting(look: Look) -> tuple[tuple[Finding, ...], Both]:
    first = await look.both()
    if not compare(first.records, first.runs, _now()):
        return (), first
    await asyncio.sleep(SECOND_LOOK_SECONDS)
    second = await look.both()
    return lasting(first, second, _now()), second


async def _repaired(repair: Repair, finding: Finding, both: Both) -> tuple[str, str]:
    """What was done, and what is left; one that fails must not hold up the others."""
    try:
        done = await repair.one(finding, both)
    except (ForewarnError, RPCError) as error:
        return "", f"not repaired: {error}; run `reconcile` again"
    # What a person had to decide is decided by the option.
    return done, "" if finding.kind is Kind.RUN_CANCELLED else finding.person


def _line(finding: Finding, done: str, left: str) -> Line:
    about = finding.incident_id + (f" message {finding.n}" if finding.n else "")
    return Line(kind=finding.kind, incident=about, found=finding.what, done=done, left=left)


@asynccontextmanager
async def _tools(url: str, address: str) -> AsyncIterator[tuple[Look, Repair]]:
    engine = make_engine(url, pool_size=4)
    client = await connect(address)
    records, policies = Records(engine), PolicyStore(engine)
    look = Look(client, records)
    rebuild = RecordsRepair(
        client,
        look,
        Mender(engine),
        IncidentStore(engine),
        AudienceStore(engine),
        policies,
        MaintenanceStore(engine),
        Catalog(CONTENT),
        _now,
    )
    try:
        yield look, Repair(client, records, Inbox(engine), policies, rebuild, _now)
    finally:
        await engine.dispose()


def _now() -> datetime:
    return datetime.now(UTC)
