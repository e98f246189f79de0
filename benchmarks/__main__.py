"""Measures and reports: python -m benchmarks [--only NAME ...] [--quick] [--json FILE]."""

from __future__ import annotations

import argparse
import asyncio
import importlib
import pkgutil
import shlex
import sys
import tempfile
import time
import traceback
from collections.abc import Awaitable, Callable
from pathlib import Path

from rich.console import Console

import benchmarks
from benchmarks.harness import Bench, Figure, NotMeasured, not_measured
from benchmarks.report import machine, print_table, table_width, write_json, write_markdown

PLUMBING = {"__main__", "harness", "report"}
Run = Callable[[Bench], Awaitable[list[Figure]]]


def names() -> list[str]:
    """Every benchmark: the modules of this package, but for the plumbing; programs are deeper."""
    found = pkgutil.iter_modules(benchmarks.__path__)
    return sorted(m.name for m in found if not m.ispkg and m.name not in PLUMBING)


def main() -> int:
    """Run what was asked for; 1 when a benchmark broke."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=names(), default=names(), metavar="NAME")
    parser.add_argument("--quick", action="store_true", help="small sizes, to see that it works")
    parser.add_argument("--json", type=Path, help="where to write the figures for programs")
    parser.add_argument("--markdown", type=Path, help="where to write the tables for people")
    arguments = parser.parse_args()
    facts = machine(f"python -m benchmarks {shlex.join(sys.argv[1:])}".strip())
    figures: dict[str, list[Figure]] = {}
    broken = False
    with tempfile.TemporaryDirectory(prefix="forewarn-bench-") as folder:
        # PostgreSQL runs as somebody else where we are root.
        Path(folder).chmod(0o711)
        for name in arguments.only:
            began = time.monotonic()

            def say(what: str, name: str = name, began: float = began) -> None:
                print(f"[{name} {time.monotonic() - began:6.1f} s] {what}", flush=True)

            say("begins")
            bench = Bench(Path(folder), arguments.quick, say)
            try:
                figures[name] = asyncio.run(measured(name, bench))
            except NotMeasured as missing:
                say(str(missing))
                figures[name] = [not_measured(name, "", missing)]
            # One that breaks must not take the others' figures with it; the exit code tells.
            except Exception as error:
                broken = True
                traceback.print_exc()
                figures[name] = [not_measured(name, "", f"{type(error).__name__}: {error}"[:200])]
            say("ends")
            if arguments.json:
                write_json(arguments.json, facts, figures)
            if arguments.markdown:
                write_markdown(arguments.markdown, facts, figures)
    console = Console()
    if not console.is_terminal:
        console = Console(width=table_width([f for found in figures.values() for f in found]))
    print_table(console, figures)
    return 1 if broken else 0


async def measured(name: str, bench: Bench) -> list[Figure]:
    """The figures of one benchmark."""
    run: Run = importlib.import_module(f"benchmarks.{name}").run
    return await run(bench)


if __name__ == "__main__":
    sys.exit(main())
