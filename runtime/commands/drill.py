"""`drill`: plays a recorded incident through the running stack, in dry run, for training."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import httpx2
import typer
import yaml
from pydantic import SecretStr
from rich.console import Console

from adapters import registry
from adapters.base import MonitorSettings
from domain.drill import MAX_SPEED
from domain.errors import BadInput, Refused
from runtime.backtest.signals import read_recording
from runtime.commands.common import (
    DEFAULT_DATA_DIR,
    PIPED_WIDTH,
    AsJson,
    DataDir,
    call,
    cell,
    emit,
    fail,
    field_line,
    open_gateway,
)
from runtime.commands.incident import pages
from runtime.drill import Drill, one_incident
from runtime.settings import load_settings
from runtime.stack_state import read_stack

app = typer.Typer()
WORDS = Path(__file__).parents[2] / "content" / "backtest" / "words.yaml"
SOURCE = "generic"


@app.command()
def drill(
    recording: Annotated[Path, typer.Argument(help="Recorded signals: a folder or a file.")],
    incident: Annotated[
        str | None, typer.Option("--incident", help="Which one, if it holds several.")
    ] = None,
    speed: Annotated[
        int, typer.Option(min=1, max=MAX_SPEED, help="So many times faster than it was.")
    ] = 60,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    as_json: AsJson = False,
) -> None:
    """Play one recorded incident through the running stack; nothing of it leaves."""
    words: dict[str, str] = yaml.safe_load(WORDS.read_text("utf-8"))["drill"]
    try:
        signals = one_incident(read_recording(recording), incident)
    except BadInput as error:
        fail("; ".join([str(error), *(field_line(e.model_dump()) for e in error.errors)]))
    console = Console(width=PIPED_WIDTH, highlight=False, markup=False, stderr=as_json)

    def say(line: str) -> None:
        console.print(cell(line))

    with open_gateway(data_dir) as client:
        try:
            played = Drill(_Running(client, data_dir), words["mark"], say).play(signals, speed)
        except Refused as refused:
            fail(str(refused))
        found = [_outcome(client, incident_id) for incident_id in played]
        if as_json:
            emit(found, True)
            return
        say(words["played"].format(speed=speed))
        for one in found:
            say(f"{client.base_url}/console/incidents/{one['id']}".replace("//console", "/console"))
            emit([{"channel": c, **states} for c, states in one["deliveries"].items()], False)


class _Running:
    """The gateway of the running stack."""

    def __init__(self, client: httpx2.Client, data_dir: Path) -> None:
        self._client = client
        spec = registry.get("monitor", SOURCE)
        settings = load_settings(spec.settings)
        self._monitor = spec.build(settings)
        secret = settings.webhook_secret if isinstance(settings, MonitorSettings) else None
        found = read_stack(data_dir)
        self._secret = secret or SecretStr(found.secrets.get(SOURCE, "") if found else "")

    def takes_drills(self) -> bool:
        described = call(self._client, "GET", "/openapi.json")
        route = described.get("paths", {}).get("/webhooks/{source}", {}).get("post", {})
        return "dry_run" in {given.get("name") for given in route.get("parameters", [])}

    def deliver(self, body: dict[str, Any], speed: int) -> dict[str, Any]:
        raw = json.dumps(body).encode()
        signed = self._monitor.sign(raw, self._secret)
        answer: dict[str, Any] = call(
            self._client,
            "POST",
            f"/webhooks/{SOURCE}",
            params={"dry_run": "true", "speed": str(speed)},
            content=raw,
            headers={"Content-Type": "application/json", **signed},
        )
        return answer

    def incident(self, incident_id: str) -> dict[str, Any]:
        found: dict[str, Any] = call(self._client, "GET", f"/api/incidents/{incident_id}")
        return found

    def timeline(self, incident_id: str) -> list[dict[str, Any]]:
        return pages(self._client, f"/api/incidents/{incident_id}/timeline", {}, None)


def _outcome(client: httpx2.Client, incident_id: str) -> dict[str, Any]:
    """The incident as it stands, with what the ledger says would have gone out."""
    incident: dict[str, Any] = call(client, "GET", f"/api/incidents/{incident_id}")
    path = f"/api/incidents/{incident_id}/deliveries"
    return incident | {"deliveries": call(client, "GET", path, params={"summary": "1"})}
