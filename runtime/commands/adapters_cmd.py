"""`adapters …`: which vendors there are, and whether each can be used as configured."""

from __future__ import annotations

import asyncio
import inspect
from typing import Annotated, Any

import typer
from pydantic import ValidationError

from adapters import registry
from adapters.base import AdapterSpec
from domain.errors import ForewarnError
from runtime.commands.common import DEFAULT_DATA_DIR, AsJson, DataDir, emit, fail, one_line
from runtime.settings import explain

app = typer.Typer(help="List and check adapters.", no_args_is_help=True)


@app.command("list")
def list_(data_dir: DataDir = DEFAULT_DATA_DIR, as_json: AsJson = False) -> None:
    """List every adapter and what it can do."""
    rows = [
        {"kind": s.kind, "name": s.name, "roles": list(s.roles), "summary": s.summary}
        for s in registry.all_adapters()
    ]
    emit(rows, as_json)


@app.command()
def check(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="Only this one.")] = None,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    as_json: AsJson = False,
) -> None:
    """Check settings and, where an adapter can, its connection; exit 1 if one is wrong."""
    specs = [s for s in registry.all_adapters() if name in (None, s.name)]
    if not specs:
        known = ", ".join(sorted({s.name for s in registry.all_adapters()}))
        fail(f"No adapter {name}: there are {known}")
    rows = [_check(spec) for spec in specs]
    emit(rows, as_json)
    if any(row["result"] == "wrong" for row in rows):
        raise typer.Exit(1)


def _check(spec: AdapterSpec) -> dict[str, Any]:
    row = {"kind": spec.kind, "name": spec.name}
    try:
        settings = spec.settings()
    except ValidationError as error:
        lines = list(explain(spec.settings, error))
        missing = all(item["type"] == "missing" for item in error.errors())
        result = "not configured" if missing else "wrong"
        return {**row, "result": result, "detail": "; ".join(lines)}
    if not spec.settings.model_fields:
        return {**row, "result": "ok", "detail": "needs no settings"}
    if not settings.model_dump(exclude_none=True, exclude_defaults=True):
        return {**row, "result": "not configured", "detail": "no setting of its own is set"}
    if "check" not in spec.roles:
        return {**row, "result": "configured", "detail": "its settings are well formed"}
    try:
        answer = asyncio.run(_ask(spec.build(settings)))
    except (ForewarnError, OSError) as error:
        return {**row, "result": "wrong", "detail": one_line(str(error))}
    return {**row, "result": "ok", "detail": one_line(str(answer or "it answers"))}


async def _ask(adapter: Any) -> object:
    answer = adapter.check()
    return await answer if inspect.isawaitable(answer) else answer
