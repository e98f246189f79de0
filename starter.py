"""Forewarn's command line: `python starter.py COMMAND --help`."""

from __future__ import annotations

import typer

from runtime.commands.lazy import LazyGroup

app = typer.Typer(
    name="starter.py",
    cls=LazyGroup,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.callback()
def starter() -> None:
    """Forewarn: the right message to the right customers while something is broken."""


if __name__ == "__main__":
    app()
