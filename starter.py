"""Forewarn's command line: `python starter.py COMMAND --help`."""

from __future__ import annotations

import os
import sys
from typing import NoReturn

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


def leave(code: int) -> NoReturn:
    """End at once: threads of the Temporal client may call into a Python that is being taken down,
    which then aborts (temporalio/sdk-python issue 300)."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    try:
        app()
    except SystemExit as ending:
        if "temporalio.bridge.temporal_sdk_bridge" in sys.modules and (
            ending.code is None or isinstance(ending.code, int)
        ):
            leave(ending.code or 0)
        raise
