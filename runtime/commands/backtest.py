"""`policy backtest` and `policy signals-from-statuspage`: a policy over one's own past."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import available_timezones

import typer

from domain.backtest import Assumptions, Count
from domain.backtest_crowd import Assumed, Counted
from domain.customers import Allowed, CustomerRow
from domain.customers_file import CustomersFile
from domain.errors import BadInput
from domain.policy import Policy
from domain.policy_base import parse_duration
from runtime.backtest.page import page
from runtime.backtest.report import Test
from runtime.backtest.rows import parts
from runtime.backtest.signals import read_recording
from runtime.backtest.statuspage import convert, read_history, read_mapping, write
from runtime.commands.common import (
    DEFAULT_DATA_DIR,
    AsJson,
    DataDir,
    emit,
    fail,
    field_line,
    one_line,
    usage,
)
from runtime.policy_file import load_policy
from runtime.settings import DEFAULT_POLICY, environment

NEVER = "never"
CONTENT = Path(__file__).parents[2] / "content"
# Whoever waits longer than this wants to see that something happens.
QUIET_SECONDS = 1.0
UNKNOWN_SHOWN = 20


def backtest(
    file: Annotated[Path, typer.Argument(help="The policy file.")],
    signals: Annotated[
        Path, typer.Option("--signals", help="A folder with recorded signals as JSON.")
    ],
    against: Annotated[
        Path | None, typer.Option("--against", help="A second policy, to compare with.")
    ] = None,
    html: Annotated[
        Path | None, typer.Option("--html", help="Write the report there, as one page.")
    ] = None,
    customers: Annotated[
        Path | None, typer.Option("--customers", help="Count recipients in this customers file.")
    ] = None,
    accounts: Annotated[
        int, typer.Option(min=1, help="Without --customers: so many accounts are assumed.")
    ] = 1000,
    approve_after: Annotated[
        str, typer.Option(metavar="DURATION|never", help="When a waiting draft is approved.")
    ] = "3m",
    confirm_after: Annotated[
        str, typer.Option(metavar="DURATION|never", help="When a human confirms a suspicion.")
    ] = NEVER,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    as_json: AsJson = False,
) -> None:
    """Say what a policy would have sent for recorded signals, and when; nothing is sent."""
    # Needs no stack; the option is there because every command has it.
    assumed = Assumptions(
        approve_after=_delay("--approve-after", approve_after),
        confirm_after=_delay("--confirm-after", confirm_after),
    )
    policy = _read(lambda: load_policy(file))
    other = _read(lambda: load_policy(against)) if against else None
    recording = _read(lambda: read_recording(signals))
    count, people = _people(customers, accounts, policy)
    test = Test(recording=recording, assumed=assumed, count=count, people=people)
    progress = _Progress()
    report = test.run((str(file), policy), (str(against), other) if other else None, progress.show)
    progress.end()
    if html is not None:
        try:
            html.write_text(page(report, CONTENT), "utf-8")
        except OSError as error:
            fail(f"{html}: cannot be written ({error.strerror})")
    if as_json:
        emit(report.data(), True)
        return
    for part in parts(report):
        emit(part, False)
    if html is not None:
        emit(f"The report: {html}", False)


def signals_from_statuspage(
    file: Annotated[Path, typer.Argument(help="incidents.json of a Statuspage, or JSON Lines.")],
    out: Annotated[Path, typer.Argument(help="A new folder for signals and messages.")],
    components: Annotated[
        Path | None,
        typer.Option("--components", help="YAML: name on the page → component; '*' for the rest."),
    ] = None,
    policy_file: Annotated[
        Path | None, typer.Option("--policy", help="Whose components; default: the one in force.")
    ] = None,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    as_json: AsJson = False,
) -> None:
    """Make signals of a status page's history, to back-test a policy on it."""
    rules = policy_file or Path(environment().get("FOREWARN_POLICY") or DEFAULT_POLICY)
    policy = _read(lambda: load_policy(rules))
    incidents = _read(lambda: read_history(file))
    mapping = _read(lambda: read_mapping(components, policy)) if components else {}
    converted = convert(incidents, policy, mapping)
    paths = _read(lambda: write(converted, out))
    if converted.unknown:
        named = [f"{name} ({n})" for name, n in list(converted.unknown.items())[:UNKNOWN_SHOWN]]
        more = len(converted.unknown) - len(named)
        rest = f" and {more} more" if more > 0 else ""
        sys.stderr.write(
            one_line(
                f"components that the policy does not know: {', '.join(named)}{rest}; "
                "map them with --components or under `services` of the policy"
            )
            + "\n"
        )
    emit(
        {
            "incidents": len(incidents),
            "signals": len(converted.signals),
            "messages": len(converted.messages),
            "incidents_without_component": converted.unnamed,
            "unknown_components": converted.unknown,
            "files": [str(path) for path in paths],
        },
        as_json,
    )


class _Progress:
    """Says on stderr how far it is, once it takes noticeably long."""

    def __init__(self) -> None:
        self._last = time.monotonic()
        self._shown = False

    def show(self, done: int, of: int) -> None:
        if time.monotonic() - self._last < QUIET_SECONDS:
            return
        self._last, self._shown = time.monotonic(), True
        ending = "" if sys.stderr.isatty() else "\n"
        sys.stderr.write(f"\r{done} of {of} signals played{ending}")
        sys.stderr.flush()

    def end(self) -> None:
        if self._shown and sys.stderr.isatty():
            sys.stderr.write("\n")


def _people(path: Path | None, accounts: int, policy: Policy) -> tuple[Count, str]:
    """Who is counted, and the words for it in the report's assumptions."""
    if path is None:
        return Assumed(accounts), f"assumed: {accounts} accounts, one contact each"
    rows = _read(lambda: _customers(path, policy))
    return Counted(rows), f"counted in {path.name}: {len(rows)} contacts"


def _customers(path: Path, policy: Policy) -> list[CustomerRow]:
    rows: list[CustomerRow] = []
    try:
        with path.open("rb") as lines:
            for _, row in CustomersFile(lines, Allowed.by(policy, available_timezones()), False):
                if isinstance(row, list):
                    raise BadInput(str(path), row)
                rows.append(row)
    except OSError as error:
        raise BadInput(f"{path}: cannot be read ({error.strerror})") from None
    return rows


def _delay(option: str, given: str) -> timedelta | None:
    if given.strip().lower() == NEVER:
        return None
    try:
        return parse_duration(given)
    except ValueError:
        usage(f"{option}: got {given!r}; allowed: a duration like 20s, 3m, 1h, or never")


def _read(read: Callable[[], Any]) -> Any:
    """What reading a file gives; bad input ends the command with one line for each fault."""
    try:
        return read()
    except BadInput as error:
        # A policy's message has its fields in it already, one on each line.
        lines = str(error).splitlines()
        if len(lines) == 1 and error.errors and error.errors[0].field not in lines[0]:
            lines = [f"{lines[0]}: {field_line(e.model_dump())}" for e in error.errors]
        for line in lines:
            sys.stderr.write(one_line(line) + "\n")
        raise typer.Exit(1) from None
