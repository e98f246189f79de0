"""`draft check`: validates a hand-written draft before anybody is asked to approve it."""

from __future__ import annotations

from typing import Annotated

import typer

from runtime.commands.approval import read_texts
from runtime.commands.common import (
    DEFAULT_DATA_DIR,
    AsJson,
    DataDir,
    call,
    emit,
    open_gateway,
    usage,
)
from runtime.commands.incident import IncidentRef, find, read_file

app = typer.Typer(help="Check drafts.", no_args_is_help=True)


@app.callback()
def draft() -> None:
    """Check drafts."""


@app.command()
def check(
    incident: IncidentRef,
    file: Annotated[str, typer.Argument(metavar="FILE|-", help="JSON of one draft text.")],
    data_dir: DataDir = DEFAULT_DATA_DIR,
    as_json: AsJson = False,
) -> None:
    """Print the rules a text breaks against the incident's facts; exit 1 if there are any."""
    texts = read_texts(read_file(file), file)
    if len(texts) != 1:
        usage(f"{file}: expected one text")
    with open_gateway(data_dir) as client:
        path = f"/api/incidents/{find(client, incident)['id']}/draft-check"
        findings = call(client, "POST", path, json=texts[0])["findings"]
    if findings or as_json:
        emit(findings, as_json)
    else:
        typer.echo("no findings")
    if findings:
        raise typer.Exit(1)
