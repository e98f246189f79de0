"""Writes what is said about settings and adapters from the code itself.

    python -m runtime.docs [--check]

`.env.example` is written whole; README.md between `<!-- generated:NAME -->` and
`<!-- /generated -->`. With --check nothing is written, and a stale file is exit code 1.
"""

import argparse
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import SecretStr
from pydantic_core import PydanticUndefined
from pydantic_settings import BaseSettings

from runtime.observing import ObservingSettings
from runtime.settings import Settings, variable_name

if TYPE_CHECKING:
    from adapters.base import AdapterSpec

ROOT = Path(__file__).resolve().parent.parent
SECTION = re.compile(
    r"(?P<start><!-- generated:(?P<name>[a-z]+) -->\n)(?P<body>.*?)(?P<end><!-- /generated -->)",
    re.DOTALL,
)
# Read by the SDK itself, so that no settings class of ours names them.
TEMPORAL_VARIABLES = (
    ("TEMPORAL_ADDRESS", "127.0.0.1:7233", "Temporal front end as host:port."),
    ("TEMPORAL_NAMESPACE", "default", "Temporal namespace."),
    ("TEMPORAL_API_KEY", "", "API key, for Temporal Cloud."),
    ("TEMPORAL_TLS", "", "`true`: TLS without an API key; see the SDK for certificates."),
    ("TEMPORAL_PROFILE", "default", "Profile of the Temporal configuration file."),
    ("TEMPORAL_DEPLOYMENT_NAME", "", "Worker versioning: the deployment a worker belongs to."),
    ("TEMPORAL_WORKER_BUILD_ID", "", "Worker versioning: the release that a worker runs."),
)
# Read by the OpenTelemetry libraries, which know some forty more.
TRACE_VARIABLES = (
    ("OTEL_EXPORTER_OTLP_ENDPOINT", "", "Collector of traces, over HTTP. Unset: no traces."),
)


class StaleDocs(ValueError):
    """A file cannot be generated into; the message says why."""


@dataclass(frozen=True)
class Variable:
    """One environment variable as the documentation shows it."""

    owner: str
    name: str
    default: str
    text: str
    required: bool = False


def variables(adapters: Sequence["AdapterSpec"]) -> list[Variable]:
    """Every variable, those of the programs first, then by adapter; each name once."""
    found = list(_of("Forewarn", Settings))
    found += [Variable("Temporal", *row) for row in TEMPORAL_VARIABLES]
    found += _of("Watching", ObservingSettings)
    found += [Variable("Watching", *row) for row in TRACE_VARIABLES]
    for adapter in adapters:
        if adapter.settings is not None:
            found += _of(f"{adapter.kind} {adapter.name}", adapter.settings)
    once: dict[str, Variable] = {}
    for variable in found:
        once.setdefault(variable.name, variable)
    return list(once.values())


def env_example(found: Sequence[Variable]) -> str:
    """The text of `.env.example`."""
    lines = ["# Written by `make docs`. Copy to .env and uncomment what you set."]
    owner = ""
    for variable in found:
        if variable.owner != owner:
            owner = variable.owner
            lines += ["", f"# --- {owner}"]
        must = "Required. " if variable.required else ""
        lines += [f"# {must}{variable.text}".rstrip(), f"#{variable.name}={variable.default}"]
    return "\n".join(lines) + "\n"


def settings_table(found: Sequence[Variable]) -> str:
    """The table of settings."""
    rows = [
        (f"`{v.name}`", v.owner, "required" if v.required else _code(v.default), v.text)
        for v in found
    ]
    return _table(("Variable", "For", "Default", "Meaning"), rows)


def adapters_table(adapters: Sequence["AdapterSpec"]) -> str:
    """The table of adapters."""
    rows = [(spec.kind, f"`{spec.name}`", ", ".join(spec.roles), spec.summary) for spec in adapters]
    return _table(("Kind", "Name", "Can", "What it is"), rows)


def fill(text: str, sections: dict[str, str]) -> str:
    """Put each section between its markers; raises StaleDocs for a missing or unknown one."""
    names = [match["name"] for match in SECTION.finditer(text)]
    for name in sections:
        if names.count(name) != 1:
            raise StaleDocs(f"needs <!-- generated:{name} --> … <!-- /generated --> exactly once")
    unknown = sorted(set(names) - set(sections))
    if unknown:
        allowed = ", ".join(sorted(sections))
        raise StaleDocs(f"generated:{unknown[0]} is not known; allowed: {allowed}")
    return SECTION.sub(lambda match: match["start"] + sections[match["name"]] + match["end"], text)


def expected(root: Path, adapters: Sequence["AdapterSpec"]) -> dict[Path, str]:
    """What each file should contain; raises StaleDocs."""
    found = variables(adapters)
    readme = root / "README.md"
    if not readme.is_file():
        raise StaleDocs("README.md: missing")
    sections = {"settings": settings_table(found), "adapters": adapters_table(adapters)}
    try:
        text = fill(readme.read_text(encoding="utf-8"), sections)
    except StaleDocs as error:
        raise StaleDocs(f"README.md: {error}") from None
    return {root / ".env.example": env_example(found), readme: text}


def main(arguments: Sequence[str] | None = None, root: Path = ROOT) -> int:
    """Write or check the files; returns the exit code."""
    # Imported here so that this module can be read without every vendor's library.
    from adapters.registry import all_adapters

    parser = argparse.ArgumentParser(prog="python -m runtime.docs", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, exit 1 when stale")
    check: bool = parser.parse_args(arguments).check
    try:
        wanted = expected(root, all_adapters())
    except StaleDocs as error:
        print(error, file=sys.stderr)
        return 1
    stale = [path for path, text in wanted.items() if _read(path) != text]
    for path in stale:
        if check:
            print(f"{path.relative_to(root)}: stale; run `make docs`", file=sys.stderr)
        else:
            path.write_text(wanted[path], encoding="utf-8")
            print(f"{path.relative_to(root)}: written")
    return 1 if check and stale else 0


def _of(owner: str, settings: type[BaseSettings]) -> Iterator[Variable]:
    for field, info in settings.model_fields.items():
        default = info.get_default(call_default_factory=False)
        required = info.is_required()
        shown = "" if required or default in (None, PydanticUndefined) else _plain(default)
        text = " ".join((info.description or settings.__doc__ or "").split())
        yield Variable(owner, variable_name(settings, field), shown, text, required)


def _plain(value: object) -> str:
    if isinstance(value, SecretStr):
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _code(text: str) -> str:
    return f"`{text}`" if text else "–"  # noqa: RUF001  # an en dash marks an empty cell


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(
        "| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines
    )


def _read(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.is_file() else None


if __name__ == "__main__":
    sys.exit(main())
