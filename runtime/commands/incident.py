"""`incident …`: what a person does to incidents, through the running gateway."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import httpx2
import typer

from domain.policy_base import parse_duration
from runtime.commands.common import (
    DEFAULT_DATA_DIR,
    AsJson,
    DataDir,
    call,
    emit,
    fail,
    one_line,
    open_gateway,
    usage,
)
from runtime.commands.incident_shown import readable, short, whole

app = typer.Typer(help="Start, watch and steer incidents.", no_args_is_help=True)

IncidentRef = Annotated[
    str, typer.Argument(metavar="INCIDENT", help="An id, its beginning, or `latest`.")
]
Components = Annotated[list[str] | None, typer.Option("--component", help="May be repeated.")]
Regions = Annotated[list[str] | None, typer.Option("--region", help="May be repeated.")]
SeverityOption = Annotated[str | None, typer.Option("--severity", help="P1 to P4.")]
OptionalMessage = Annotated[str | None, typer.Option("--message", help="In words for customers.")]
Reason = Annotated[str, typer.Option("--reason", help="Why, for colleagues.")]
PAGE = 200


@app.command()
def start(
    title: Annotated[str, typer.Argument(metavar="TITLE", help="What is wrong, for colleagues.")],
    component: Components = None,
    region: Regions = None,
    severity: SeverityOption = None,
    description: Annotated[str, typer.Option(help="More about it.")] = "",
    affected_share: Annotated[
        float | None, typer.Option(help="Share of customers affected, 0 to 1.")
    ] = None,
    suspected: Annotated[
        bool, typer.Option("--suspected", help="It is not certain that customers feel it.")
    ] = False,
    separate: Annotated[
        bool, typer.Option("--separate", help="Never join an incident that is open.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Everything happens, and nothing leaves.")
    ] = False,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    as_json: AsJson = False,
) -> None:
    """Report an incident that monitoring did not see."""
    body = {
        "title": title, "components": component or [], "regions": region or [],
        "severity": severity, "description": description, "affected_share": affected_share,
        "customer_impact": not suspected, "separate": separate, "dry_run": dry_run,
    }  # fmt: skip
    with open_gateway(data_dir) as client:
        emit(call(client, "POST", "/api/incidents", json=body), as_json)


@app.command("list")
def list_(
    everything: Annotated[bool, typer.Option("--all", help="Also those that are over.")] = False,
    stage: Annotated[str | None, typer.Option(help="Only those in this stage.")] = None,
    severity: SeverityOption = None,
    waiting: Annotated[
        bool, typer.Option("--waiting", help="Only those with a draft that waits.")
    ] = False,
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 50,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    as_json: AsJson = False,
) -> None:
    """List incidents, newest first; without --all those that are open."""
    query: dict[str, Any] = {"stage": stage, "severity": severity}
    if not everything and stage is None:
        query["open"] = "true"
    if waiting:
        query["waiting"] = "true"
    given = {name: value for name, value in query.items() if value is not None}
    with open_gateway(data_dir) as client:
        items = pages(client, "/api/incidents", given, limit)
    emit(items if as_json else [short(item) for item in items], as_json)


@app.command()
def show(
    incident: IncidentRef, data_dir: DataDir = DEFAULT_DATA_DIR, as_json: AsJson = False
) -> None:
    """Show one incident, with its sub-issues and the incidents that it belongs with."""
    with open_gateway(data_dir) as client:
        # A list of incidents does not say what each belongs with.
        found = call(client, "GET", f"/api/incidents/{find(client, incident)['id']}")
    emit(found if as_json else whole(found), as_json)


@app.command()
def timeline(
    incident: IncidentRef, data_dir: DataDir = DEFAULT_DATA_DIR, as_json: AsJson = False
) -> None:
    """Show what happened, oldest first."""
    with open_gateway(data_dir) as client:
        path = f"/api/incidents/{find(client, incident)['id']}/timeline"
        lines = pages(client, path, {}, None)
    shown = ("at", "actor", "text")
    told = [readable({key: line[key] for key in shown}) for line in lines]
    emit(lines if as_json else told, as_json)


@app.command()
def update(
    incident: IncidentRef,
    message: Annotated[str, typer.Option("--message", help="In words for customers.")],
    stage: Annotated[
        str | None, typer.Option(help="investigating, identified or monitoring.")
    ] = None,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    as_json: AsJson = False,
) -> None:
    """Give customers news in your own words."""
    command(data_dir, incident, "updates", {"message": message, "stage": stage}, as_json)


@app.command()
def facts(
    incident: IncidentRef,
    cause: Annotated[str | None, typer.Option(help="The cause, in words for customers.")] = None,
    workaround: Annotated[
        str | None, typer.Option(help="What customers can do meanwhile, in words for them.")
    ] = None,
    fixed: Annotated[str | None, typer.Option(help="What was repaired.")] = None,
    prevention: Annotated[
        str | None, typer.Option(help="What keeps it from happening again.")
    ] = None,
    eta: Annotated[
        str | None,
        typer.Option(help="Expected end: 2026-01-31T14:30Z, in 45m or 2h, or `unknown`."),
    ] = None,
    affected_share: Annotated[
        float | None, typer.Option(help="Share of customers affected, 0 to 1.")
    ] = None,
    started_at: Annotated[
        str | None, typer.Option(help="When customers began to feel it: 2026-01-31T14:05Z.")
    ] = None,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    as_json: AsJson = False,
) -> None:
    """State what is known by now; the next message says it. "" takes words back."""
    given = {
        "cause": cause, "workaround": workaround, "fixed": fixed, "prevention": prevention,
        "affected_share": affected_share, "started_at": started_at,
    }  # fmt: skip
    body: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    if not body and eta is None:
        usage("Nothing is stated: give at least one of the options")
    if eta is not None:
        body["eta"] = None if eta == "unknown" else _instant(eta)
    command(data_dir, incident, "facts", body, as_json)


def _instant(given: str) -> str:
    """A time as it stands, or so long from now."""
    try:
        ahead = parse_duration(given)
    except ValueError:
        return given
    return (datetime.now(UTC) + ahead).isoformat(timespec="seconds")


@app.command()
def severity(
    incident: IncidentRef,
    to: Annotated[str, typer.Argument(metavar="SEVERITY", help="P1 to P4.")],
    reason: Reason = "",
    data_dir: DataDir = DEFAULT_DATA_DIR,
    as_json: AsJson = False,
) -> None:
    """Change how bad it is."""
    command(data_dir, incident, "severity", {"severity": to, "reason": reason}, as_json)


@app.command()
def confirm(
    incident: IncidentRef,
    component: Components = None,
    region: Regions = None,
    severity: SeverityOption = None,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    as_json: AsJson = False,
) -> None:
    """State that customers feel a suspected incident."""
    body = {"components": component or [], "regions": region or [], "severity": severity}
    command(data_dir, incident, "confirm", body, as_json)


@app.command()
def dismiss(
    incident: IncidentRef,
    reason: Reason = "",
    data_dir: DataDir = DEFAULT_DATA_DIR,
    as_json: AsJson = False,
) -> None:
    """Close a suspected incident that no customer felt."""
    command(data_dir, incident, "dismiss", {"reason": reason}, as_json)


@app.command()
def resolve(
    incident: IncidentRef,
    message: OptionalMessage = None,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    as_json: AsJson = False,
) -> None:
    """State that it is over; the all-clear follows."""
    command(data_dir, incident, "resolve", {"message": message}, as_json)


@app.command()
def acknowledge(
    incident: IncidentRef, data_dir: DataDir = DEFAULT_DATA_DIR, as_json: AsJson = False
) -> None:
    """State that you are on it, so that nobody else is asked."""
    command(data_dir, incident, "acknowledge", {}, as_json)


@app.command("hand-over")
def hand_over(
    incident: IncidentRef,
    role: Annotated[str, typer.Option("--role", help="approver or commander.")],
    to: Annotated[str, typer.Option("--to", metavar="NAME", help="Who is asked from now on.")],
    data_dir: DataDir = DEFAULT_DATA_DIR,
    as_json: AsJson = False,
) -> None:
    """Let somebody else approve, or command, from now on."""
    command(data_dir, incident, "hand-over", {"role": role, "to": to}, as_json)


@app.command()
def merge(
    incident: IncidentRef,
    into: Annotated[
        str, typer.Option("--into", metavar="INCIDENT", help="The incident that goes on.")
    ],
    data_dir: DataDir = DEFAULT_DATA_DIR,
    as_json: AsJson = False,
) -> None:
    """Let an incident go on in another one: one thread, one all-clear for everybody."""
    with open_gateway(data_dir) as client:
        path = f"/api/incidents/{find(client, incident)['id']}/merge"
        other = find(client, into)["id"]
        emit(call(client, "POST", path, json={"into": other}), as_json)


@app.command()
def split(
    incident: IncidentRef,
    components: Annotated[
        str, typer.Option("--components", metavar="KEY,KEY", help="What goes on by itself.")
    ],
    data_dir: DataDir = DEFAULT_DATA_DIR,
    as_json: AsJson = False,
) -> None:
    """Let some components go on as an incident of their own."""
    keys = [key.strip() for key in components.split(",") if key.strip()]
    command(data_dir, incident, "split", {"components": keys}, as_json)


@app.command("false-alarm")
def false_alarm(
    incident: IncidentRef,
    message: OptionalMessage = None,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    as_json: AsJson = False,
) -> None:
    """State that nothing was wrong; whoever was told otherwise is told so."""
    command(data_dir, incident, "false-alarm", {"message": message}, as_json)


@app.command()
def preview(
    incident: IncidentRef,
    moment: Annotated[
        str | None, typer.Option("--moment", help="Not what waits, but this, written now.")
    ] = None,
    message: OptionalMessage = None,
    locale: Annotated[str | None, typer.Option("--locale", help="Only this language.")] = None,
    html: Annotated[
        Path | None, typer.Option("--html", help="Write a page that shows every text as it looks.")
    ] = None,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    as_json: AsJson = False,
) -> None:
    """Show what would be said: the pending draft and whom it reaches, or the next message."""
    # Drafting needs templates, languages and stores: the other commands need not wait for them.
    from runtime.commands import preview as looks

    radius: dict[str, Any] | None = None
    with open_gateway(data_dir) as client:
        found = find(client, incident)
        waits = found["pending"] is not None and moment is None and message is None
        if waits and html is None:
            texts = draft_texts(client, found["id"], pending_version(found))
        if waits and found["audience_id"] and html is None and not as_json:
            radius = call(client, "GET", f"/api/incidents/{found['id']}/blast-radius")
    if html is not None or not waits:
        written = looks.written_now(data_dir, found["id"], moment, message)
        if html is not None:
            looks.write_page(written, locale, html)
            return
        texts = looks.as_rows(written, locale)
    texts = [text for text in texts if locale in (None, text["locale"])]
    if not texts:
        fail(f"No text of {found['id']} is in {locale!r}")
    if as_json:
        emit(texts, as_json)
        return
    if radius is not None:
        looks.show_radius(radius)
    looks.show_texts(texts)


def command(data_dir: Path, incident: str, name: str, body: dict[str, Any], as_json: bool) -> None:
    """Send a command about an incident and print its answer."""
    with open_gateway(data_dir) as client:
        path = f"/api/incidents/{find(client, incident)['id']}/{name}"
        emit(call(client, "POST", path, json=body), as_json)


def find(client: httpx2.Client, reference: str) -> dict[str, Any]:
    """The incident with this id, with an id that begins so, or the latest; fails otherwise."""
    query: dict[str, Any] = {"limit": 6}
    if reference == "latest":
        query["limit"] = 1
    elif reference.isascii() and reference.replace("_", "").isalnum():
        known = reference.startswith(("inc_", "mnt_"))
        query["prefix"] = reference if known else f"inc_{reference}"
    else:
        usage(f"{reference!r} is not an incident: give an id, its beginning, or `latest`")
    items: list[dict[str, Any]] = call(client, "GET", "/api/incidents", params=query)["items"]
    exact = [item for item in items if item["id"] == reference]
    if exact:
        return exact[0]
    if not items:
        fail(f"No incident {reference}: `starter.py incident list --all` shows those there are")
    if len(items) > 1:
        fail(f"{reference} is not unique: {', '.join(item['id'] for item in items)}")
    return items[0]


def pending_version(incident: dict[str, Any]) -> int:
    """The version that waits for a decision; fails when none does."""
    if incident["pending"] is None:
        fail(f"No draft of {incident['id']} waits for a decision")
    return int(incident["pending"]["draft"])


def draft_texts(
    client: httpx2.Client, incident_id: str, version: int, raw: bool = False
) -> list[dict[str, Any]]:
    """The texts of one version, as they will look or, with `raw`, with their placeholders."""
    query: dict[str, Any] = {"version": version, "raw": str(raw).lower()}
    path = f"/api/incidents/{incident_id}/drafts"
    texts: list[dict[str, Any]] = call(client, "GET", path, params=query)["items"]
    if not texts:
        fail(f"Incident {incident_id} has no draft version {version}")
    return texts


def pages(
    client: httpx2.Client, path: str, query: dict[str, Any], limit: int | None
) -> list[dict[str, Any]]:
    """Up to `limit` items of a list, or all of them."""
    items: list[dict[str, Any]] = []
    cursor: str | None = None
    while limit is None or len(items) < limit:
        more = {"cursor": cursor} if cursor else {}
        size = PAGE if limit is None else min(PAGE, limit - len(items))
        page = call(client, "GET", path, params={**query, **more, "limit": size})
        items += page["items"]
        cursor = page["next"]
        if cursor is None:
            break
    return items


def read_file(name: str) -> str:
    """A file's text, or standard input for `-`; ends with a usage error when it cannot be read."""
    if name == "-":
        return sys.stdin.read()
    try:
        return Path(name).read_text(encoding="utf-8")
    except (OSError, UnicodeError) as error:
        usage(one_line(f"{name} cannot be read: {error}"))
