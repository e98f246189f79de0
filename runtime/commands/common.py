"""What every command shares: where the stack is, how results and failures are shown."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Coroutine, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeVar

import httpx2
import psycopg
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text
from sqlalchemy.exc import DBAPIError

from domain.errors import BadInput, ForewarnError
from runtime.settings import environment
from runtime.stack_state import STACK_FILE, StackInfo, client_environment, read_stack

DEFAULT_DATA_DIR = Path(".forewarn")
# A command waits up to 10 s for Temporal inside the gateway, so the client waits longer.
TIMEOUT = httpx2.Timeout(30.0, connect=5.0)
# Piped output has no width of its own; narrower columns would cut ids in half.
PIPED_WIDTH = 200

DataDir = Annotated[
    Path, typer.Option("--data-dir", help="Where the stack keeps its data.", show_default=True)
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
T = TypeVar("T")


def fail(message: str) -> NoReturn:
    """End the command with one line on stderr and exit code 1."""
    sys.stderr.write(one_line(message) + "\n")
    raise typer.Exit(1)


def usage(message: str) -> NoReturn:
    """End the command with one line on stderr and exit code 2: it was called wrongly."""
    sys.stderr.write(one_line(message) + "\n")
    raise typer.Exit(2)


def stack(data_dir: Path) -> StackInfo:
    """The stack described in a data directory; without one the command fails."""
    try:
        found = read_stack(data_dir)
    except (OSError, ValueError):
        fail(f"{data_dir / STACK_FILE} cannot be read: start the stack with `starter.py up`")
    if found is None:
        fail(f"No stack found in {data_dir}: start one with `starter.py up`")
    return found


def database_url(data_dir: Path) -> str:
    """The database in libpq form: DATABASE_URL of the environment, else that of the stack."""
    return environment().get("DATABASE_URL") or stack(data_dir).database_url


def erasure_key(data_dir: Path) -> str | None:
    """The key that recognises erased people, of the environment, else of the stack; or None."""
    env = environment()
    given = env.get("FOREWARN_ERASURE_KEY") or env.get("FOREWARN_SECRET_KEY")
    if given or env.get("DATABASE_URL"):
        # A stack's key would be that of another database.
        return given or None
    return client_environment(data_dir).get("FOREWARN_SECRET_KEY")


def open_gateway(data_dir: Path) -> httpx2.Client:
    """A client of the staff API, signed in with the stack's token.

    FOREWARN_PUBLIC_URL with FOREWARN_TOKEN in the environment name another gateway.
    """
    env = environment()
    if env.get("FOREWARN_TOKEN") and env.get("FOREWARN_PUBLIC_URL"):
        address, token = env["FOREWARN_PUBLIC_URL"], env["FOREWARN_TOKEN"]
    else:
        found = stack(data_dir)
        address, token = found.gateway, found.token
    headers = {"Authorization": f"Bearer {token}", "Accept": "application/json"}
    # Never through a proxy of the environment: the gateway is ours, and the token is in a header.
    return httpx2.Client(base_url=address, headers=headers, timeout=TIMEOUT, trust_env=False)


def call(client: httpx2.Client, method: str, path: str, **arguments: Any) -> Any:
    """The JSON answer of the gateway; a problem or silence ends the command with its reason."""
    try:
        response = client.request(method, path, **arguments)
    except httpx2.TimeoutException:
        fail(f"The gateway at {client.base_url} gave no answer in time: see `starter.py up`")
    except httpx2.HTTPError:
        fail(f"No gateway answers at {client.base_url}: start the stack with `starter.py up`")
    if response.is_success:
        return response.json() if response.content else None
    fail(problem_line(response))


def problem_line(response: httpx2.Response) -> str:
    """A problem document as one line: what is wrong, and with which fields."""
    try:
        problem = response.json()
    except ValueError:
        problem = None
    if not isinstance(problem, dict):
        return f"The gateway answered {response.status_code}"
    line = str(problem.get("detail") or problem.get("title") or response.status_code)
    errors = [error for error in problem.get("errors") or [] if isinstance(error, dict)]
    return "; ".join([line, *(field_line(error) for error in errors)])


def field_line(error: Mapping[str, Any]) -> str:
    """One field at fault, also where the fault is a broken rule of a draft."""
    if "rule" in error:
        return f"{error.get('where')}: {error['rule']}: {error.get('found')}"
    return f"{error.get('field')}: {error.get('value')!r}; allowed: {error.get('allowed')}"


def run_async(work: Coroutine[Any, Any, T]) -> T:
    """Run a command's asynchronous part; an error made on purpose becomes one line."""
    try:
        with guard_database():
            return asyncio.run(work)
    except BadInput as error:
        fields = [field_line(item.model_dump()) for item in error.errors]
        fail("; ".join([str(error), *fields]))
    except ForewarnError as error:
        fail(str(error) or type(error).__name__)


@contextmanager
def guard_database() -> Iterator[None]:
    """Within it, a database that cannot be reached ends the command with one line."""
    try:
        yield
    except (DBAPIError, psycopg.Error) as error:
        first = str(error.orig if isinstance(error, DBAPIError) else error).splitlines()
        fail(f"The database refused: {first[0] if first else type(error).__name__}")
    except ValueError as error:
        if "DATABASE_URL" not in str(error):
            raise
        fail(str(error))


def emit(data: Any, as_json: bool) -> None:
    """Print a result: as JSON, or as a table (many) or lines (one) for a person."""
    if as_json:
        sys.stdout.write(json.dumps(data, ensure_ascii=False, indent=2, default=str) + "\n")
        return
    console = Console(width=None if sys.stdout.isatty() else PIPED_WIDTH)
    if isinstance(data, Mapping):
        for key, value in data.items():
            console.print(Text(f"{key}: ", style="bold") + Text(cell(value)))
    elif isinstance(data, Sequence) and not isinstance(data, str):
        console.print(table(data) if data else Text("nothing"))
    else:
        console.print(Text(cell(data)))


def table(rows: Iterable[Mapping[str, Any]], columns: Sequence[str] | None = None) -> Table:
    """Rows as a table, with all their keys as columns unless some are named."""
    rows = list(rows)
    names = list(columns or dict.fromkeys(key for row in rows for key in row))
    out = Table(*names, box=None, header_style="bold", pad_edge=False)
    for row in rows:
        out.add_row(*(Text(cell(row.get(name))) for name in names))
    return out


def cell(value: Any) -> str:
    """A value as a person reads it, with nothing in it that steers a terminal."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return " ".join(f"{key}={cell(item)}" for key, item in value.items()) or "-"
    if isinstance(value, list | tuple):
        return ", ".join(cell(item) for item in value) or "-"
    return "".join(c for c in str(value) if c.isprintable() or c == "\n")


def one_line(message: str) -> str:
    """The message without line breaks and control characters."""
    text = " ".join(message.split())
    return "".join(c for c in text if c.isprintable())
