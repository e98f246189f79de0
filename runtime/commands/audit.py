"""`audit verify` and `audit export`: proof and evidence straight from the database."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from adapters.db.audit import Audit, VerifyReport
from adapters.db.engine import make_engine
from runtime.commands.common import (
    DEFAULT_DATA_DIR,
    AsJson,
    DataDir,
    database_url,
    emit,
    fail,
    run_async,
    usage,
)

app = typer.Typer(help="The audit log: prove it, export it.", no_args_is_help=True)


class Format(StrEnum):
    CSV = "csv"
    JSONL = "jsonl"


@app.command()
def verify(
    anchor: Annotated[
        str | None, typer.Option("--anchor", help="seq:hash printed earlier and kept elsewhere.")
    ] = None,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    as_json: AsJson = False,
) -> None:
    """Prove the chain, the sends it seals, the balances and the closure guarantee."""
    report = run_async(_verify(database_url(data_dir), anchor))
    if as_json:
        emit(report.model_dump(mode="json"), as_json=True)
    elif report.first_bad is None:
        emit(
            f"the chain holds: {report.entries} entries, {report.sends_checked} sends, "
            f"head {report.head}",
            as_json=False,
        )
        for cut in report.cuts:
            emit(cut, as_json=False)
    if report.first_bad is not None:
        fail(f"the chain is broken at {report.first_bad}")
    if report.gaps:
        fail("; ".join(report.gaps))


@app.command()
def export(
    format: Annotated[Format, typer.Option("--format", help="csv or jsonl.")] = Format.JSONL,
    since: Annotated[str | None, typer.Option(help="From this RFC 3339 time on.")] = None,
    until: Annotated[str | None, typer.Option(help="Before this RFC 3339 time.")] = None,
    incident: Annotated[str | None, typer.Option(help="Only this incident.")] = None,
    out: Annotated[Path | None, typer.Option(help="File; standard output if none.")] = None,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Write one record per send and one per audit entry, without addresses and names."""
    start, end = _time("--since", since), _time("--until", until)
    work = _export(database_url(data_dir), format, start, end, incident, out)
    try:
        run_async(work)
    except OSError as error:
        fail(f"{out}: {error.strerror or error}")


async def _verify(url: str, anchor: str | None) -> VerifyReport:
    async with _audit(url) as audit:
        return await audit.verify(anchor, _progress if sys.stderr.isatty() else None)


async def _export(
    url: str,
    format: Format,
    since: datetime | None,
    until: datetime | None,
    incident: str | None,
    out: Path | None,
) -> None:
    async with _audit(url) as audit:
        who: dict[str, object] = {
            "format": format.value,
            "since": since,
            "until": until,
            "incident": incident,
        }
        # Written first: an export that was cut off was still made.
        await audit.append("export", "command line", who, datetime.now(UTC), incident)
        # newline="": the CSV brings its own line ends.
        target = out.open("w", encoding="utf-8", newline="") if out else sys.stdout
        try:
            async for piece in audit.export(format.value, since, until, incident):
                target.write(piece)
        finally:
            target.flush()
            if out:
                target.close()


def _progress(entries: int) -> None:
    sys.stderr.write(f"\r{entries} entries checked")
    sys.stderr.flush()


def _time(option: str, value: str | None) -> datetime | None:
    if value is None:
        return None
    try:
        parsed = datetime.fromisoformat(value)
    except ValueError:
        usage(f"{option}: {value!r} is no time; allowed: RFC 3339 like 2026-03-10T14:00:00Z")
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)


@asynccontextmanager
async def _audit(url: str) -> AsyncIterator[Audit]:
    engine = make_engine(url, pool_size=2)
    try:
        yield Audit(engine)
    finally:
        await engine.dispose()
