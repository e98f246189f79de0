"""`draft check` and `draft diff`: which rules a text breaks, and what an edit changed."""

from __future__ import annotations

from typing import Annotated

import typer

from runtime.commands.approval import read_texts, show_changes
from runtime.commands.common import (
    DEFAULT_DATA_DIR,
    AsJson,
    DataDir,
    call,
    emit,
    open_gateway,
    usage,
)
from runtime.commands.incident import IncidentRef, find, pending_version, read_file

app = typer.Typer(help="Check and compare drafts.", no_args_is_help=True)


@app.callback()
def draft() -> None:
    """Check and compare drafts."""


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


@app.command()
def diff(
    incident: IncidentRef,
    draft: Annotated[
        int | None, typer.Option("--draft", min=1, help="Version; default: the pending.")
    ] = None,
    against: Annotated[
        int | None,
        typer.Option("--against", min=1, help="Compare with this; default: what it was edited of."),
    ] = None,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    as_json: AsJson = False,
) -> None:
    """Print what a version changed in the one that it was edited from."""
    with open_gateway(data_dir) as client:
        found = find(client, incident)
        version = draft or pending_version(found)
        path = f"/api/incidents/{found['id']}/drafts/{version}/changes"
        given = {"against": against} if against else {}
        done = call(client, "GET", path, params=given)
    if as_json:
        emit(done, as_json)
    elif done["against"] is None:
        typer.echo(f"version {version} is no edit of another")
    elif not done["changes"]:
        typer.echo(f"version {version} says the same as version {done['against']}")
    else:
        show_changes(done["changes"])
