"""Forewarn's command line: `python starter.py COMMAND --help`."""

from __future__ import annotations

import typer

from runtime.commands import (
    adapters_cmd,
    approval,
    audit,
    customers,
    db,
    demo,
    draft,
    incident,
    policy,
    sends,
    signal,
    tokens,
    up,
)

app = typer.Typer(
    name="starter.py",
    help="Forewarn: the right message to the right customers while something is broken.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for single in (up, demo, signal, approval):
    app.add_typer(single.app)
GROUPS = {
    "incident": incident,
    "draft": draft,
    "policy": policy,
    "customers": customers,
    "audit": audit,
    "sends": sends,
    "adapters": adapters_cmd,
    "db": db,
    "tokens": tokens,
}
for name, group in GROUPS.items():
    app.add_typer(group.app, name=name)

if __name__ == "__main__":
    app()
