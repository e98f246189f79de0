"""`analytics …`: what humans change most in drafts, and which gates may be relaxed."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from runtime.commands.common import (
    DEFAULT_DATA_DIR,
    AsJson,
    DataDir,
    call,
    emit,
    open_gateway,
)

app = typer.Typer(help="What the figures say.", no_args_is_help=True)


@app.callback()
def analytics() -> None:
    """What the figures say."""


@app.command()
def edits(
    since: Annotated[
        str | None, typer.Option(help="From this RFC 3339 time on; default: 90 days before.")
    ] = None,
    until: Annotated[str | None, typer.Option(help="Before this RFC 3339 time.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=100, help="Phrases of each kind.")] = 20,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    as_json: AsJson = False,
) -> None:
    """Report what humans change most: shares approved unedited, phrases removed and added."""
    given = {"since": since, "until": until, "limit": limit}
    parameters = {name: value for name, value in given.items() if value is not None}
    with open_gateway(data_dir) as client:
        report = call(client, "GET", "/api/analytics/edits", params=parameters)
    if as_json:
        emit(report, as_json)
        return
    typer.echo(f"{report['since']} to {report['until']}: {_share(report)}")
    for row in report["shares"]:
        row["share"] = f"{row['share']:.0%}"
    emit(report["shares"], as_json)
    for kind in ("removed", "added"):
        typer.echo(f"\nMost often {kind}, without facts and names:")
        emit(report[kind], as_json)
    if not report["complete"]:
        typer.echo("\nMore versions were edited than one report reads: choose a shorter window")


@app.command()
def trust(data_dir: DataDir = DEFAULT_DATA_DIR, as_json: AsJson = False) -> None:
    """Say per category whether its gate may be relaxed, from which figures, and how to accept."""
    with open_gateway(data_dir) as client:
        standings = call(client, "GET", "/api/analytics/trust")
    if as_json:
        emit(standings, as_json)
        return
    for one in standings:
        typer.echo(f"{one['category']}: {one['advice']}")
        if one["proposal"]:
            lines = one["proposal"].replace("\n", "\n    ").rstrip()
            typer.echo(f"  To accept, write this into the policy:\n    {lines}")
    if not standings:
        typer.echo("The policy has no rule of trust: nothing is ever proposed")


def _share(report: dict[str, Any]) -> str:
    if report["share_unedited"] is None:
        return "nothing was approved"
    return (
        f"{report['unedited']} of {report['approved']} approved texts "
        f"({report['share_unedited']:.0%}) went out unedited, {report['edited_versions']} edits"
    )
