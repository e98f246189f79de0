"""`post-mortem`: read the internal document, state what only humans know."""

from __future__ import annotations

import json
from enum import StrEnum
from typing import Annotated

import typer

from runtime.commands.common import (
    DEFAULT_DATA_DIR,
    AsJson,
    DataDir,
    call,
    cell,
    emit,
    fail,
    open_gateway,
    usage,
)
from runtime.commands.incident import IncidentRef, find, read_file

app = typer.Typer(help="Read post-mortems, state what only humans know.", no_args_is_help=True)


class Form(StrEnum):
    MARKDOWN = "markdown"
    HTML = "html"


@app.callback()
def post_mortem() -> None:
    """Read post-mortems, state what only humans know."""


@app.command()
def show(
    incident: IncidentRef,
    form: Annotated[Form, typer.Option("--form", help="How to print it.")] = Form.MARKDOWN,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    as_json: AsJson = False,
) -> None:
    """Print the internal document."""
    with open_gateway(data_dir) as client:
        path = f"/api/incidents/{find(client, incident)['id']}/post-mortem"
        found = call(client, "GET", path)
    if as_json:
        emit(found, as_json)
    elif found["markdown"] is None:
        fail(f"Nothing is written yet: the post-mortem is {found['state']}")
    else:
        typer.echo(cell(found[form.value]))


@app.command()
def write(
    incident: IncidentRef,
    file: Annotated[
        str,
        typer.Argument(
            metavar="FILE|-",
            help='JSON: "summary", "cause", "fixed", "root_cause", "error_rate_percent", '
            '"prevention": [{"text", "owner", "due", "visible"}]; what is left out is not known.',
        ),
    ],
    data_dir: DataDir = DEFAULT_DATA_DIR,
    as_json: AsJson = False,
) -> None:
    """State what happened; a draft under review is written anew with it."""
    try:
        statement = json.loads(read_file(file))
    except ValueError as error:
        usage(f"{file} is not JSON: {error}")
    with open_gateway(data_dir) as client:
        path = f"/api/incidents/{find(client, incident)['id']}/post-mortem"
        emit(call(client, "POST", path, json=statement), as_json)
