"""`maintenance …`: what a person does to planned work, through the running gateway."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
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
    open_gateway,
    usage,
)
from runtime.commands.incident import Components, Regions, pages
from runtime.commands.incident_shown import RFC_3339_UTC

app = typer.Typer(help="Plan work, and tell customers of it.", no_args_is_help=True)

WorkRef = Annotated[
    str, typer.Argument(metavar="MAINTENANCE", help="An id, its beginning, or `latest`.")
]
Advised = Annotated[
    str, typer.Option("--advice", help="What customers should do, in words for them.")
]
Reason = Annotated[
    str | None, typer.Option("--reason", "--message", help="Why, in words for customers.")
]
Start = Annotated[
    str,
    typer.Option(
        "--starts-at", "--start", metavar="TIME", help="RFC 3339, or `2026-03-01 22:00` in UTC."
    ),
]
End = Annotated[
    str | None, typer.Option("--ends-at", "--end", metavar="TIME", help="Or give --lasts.")
]
Lasts = Annotated[str | None, typer.Option("--lasts", "--duration", help="How long: 90m, 2h.")]
Objections = Annotated[
    str | None,
    typer.Option("--objections-until", metavar="TIME", help="Until when customers may object."),
]
# EX_TEMPFAIL of sysexits.h, which mail systems know.
TEMPORARY_FAILURE = 75
SHOWN = ("id", "stage", "title", "components", "starts_at", "ends_at", "impact", "pending")


@app.command()
def schedule(
    title: Annotated[str, typer.Argument(metavar="TITLE", help="What is done, for customers.")],
    starts_at: Start,
    component: Components = None,
    region: Regions = None,
    ends_at: End = None,
    lasts: Lasts = None,
    impact: Annotated[
        str, typer.Option("--impact", help="unavailable, degraded or none.")
    ] = "degraded",
    description: Annotated[str, typer.Option(help="More about it, for customers.")] = "",
    advice: Advised = "",
    objections_until: Objections = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Do everything but send.")] = False,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    as_json: AsJson = False,
) -> None:
    """Plan work; its notice is drafted at once and waits for approval."""
    body = _window(starts_at, ends_at, lasts, objections_until) | {
        "title": title, "components": component or [], "regions": region or [], "impact": impact,
        "description": description, "advice": advice, "dry_run": dry_run,
    }  # fmt: skip
    with open_gateway(data_dir) as client:
        made = call(client, "POST", "/api/maintenances", json=body)
    emit(made if as_json else _readable(made), as_json)


@app.command("list")
def list_(
    everything: Annotated[bool, typer.Option("--all", help="Also those that are over.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 50,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    as_json: AsJson = False,
) -> None:
    """List planned work, the latest start first; without --all what is not over."""
    query = {} if everything else {"open": "true"}
    with open_gateway(data_dir) as client:
        items = pages(client, "/api/maintenances", query, limit)
    emit(items if as_json else [_readable(i, SHOWN) for i in items], as_json)


@app.command()
def show(
    maintenance: WorkRef, data_dir: DataDir = DEFAULT_DATA_DIR, as_json: AsJson = False
) -> None:
    """Show one maintenance."""
    with open_gateway(data_dir) as client:
        found = _find(client, maintenance)
    emit(found if as_json else _readable(found), as_json)


@app.command()
def advise(
    estimate: Annotated[str, typer.Argument(metavar="ESTIMATE", help="How long: 90m, 2h.")],
    component: Components = None,
    region: Regions = None,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    as_json: AsJson = False,
) -> None:
    """Say how long to plan for, and when fewest customers are at work."""
    query = {"estimate": estimate, "component": component or [], "region": region or []}
    with open_gateway(data_dir) as client:
        found = call(client, "GET", "/api/maintenances/advice", params=query)
    if as_json:
        emit(found, as_json)
        return
    emit({"estimate": f"{found['estimate']} min", "plan for": f"{found['lasts']} min"}, as_json)
    if found["enough_data"]:
        emit([_readable(window) for window in found["windows"]], as_json)
    else:
        emit({"quietest hours": f"not enough data ({found['readings']} readings)"}, as_json)


@app.command()
def start(
    maintenance: WorkRef, data_dir: DataDir = DEFAULT_DATA_DIR, as_json: AsJson = False
) -> None:
    """State that the work begins now."""
    _command(data_dir, maintenance, "start", {}, as_json)


@app.command()
def reschedule(
    maintenance: WorkRef,
    starts_at: Start,
    ends_at: End = None,
    lasts: Lasts = None,
    objections_until: Objections = None,
    reason: Reason = None,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    as_json: AsJson = False,
) -> None:
    """Move it; everybody who was told is told the old and the new times."""
    body = _window(starts_at, ends_at, lasts, objections_until) | {"reason": reason}
    _command(data_dir, maintenance, "reschedule", body, as_json)


@app.command()
def extend(
    maintenance: WorkRef,
    ends_at: End = None,
    by: Annotated[
        str | None, typer.Option("--by", help="How much longer than planned: 30m, 1h.")
    ] = None,
    reason: Reason = None,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    as_json: AsJson = False,
) -> None:
    """State that it takes longer, until when and why."""
    if (ends_at is None) == (by is None):
        usage("Give either --ends-at or --by")
    with open_gateway(data_dir) as client:
        found = _find(client, maintenance)
        if by is not None:
            end = datetime.fromisoformat(found["ends_at"]) + _length("--by", by)
        else:
            end = _instant("--ends-at", ends_at or "")
        path = f"/api/maintenances/{found['id']}/extend"
        body = {"ends_at": end.isoformat(), "reason": reason}
        done = call(client, "POST", path, json=body)
    emit(done if as_json else _readable(done), as_json)


@app.command("on-time")
def on_time(
    maintenance: WorkRef, data_dir: DataDir = DEFAULT_DATA_DIR, as_json: AsJson = False
) -> None:
    """Answer that it will not overrun."""
    _command(data_dir, maintenance, "on-time", {}, as_json)


@app.command()
def complete(
    maintenance: WorkRef,
    message: Annotated[
        str | None, typer.Option("--message", help="In words for customers.")
    ] = None,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    as_json: AsJson = False,
) -> None:
    """State that it is over; everybody who was told hears so."""
    _command(data_dir, maintenance, "complete", {"message": message}, as_json)


@app.command()
def cancel(
    maintenance: WorkRef,
    reason: Reason = None,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    as_json: AsJson = False,
) -> None:
    """Call it off; everybody who was told hears so."""
    _command(data_dir, maintenance, "cancel", {"reason": reason}, as_json)


@app.command()
def escalate(
    maintenance: WorkRef,
    title: Annotated[str | None, typer.Option("--title", help="What is wrong.")] = None,
    severity: Annotated[str | None, typer.Option("--severity", help="P1 to P4.")] = None,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    as_json: AsJson = False,
) -> None:
    """Open an incident because of it."""
    _command(data_dir, maintenance, "escalate", {"title": title, "severity": severity}, as_json)


@app.command()
def objections(
    maintenance: WorkRef, data_dir: DataDir = DEFAULT_DATA_DIR, as_json: AsJson = False
) -> None:
    """Show who objected, and whose task it is."""
    with open_gateway(data_dir) as client:
        path = f"/api/maintenances/{_find(client, maintenance)['id']}/objections"
        items = call(client, "GET", path)["items"]
    shown = ("at", "account_id", "account_name", "late", "assignee", "reason")
    emit(items if as_json else [_readable(i, shown) for i in items], as_json)


@app.command()
def reply(
    mail: Annotated[
        typer.FileBinaryRead, typer.Argument(metavar="FILE|-", help="A mail as it was received.")
    ],
    data_dir: DataDir = DEFAULT_DATA_DIR,
    as_json: AsJson = False,
) -> None:
    """Hand over a customer's reply to a notice: it becomes an objection of their account.

    For a rule of your mail system (docs/maintenance.md). What programs write and what answers no
    notice is left alone. Ends with 75 while the gateway does not take it, so that the mail system
    tries again.
    """
    headers = {"Content-Type": "message/rfc822"}
    with open_gateway(data_dir) as client:
        try:
            path = "/api/maintenances/replies"
            done = call(client, "POST", path, content=mail.read(), headers=headers)
        except typer.Exit:
            raise typer.Exit(TEMPORARY_FAILURE) from None
    emit({key: value for key, value in done.items() if as_json or value is not None}, as_json)


def _command(
    data_dir: Path, reference: str, name: str, body: dict[str, Any], as_json: bool
) -> None:
    with open_gateway(data_dir) as client:
        path = f"/api/maintenances/{_find(client, reference)['id']}/{name}"
        arguments = {"json": body} if body else {}
        done = call(client, "POST", path, **arguments)
    emit(done if as_json else _readable(done), as_json)


def _find(client: httpx2.Client, reference: str) -> dict[str, Any]:
    """The maintenance with this id, with an id that begins so, or the latest; fails otherwise."""
    query: dict[str, Any] = {"limit": 6}
    if reference == "latest":
        query["limit"] = 1
    elif reference.isascii() and reference.replace("_", "").isalnum():
        query["prefix"] = reference if reference.startswith("mnt_") else f"mnt_{reference}"
    else:
        usage(f"{reference!r} is not a maintenance: give an id, its beginning, or `latest`")
    items: list[dict[str, Any]] = call(client, "GET", "/api/maintenances", params=query)["items"]
    exact = [item for item in items if item["id"] == reference]
    if exact:
        return exact[0]
    if not items:
        fail(f"No maintenance {reference}: `starter.py maintenance list --all` shows all")
    if len(items) > 1:
        fail(f"{reference} is not unique: {', '.join(item['id'] for item in items)}")
    return items[0]


def _window(
    starts_at: str, ends_at: str | None, lasts: str | None, objections_until: str | None
) -> dict[str, Any]:
    if (ends_at is None) == (lasts is None):
        usage("Give either --ends-at or --lasts")
    begin = _instant("--starts-at", starts_at)
    end = (
        begin + _length("--lasts", lasts)
        if lasts is not None
        else _instant("--ends-at", ends_at or "")
    )
    until = _instant("--objections-until", objections_until) if objections_until else None
    return {
        "starts_at": begin.isoformat(),
        "ends_at": end.isoformat(),
        "objections_until": until.isoformat() if until else None,
    }


def _instant(option: str, text: str) -> datetime:
    """A point in time; without a zone it is UTC."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        usage(f"{option}: got {text!r}; allowed: a time like 2026-03-01T22:00:00Z")
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _length(option: str, text: str) -> timedelta:
    try:
        length = parse_duration(text)
    except ValueError:
        length = None
    if not isinstance(length, timedelta) or length <= timedelta(0):
        usage(f"{option}: got {text!r}; allowed: a duration like 90m or 2h")
    return length


def _readable(item: dict[str, Any], keys: tuple[str, ...] | None = None) -> dict[str, Any]:
    """Times to the second and keys as words, for a person; scripts use --json."""
    shown = {key: item[key] for key in keys} if keys else dict(item)
    pending = shown.get("pending")
    if isinstance(pending, dict):
        shown["pending"] = f"draft {pending['draft']} ({pending['moment'].replace('_', ' ')})"
    if isinstance(shown.get("audience"), dict):
        told = shown["audience"]
        shown["audience"] = f"recipients {told['recipients']}, accounts {told['accounts']}"
    if "stage" in shown:
        shown["stage"] = str(shown["stage"]).replace("_", " ")
    return {
        key: f"{value[:10]} {value[11:19]} UTC"
        if isinstance(value, str) and RFC_3339_UTC.fullmatch(value)
        else value
        for key, value in shown.items()
    }
