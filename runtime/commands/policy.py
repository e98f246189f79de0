"""`policy check`: whether a policy file holds together, and what it leaves open."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text
from sqlalchemy.exc import SQLAlchemyError

from adapters.db.customers import CustomerStore
from adapters.db.engine import make_engine
from adapters.registry import all_adapters
from domain.errors import BadInput
from domain.message import Channel
from domain.policy import Policy
from domain.policy_check import gate_table
from domain.policy_gaps import gaps
from domain.signal import Severity
from runtime.commands import policy_rule
from runtime.commands.backtest import backtest, signals_from_statuspage
from runtime.commands.common import (
    DEFAULT_DATA_DIR,
    PIPED_WIDTH,
    AsJson,
    DataDir,
    database_url,
    emit,
    one_line,
    run_async,
)
from runtime.policy_file import load_policy
from runtime.policy_report import (
    NONE,
    Cells,
    cells,
    complete,
    unknown_sources,
    unsendable,
    words_missing,
)
from runtime.policy_schema import policy_schema_text
from runtime.settings import environment
from runtime.stack_state import STACK_FILE

CONTENT = Path(__file__).parents[2] / "content"

app = typer.Typer(help="The communication plan.", no_args_is_help=True)
app.command()(policy_rule.apply)
app.command()(policy_rule.reload)
app.command("list")(policy_rule.list_policies)
app.command()(policy_rule.show)
app.command()(policy_rule.diff)
app.command()(backtest)
app.command()(signals_from_statuspage)


@app.command()
def schema(as_json: AsJson = False, data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """The JSON Schema of a policy file, for editors; `content/policy/schema.json` holds it."""
    sys.stdout.write(policy_schema_text())


@app.command()
def check(
    file: Annotated[Path, typer.Argument(help="The policy file.")],
    as_json: AsJson = False,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Say where a policy is wrong (exit 1), or what it does and what it leaves open."""
    try:
        policy = load_policy(file)
    except BadInput as error:
        if as_json:
            faults = [fault.model_dump() for fault in error.errors]
            emit({"valid": False, "errors": faults, "message": str(error)}, True)
        for line in str(error).splitlines():
            sys.stderr.write(one_line(line) + "\n")
        raise typer.Exit(1) from None
    table = cells(policy, CONTENT)
    findings = [
        *gaps(policy),
        *words_missing(policy, CONTENT),
        *unsendable(policy, all_adapters()),
        *unknown_sources(policy, all_adapters()),
        *_without_customers(policy, data_dir),
    ]
    if as_json:
        found = {"findings": findings, "gates": gate_table(policy)}
        whole = {"complete": complete(table), "table": table}
        emit({"valid": True, "hash": policy.hash, **found, **whole}, True)
        return
    emit(_summary(policy), False)
    wide = Console(width=None if sys.stdout.isatty() else PIPED_WIDTH)
    _print_findings(wide, findings)
    _print_table(wide, table)


def _print_findings(console: Console, findings: Sequence[str]) -> None:
    """By the section of the file that they are about."""
    sections: dict[str, list[str]] = {}
    for finding in findings:
        where, _, what = finding.partition(": ")
        section, _, rest = where.partition(".")
        sections.setdefault(section, []).append(f"{rest}: {what}" if rest else what)
    if not findings:
        console.print("\nnothing to look at")
        return
    console.print("\n[bold]to look at[/bold]")
    for section, lines in sections.items():
        console.print(Text(f"  {section}", style="bold"))
        for line in lines:
            console.print(Padding(Text(f"- {line}"), (0, 0, 0, 4)))


def _print_table(console: Console, table: Cells) -> None:
    channels = list(Channel)
    console.print("\n[bold]who lets what out[/bold] (- is not sent; ! has no words)")
    names = (c.value.replace("_", " ") for c in channels)
    shown = Table("severity", "moment", *names, box=None, pad_edge=False)
    nowhere: dict[str, list[str]] = {}
    for severity, moments in table.items():
        for moment, found in moments.items():
            name = moment.value.replace("_", " ")
            if all(cell["gate"] == NONE for cell in found.values()):
                nowhere.setdefault(name, []).append(severity.value)
                continue
            shown.add_row(severity.value, name, *(_cell(found[c]) for c in channels))
    console.print(shown)
    console.print()
    for name, severities in nowhere.items():
        everywhere = len(severities) == len(Severity)
        console.print(f"{name}: not sent" + ("" if everywhere else f" at {', '.join(severities)}"))


def _cell(found: dict[str, str]) -> str:
    if found["gate"] == NONE:
        return "-"
    return found["gate"] + ("!" if found["template"] == "missing" else "")


def _summary(policy: Policy) -> dict[str, Any]:
    return {
        "policy": f"holds together, hash {policy.hash}",
        "company": policy.company.name,
        "locales": policy.locales,
        "components": len(policy.component_list()),
        "services": len(policy.services),
        "categories": len(policy.categories),
    }


def _without_customers(policy: Policy, data_dir: Path) -> list[str]:
    """Components that no customer uses; nothing where there is no database to ask."""
    url = environment().get("DATABASE_URL")
    if url is None and (data_dir / STACK_FILE).exists():
        url = database_url(data_dir)
    if url is None:
        return []

    async def work() -> set[str] | None:
        engine = make_engine(url, pool_size=1)
        try:
            return await CustomerStore(engine).features_in_use()
        except SQLAlchemyError:
            # The check of a file must not fail because a stack is down; nobody retries.
            return None
        finally:
            await engine.dispose()

    used = run_async(work())
    if used is None:
        return ["customers: the database gave no answer, so they were not looked at"]
    bare = [
        c.key
        for c in policy.component_list()
        if c.visible and not used & set(policy.with_children((c.key,)))
    ]
    return [f"customers: nobody uses {', '.join(bare)}"] if bare else []
