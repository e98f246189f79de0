"""`credits`: what accounts are owed for an incident, and the decision on it."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from runtime.commands.common import DEFAULT_DATA_DIR, AsJson, DataDir, call, emit, open_gateway
from runtime.commands.incident import PAGE, IncidentRef, find

app = typer.Typer(
    help="SLA credits: what is owed, with the working, and who grants it.", no_args_is_help=True
)

Accounts = Annotated[
    list[str] | None, typer.Option("--account", help="Only this one; may be repeated.")
]


@app.command()
def show(
    incident: IncidentRef, data_dir: DataDir = DEFAULT_DATA_DIR, as_json: AsJson = False
) -> None:
    """Show every account's credit with its working, and the sums."""
    items: list[dict[str, Any]] = []
    totals: list[dict[str, Any]] = []
    with open_gateway(data_dir) as client:
        path, cursor = _path(find(client, incident)), None
        while True:
            query = {"limit": PAGE, **({"cursor": cursor} if cursor else {})}
            page = call(client, "GET", path, params=query)
            items += page["items"]
            totals, cursor = page["totals"], page["next"]
            if cursor is None:
                break
    if as_json:
        emit({"totals": totals, "items": items}, True)
        return
    emit([_line(item) for item in items], False)
    emit(totals, False)


@app.command()
def approve(
    incident: IncidentRef,
    total: Annotated[str, typer.Option("--total", help="The sum that you saw, such as 120.50.")],
    account: Accounts = None,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    as_json: AsJson = False,
) -> None:
    """Grant what is proposed; refused when the sum is another by now."""
    body = {"decision": "approve", "total": total, "accounts": account}
    _post(data_dir, incident, "decision", body, as_json)


@app.command()
def reject(
    incident: IncidentRef,
    reason: Annotated[str, typer.Option("--reason", help="Why, for colleagues.")],
    account: Accounts = None,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    as_json: AsJson = False,
) -> None:
    """Turn down what is proposed."""
    body = {"decision": "reject", "reason": reason, "accounts": account}
    _post(data_dir, incident, "decision", body, as_json)


@app.command()
def amount(
    incident: IncidentRef,
    account: Annotated[str, typer.Argument(metavar="ACCOUNT", help="The account's id.")],
    to: Annotated[str, typer.Argument(metavar="AMOUNT", help="Such as 12.50.")],
    data_dir: DataDir = DEFAULT_DATA_DIR,
    as_json: AsJson = False,
) -> None:
    """Name an amount, where the fee is not known or you know better."""
    _post(data_dir, incident, "amount", {"account_id": account, "amount": to}, as_json)


def _post(data_dir: Any, incident: str, name: str, body: dict[str, Any], as_json: bool) -> None:
    with open_gateway(data_dir) as client:
        emit(call(client, "POST", f"{_path(find(client, incident))}/{name}", json=body), as_json)


def _path(incident: dict[str, Any]) -> str:
    return f"/api/incidents/{incident['id']}/credits"


def _line(item: dict[str, Any]) -> dict[str, Any]:
    working = item["working"]
    return {
        "account": item["account_id"],
        "plan": item["plan"],
        "outage": f"{working['minutes']:.1f} min in {len(working['spans'])} incident(s)",
        "over": f"{working['over_minutes']:.0f} min",
        "fee": working["monthly_fee"] or "not known",
        "share": f"{item['percent']} %",
        "before": working["before"] or "0",
        "amount": f"{item['amount'] or 'not known'} {item['currency']}",
        "state": item["state"],
    }
