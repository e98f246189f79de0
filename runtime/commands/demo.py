"""`demo`: the whole stack, and one incident played on it from alert to post-mortem."""

from __future__ import annotations

import asyncio
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from adapters import registry
from adapters.db.engine import make_engine
from adapters.db.migrate import upgrade
from adapters.db.sample_customers import load
from runtime.commands.common import fail
from runtime.commands.up import DEFAULT_PORT, addresses, create_token
from runtime.demo import Demo, DemoFailed
from runtime.processes import StartError
from runtime.stack import StackOptions, run_stack
from runtime.stack_state import StackInfo, client_environment

app = typer.Typer()
ROOT = Path(__file__).parents[2]
POLICY = ROOT / "content" / "policy" / "demo.yaml"
DEMO_DIR = Path(".forewarn") / "demo"
CUSTOMERS = 40
SEED = 11
INTRODUCTION = """Acme Cloud, a company with {customers} made-up customer accounts, has an incident.
You see what Forewarn does, from the first alert to the post-mortem; one person, the on-call
manager, decides. Grey lines are the incident's timeline. Here a promise lasts seconds, not an
hour."""


@app.command()
def demo(
    port: Annotated[int, typer.Option("--port", min=1, max=65535)] = DEFAULT_PORT,
    no_wait: Annotated[
        bool, typer.Option("--no-wait", help="End after the incident; exit 0 if all happened.")
    ] = False,
    data_dir: Annotated[
        Path, typer.Option("--data-dir", help="Emptied first, then filled.")
    ] = DEMO_DIR,
) -> None:
    """Play an incident on a stack of its own, and leave everything up to look around."""
    console = Console(highlight=False, soft_wrap=True)
    if (data_dir / "postgres").is_dir():
        shutil.rmtree(data_dir)
    options = StackOptions(
        port=port,
        data_dir=data_dir,
        sources=tuple(spec.name for spec in registry.monitors()),
        create_token=create_token,
        upgrade=upgrade,
        extra_environment={"FOREWARN_POLICY": str(POLICY)},
    )

    async def ready(info: StackInfo) -> int | None:
        secret = client_environment(data_dir)["FOREWARN_SECRET_KEY"]
        player = Demo(info, secret, console.print)
        _links(console, info, player.banner)
        await _customers(info)
        console.print(f"\n{INTRODUCTION.format(customers=CUSTOMERS)}")
        try:
            await player.play()
        except DemoFailed as failure:
            console.print(f"[red]✗[/red]  {failure}")
            return 1
        console.print("\n[bold green]Every step happened.[/bold green]")
        if no_wait:
            return 0
        console.print("\nEverything stays up to look around; Ctrl-C stops it.")
        _links(console, info, player.banner)
        report = f"{info.gateway}/incidents/{player.incident}"
        console.print(f"   {'report':12} {report}")
        console.print(f"   {'timeline':12} {info.gateway}/console/incidents/{player.incident}")
        return None

    try:
        code = asyncio.run(run_stack(options, lambda line: console.print(f"   {line}"), ready))
    except StartError as error:
        fail(str(error))
    raise typer.Exit(code)


def _links(console: Console, info: StackInfo, banner: str) -> None:
    for name, address in {**addresses(info), "banner": banner}.items():
        console.print(f"   {name:12} {address}")
    console.print(f"   {'token':12} {info.token}   (signs you in to the console)")


async def _customers(info: StackInfo) -> None:
    engine = make_engine(info.database_url, pool_size=1)
    try:
        await load(engine, CUSTOMERS, SEED, datetime.now(UTC))
    finally:
        await engine.dispose()
