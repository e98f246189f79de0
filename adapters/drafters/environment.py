"""The two ways in which templates are read, each compiled once for all parts of a process."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from jinja2 import FileSystemLoader, StrictUndefined
from jinja2.sandbox import ImmutableSandboxedEnvironment


@cache
def plain(content_dir: Path) -> ImmutableSandboxedEnvironment:
    """Nothing is escaped: plain text comes out of it, of which `HtmlBody` makes the HTML."""
    return _environment(content_dir, autoescape=False)


@cache
def escaped(content_dir: Path) -> ImmutableSandboxedEnvironment:
    """Everything is escaped: HTML comes out of it."""
    return _environment(content_dir, autoescape=True)


def _environment(content_dir: Path, *, autoescape: bool) -> ImmutableSandboxedEnvironment:
    return ImmutableSandboxedEnvironment(
        loader=FileSystemLoader(content_dir / "templates"),
        auto_reload=False,
        undefined=StrictUndefined,
        autoescape=autoescape,
        trim_blocks=True,
        lstrip_blocks=True,
    )
