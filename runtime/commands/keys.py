"""`keys generate`: a key for what Temporal keeps."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from runtime.commands.common import AsJson, emit, usage
from runtime.payload_keys import new_key

HELP = "Keys that encrypt what Temporal keeps (FOREWARN_PAYLOAD_KEYS)."

app = typer.Typer(help=HELP, no_args_is_help=True)


@app.callback()
def keys() -> None:
    """Keys that encrypt what Temporal keeps (FOREWARN_PAYLOAD_KEYS)."""


@app.command()
def generate(
    key_id: Annotated[
        str | None,
        typer.Option("--id", help="How payloads name the key. Default: k and today's date."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Print a new key as an entry `id:key`; it is stored nowhere.

    First key: FOREWARN_PAYLOAD_KEYS=ENTRY for worker, gateway and commands alike, then restart.

    Rotation: 1. append the new entry (old,new) and restart everything, so that all can read it;
    2. put it first (new,old) and restart: it encrypts from now on; 3. remove the old entry when no
    workflow that began before is left in the namespace, closed ones included.

    A lost key is lost data: keep a copy where the other secrets are kept.
    """
    try:
        key = new_key(key_id or f"k{datetime.now(UTC):%Y%m%d}")
    except ValueError as error:
        usage(f"--id: {error}")
    emit({"id": key.id, "entry": key.entry} if as_json else key.entry, as_json)
