"""`policy check`: whether a policy file holds together, and what it leaves open."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from sqlalchemy.exc import SQLAlchemyError

from adapters.db.customers import CustomerStore
from adapters.db.engine import make_engine
from domain.errors import BadInput
from domain.message import Channel
from domain.policy import Policy
from domain.policy_check import gaps, gate_table
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
from runtime.settings import environment
from runtime.stack_state import STACK_FILE

# How the table of gates says that a moment does not go out on a channel.
NONE = "none"

app = typer.Typer(help="The communication plan.")


app.command()(backtest)
app.command()(signals_from_statuspage)


@app.callback()
def _group() -> None:
    """The communication plan."""


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
    findings = gaps(policy) + _without_customers(policy, data_dir)
    table = gate_table(policy)
    if as_json:
        emit({"valid": True, "hash": policy.hash, "findings": findings, "gates": table}, True)
        return
    emit(_summary(policy), False)
    emit([{"finding": finding} for finding in findings], False)
    wide = Console(width=None if sys.stdout.isatty() else PIPED_WIDTH)
    channels = list(Channel)
    names = (c.value.replace("_", " ") for c in channels)
    shown = Table("severity", "moment", *names, box=None, pad_edge=False)
    nowhere: dict[str, list[str]] = {}
    for severity, moments in table.items():
        for moment, gates in moments.items():
            name = moment.value.replace("_", " ")
            if set(gates.values()) == {NONE}:
                nowhere.setdefault(name, []).append(severity.value)
                continue
            cells = ("-" if gates[c] == NONE else gates[c] for c in channels)
            shown.add_row(severity.value, name, *cells)
    wide.print(shown)
    for name, severities in nowhere.items():
        wide.print(f"sent nowhere at {', '.join(severities)}: {name}")


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
