"""`sends pause` and `sends resume`: the kill switch, straight in the database."""

from __future__ import annotations

import getpass
from datetime import UTC, datetime

import typer

from adapters.db.engine import make_engine
from adapters.db.switches import Switches
from runtime.commands.common import (
    DEFAULT_DATA_DIR,
    AsJson,
    DataDir,
    database_url,
    emit,
    run_async,
)

app = typer.Typer(help="The kill switch: nothing leaves, nothing is lost.", no_args_is_help=True)


@app.command()
def pause(data_dir: DataDir = DEFAULT_DATA_DIR, as_json: AsJson = False) -> None:
    """Stop everything that leaves, within one batch."""
    changed = run_async(_switch(database_url(data_dir), True))
    _say(True, changed, as_json)


@app.command()
def resume(data_dir: DataDir = DEFAULT_DATA_DIR, as_json: AsJson = False) -> None:
    """Let messages leave again; what has become stale meanwhile is dropped."""
    changed = run_async(_switch(database_url(data_dir), False))
    _say(False, changed, as_json)


def _say(paused: bool, changed: bool, as_json: bool) -> None:
    if as_json:
        emit({"paused": paused, "changed": changed}, as_json=True)
        return
    state = "paused" if paused else "running"
    emit(f"sends are {state}" if changed else f"sends were {state} already", as_json=False)


async def _switch(url: str, active: bool) -> bool:
    engine = make_engine(url, pool_size=1)
    switches, now = Switches(engine), datetime.now(UTC)
    try:
        return await (switches.pause(_user(), now) if active else switches.resume(_user(), now))
    finally:
        await engine.dispose()


def _user() -> str:
    try:
        return f"command line: {getpass.getuser()}"
    # A process without a name in the system's user table.
    except (KeyError, OSError):
        return "command line"
