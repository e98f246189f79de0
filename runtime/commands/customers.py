"""`customers`: bring customers in, see whom an incident would reach, erase a person."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn

from adapters.db.audiences import AudienceStore
from adapters.db.customers import CustomerStore, ImportReport
from adapters.db.engine import make_engine
from adapters.db.erasure import Erasure
from domain.audience import AudienceSummary
from domain.errors import BadInput, FieldError
from domain.ports import AudienceRule
from runtime.commands.common import (
    DEFAULT_DATA_DIR,
    AsJson,
    DataDir,
    database_url,
    emit,
    erasure_key,
    fail,
    field_line,
    one_line,
    run_async,
    usage,
)
from runtime.commands.ruled import policy_in_force

app = typer.Typer(help="Customers: import them, see whom an incident would reach, erase one.")
BY = "command line"
T = TypeVar("T")


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="CSV in UTF-8 with a header.")],
    ignore_unknown: Annotated[
        bool, typer.Option("--ignore-unknown", help="Leave out columns that are not known.")
    ] = False,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Import the good rows, report the others.")
    ] = False,
    readmit_erased: Annotated[
        bool,
        typer.Option("--readmit-erased", help="Take people back who were erased."),
    ] = False,
    as_json: AsJson = False,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Create and update accounts and contacts from a file: all of it or nothing.

    People who were erased are left out, and counted.
    """
    url, key = database_url(data_dir), erasure_key(data_dir)
    policy = policy_in_force(url)
    # Progress is for who watches; stdout stays clean for programs.
    console = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.completed:,.0f} rows read"))

    async def work() -> ImportReport:
        engine = make_engine(url, pool_size=1)
        try:
            with (
                file.open("rb") as lines,
                Progress(*columns, console=console, disable=not console.is_terminal) as bar,
            ):
                task = bar.add_task("rows", total=None)
                return await CustomerStore(engine).import_csv(
                    lines,
                    policy,
                    datetime.now(UTC),
                    by="cli",
                    ignore_unknown=ignore_unknown,
                    skip_bad=skip_bad,
                    erasure_key=key,
                    readmit_erased=readmit_erased,
                    progress=lambda rows: bar.update(task, completed=rows),
                )
        finally:
            await engine.dispose()

    try:
        report = run_async(_with_all_faults(work()))
    except OSError as error:
        fail(f"{file}: cannot be read ({error.strerror})")
    _show_faults(report.problems)
    if as_json:
        emit(report.model_dump(mode="json"), True)
    else:
        emit(
            f"{report.contacts} contacts of {report.accounts} accounts imported, "
            f"bad rows skipped: {report.skipped}"
            + (f"; erased people left out: {report.erased}" if report.erased else "")
            + (f"; taken back: {report.readmitted}" if report.readmitted else "")
            + (f"; ignored: {', '.join(report.ignored_columns)}" if report.ignored_columns else ""),
            False,
        )


@app.command()
def audience(
    component: Annotated[list[str], typer.Option(help="A component key; may be repeated.")],
    region: Annotated[
        list[str] | None, typer.Option(help="A region; may be repeated. Default: all.")
    ] = None,
    as_json: AsJson = False,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Show whom an incident on these components would reach, and who is left out and why."""
    url = database_url(data_dir)
    policy = policy_in_force(url)
    _known("--component", component, sorted(policy.component_keys()))
    _known("--region", region or [], list(policy.regions))
    rule = AudienceRule(components=tuple(component), regions=tuple(region or ()))
    now = datetime.now(UTC)

    async def work() -> AudienceSummary:
        engine = make_engine(url, pool_size=1)
        try:
            return await AudienceStore(engine).preview(rule, policy, now)
        finally:
            await engine.dispose()

    summary = run_async(work())
    if as_json:
        emit(summary.model_dump(mode="json"), True)
        return
    shown: dict[str, Any] = summary.model_dump(exclude={"sample", "data_as_of", "stale", "choices"})
    shown["data"] = _age(summary, now)
    shown["choices"] = {k: v for k, v in summary.choices.items() if v}
    emit(shown, False)
    emit([sample.model_dump() for sample in summary.sample], False)


@app.command()
def erase(
    who: Annotated[str, typer.Argument(metavar="CONTACT_ID|EMAIL", help="Whom to erase.")],
    yes: Annotated[bool, typer.Option("--yes", help="Don't ask.")] = False,
    as_json: AsJson = False,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Erase a person: addresses and names go; counts, balances and the audit chain stay.

    All contacts under the same e-mail address are one person. What still waits to be sent to them
    is settled as suppressed, `erased`. No import takes them in again unless told to. It cannot be
    undone.
    """
    url, key = database_url(data_dir), erasure_key(data_dir)
    if key is None:
        fail("FOREWARN_SECRET_KEY: value missing; erased people are recognised by a hash with it")
    contacts = run_async(_with_erasure(url, key, lambda erasure: erasure.contacts(who)))
    if not yes:
        if not sys.stdin.isatty():
            usage("nobody can be asked here; add --yes")
        # Read from a keyboard: an answer is not part of what a program prints.
        typer.confirm(f"Erase {contacts} contacts for good?", abort=True, err=True)
    report = run_async(
        _with_erasure(url, key, lambda erasure: erasure.erase(who, datetime.now(UTC), BY))
    )
    emit(report.model_dump(mode="json"), as_json)
    if report.left:
        places = ", ".join(report.left)
        fail(f"erased, but still named in {places}: see docs/retention.md, then erase again")


async def _with_erasure(url: str, key: str, work: Callable[[Erasure], Awaitable[T]]) -> T:
    engine = make_engine(url, pool_size=2)
    try:
        return await work(Erasure(engine, key))
    finally:
        await engine.dispose()


async def _with_all_faults(work: Any) -> ImportReport:
    """Faults of a file each get their line; the last one ends the command."""
    try:
        report: ImportReport = await work
        return report
    except BadInput as error:
        _show_faults(error.errors)
        raise BadInput(str(error)) from None


def _show_faults(faults: tuple[FieldError, ...] | list[FieldError]) -> None:
    for fault in faults:
        sys.stderr.write(one_line(field_line(fault.model_dump())) + "\n")


def _known(option: str, names: list[str], allowed: list[str]) -> None:
    for name in names:
        if name not in allowed:
            fail(f"{option}: {name!r} is not known; allowed: {', '.join(allowed)}")


def _age(summary: AudienceSummary, now: datetime) -> str:
    if summary.data_as_of is None:
        return "never imported"
    hours = (now - summary.data_as_of).total_seconds() / 3600
    warning = ", older than policy allows" if summary.stale else ""
    return f"imported {hours:.1f} h ago{warning}"
