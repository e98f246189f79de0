"""`starter.py signal`: hands an alert to the running gateway as the monitor would."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import httpx2
import typer
from pydantic import SecretStr

from adapters import registry
from adapters.base import MonitorSettings
from runtime.commands.common import (
    DEFAULT_DATA_DIR,
    TIMEOUT,
    AsJson,
    DataDir,
    call,
    emit,
    fail,
    stack,
    usage,
)
from runtime.settings import environment, load_settings

app = typer.Typer()


@app.command("signal")
def signal(
    file: Annotated[str, typer.Argument(help="A file with the body, or - for standard input.")],
    source: Annotated[str, typer.Option("--source", help="Which monitor it comes from.")],
    data_dir: DataDir = DEFAULT_DATA_DIR,
    as_json: AsJson = False,
) -> None:
    """Send an alert through the webhook, signed as its source signs."""
    known = [spec.name for spec in registry.monitors()]
    if source not in known:
        usage(f"--source: value '{source}' not allowed; allowed: {', '.join(known)}")
    body = _read(file)
    spec = registry.get("monitor", source)
    settings = load_settings(spec.settings)
    secret = settings.webhook_secret if isinstance(settings, MonitorSettings) else None
    address = environment().get("FOREWARN_PUBLIC_URL")
    if secret is None or address is None:
        found = stack(data_dir)
        address = found.gateway
        secret = secret or SecretStr(found.secrets.get(source, ""))
    signed = spec.build(settings).sign(body, secret)
    headers = {"Content-Type": "application/json", **signed}
    with httpx2.Client(base_url=address, timeout=TIMEOUT, trust_env=False) as client:
        answer = call(client, "POST", f"/webhooks/{source}", content=body, headers=headers)
    emit(answer, as_json)


def _read(file: str) -> bytes:
    if file == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(file).read_bytes()
    except OSError as error:
        fail(f"{file}: {error.strerror}")
