"""`approve`, `reject`, `edit`: decisions on the draft that waits."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

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
from runtime.commands.incident import (
    IncidentRef,
    Reason,
    draft_texts,
    find,
    pending_version,
    read_file,
)

app = typer.Typer()
DraftOption = Annotated[
    int | None, typer.Option("--draft", min=1, help="Version to decide on; default: the pending.")
]
EDITABLE = ("channel", "locale", "subject", "text", "html")


@app.command()
def approve(
    incident: IncidentRef,
    draft: DraftOption = None,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    as_json: AsJson = False,
) -> None:
    """Let the pending draft go out."""
    with open_gateway(data_dir) as client:
        found = find(client, incident)
        body = {"draft": draft or pending_version(found), "decision": "approve"}
        done = call(client, "POST", f"/api/incidents/{found['id']}/decision", json=body)
        emit(done, as_json)
    if done["state"] == "pending" and not as_json:
        typer.echo("Not out yet: the policy wants a second approval, by another person.")


@app.command()
def reject(
    incident: IncidentRef,
    draft: DraftOption = None,
    reason: Reason = "",
    data_dir: DataDir = DEFAULT_DATA_DIR,
    as_json: AsJson = False,
) -> None:
    """Send the pending draft back."""
    with open_gateway(data_dir) as client:
        found = find(client, incident)
        version = draft or pending_version(found)
        body = {"draft": version, "decision": "reject", "reason": reason}
        emit(call(client, "POST", f"/api/incidents/{found['id']}/decision", json=body), as_json)


@app.command()
def edit(
    incident: IncidentRef,
    draft: DraftOption = None,
    file: Annotated[
        str | None,
        typer.Option("--file", help="JSON of changed texts, or `-`; default: open $EDITOR."),
    ] = None,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    as_json: AsJson = False,
) -> None:
    """Change texts of the pending draft; the result is a new version that waits."""
    with open_gateway(data_dir) as client:
        found = find(client, incident)
        version = draft or pending_version(found)
        if file is None:
            edits = _by_hand(draft_texts(client, found["id"], version, raw=True))
        else:
            edits = read_texts(read_file(file), file)
        body = {"draft": version, "decision": "edit", "edits": edits}
        done = call(client, "POST", f"/api/incidents/{found['id']}/decision", json=body)
    if as_json:
        emit(done, as_json)
        return
    changes = done.pop("changes", [])
    emit(done, as_json)
    show_changes(changes)


def show_changes(changes: list[dict[str, Any]]) -> None:
    """Print text diffs, each under the place that it changes."""
    for change in changes:
        typer.echo(f"\n{change['channel']} {change['locale']} {change['field']}")
        typer.echo(cell(change["diff"]))


def _by_hand(texts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    before = [{key: text[key] for key in EDITABLE} for text in texts]
    written = _in_editor(json.dumps(before, ensure_ascii=False, indent=2))
    edits = [text for text in read_texts(written, "the edited text") if text not in before]
    if not edits:
        fail("Nothing was changed")
    return edits


def _in_editor(content: str) -> str:
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR")
    if not editor:
        usage("EDITOR is not set: set it, or give the changed texts with --file")
    with TemporaryDirectory() as folder:
        path = Path(folder) / "draft.json"
        path.write_text(content, encoding="utf-8")
        if subprocess.run([*shlex.split(editor), str(path)], check=False).returncode != 0:
            fail("The editor ended with an error: nothing was changed")
        return path.read_text(encoding="utf-8")


def read_texts(content: str, name: str) -> list[dict[str, Any]]:
    """One text or a list of them, each `{"channel", "locale", "subject", "text", "html"}`."""
    try:
        value = json.loads(content)
    except ValueError as error:
        usage(f"{name} is not JSON: {error}")
    texts = value if isinstance(value, list) else [value]
    if not all(isinstance(text, dict) for text in texts):
        usage(f'{name}: expected {{"channel", "locale", "subject", "text", "html"}} or a list')
    return texts
