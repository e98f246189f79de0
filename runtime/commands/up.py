"""`up`: the whole stack on this machine."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from adapters import registry
from adapters.db.engine import make_engine
from adapters.db.migrate import upgrade
from adapters.db.tokens import Tokens
from domain.errors import BadInput
from domain.roles import Role
from runtime.commands.common import DEFAULT_DATA_DIR, DataDir, fail, guard_database
from runtime.policy_file import load_policy
from runtime.processes import StartError
from runtime.settings import DEFAULT_POLICY, environment
from runtime.stack import StackOptions, run_stack
from runtime.stack_state import STACK_FILE, StackInfo

app = typer.Typer()
DEFAULT_PORT = 8080
TOKEN_NAME = "local stack"


@app.command()
def up(
    port: Annotated[int, typer.Option("--port", min=1, max=65535)] = DEFAULT_PORT,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Run Temporal, PostgreSQL, worker and gateway until Ctrl-C; the data is kept."""
    check_policy(Path(environment().get("FOREWARN_POLICY") or DEFAULT_POLICY))
    options = StackOptions(
        port=port,
        data_dir=data_dir,
        sources=tuple(spec.name for spec in registry.monitors()),
        create_token=create_token,
        upgrade=upgrade,
    )

    async def ready(info: StackInfo) -> None:
        for name, address in addresses(info).items():
            typer.echo(f"{name:12} {address}")
        typer.echo(f"addresses, token and secrets stand in {data_dir / STACK_FILE}; Ctrl-C stops")

    try:
        with guard_database():
            code = asyncio.run(run_stack(options, typer.echo, ready))
    except StartError as error:
        fail(str(error))
    raise typer.Exit(code)


def check_policy(path: Path) -> None:
    """Say what is wrong with the policy before anything starts that would only crash on it."""
    try:
        load_policy(path)
    except BadInput as error:
        first, *more = str(error).splitlines()
        rest = f" (and {len(more)} more: `starter.py policy check {path}`)" if more else ""
        fail(first + rest if str(path) in first else f"{path}: {first}{rest}")


async def create_token(env: Mapping[str, str]) -> str:
    """A token with all roles for whoever runs the stack."""
    engine = make_engine(env["DATABASE_URL"], pool_size=1)
    try:
        return await Tokens(engine).create(TOKEN_NAME, [Role.ADMIN])
    finally:
        await engine.dispose()


def addresses(info: StackInfo) -> dict[str, str]:
    """Where a person can look, by name."""
    found = {
        "console": f"{info.gateway}/console",
        "status page": f"{info.gateway}/",
        "Temporal UI": info.temporal_ui,
        "mail": info.mail,
    }
    return {name: address for name, address in found.items() if address}
