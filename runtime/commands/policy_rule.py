"""`policy apply|reload|list|show|diff`: which policy rules, and putting another in force."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Annotated, Any

import httpx2
import typer
import yaml

from domain.errors import BadInput
from domain.policy import Policy
from domain.policy_change import changes
from runtime.commands.common import (
    DEFAULT_DATA_DIR,
    AsJson,
    DataDir,
    call,
    emit,
    fail,
    one_line,
    open_gateway,
    problem_line,
    usage,
)
from runtime.commands.incident import find
from runtime.policy_file import load_policy, read_policy

IN_FORCE = "active"
_HASH = re.compile(r"[0-9a-f]{16}")

Named = Annotated[str, typer.Argument(help="A hash, a file, or `active` for the one in force.")]


def apply(
    file: Annotated[Path, typer.Argument(help="The policy file.")],
    as_json: AsJson = False,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Put a policy in force for the incidents that begin from now on, without a restart."""
    policy = _load(file)
    with open_gateway(data_dir) as client:
        body = {"policy": policy.model_dump(mode="json"), "source": file.name}
        done = call(client, "POST", "/api/policy", json=body)
    if as_json:
        emit(done, True)
        return
    if not done["changed"]:
        emit(f"{done['hash']} is in force already", False)
        return
    emit(f"{done['hash']} is in force (before: {done['previous'] or 'none'})", False)
    emit(done["changes"], False)
    emit(
        "Running incidents go on as they began; `policy reload --all-open` takes them along", False
    )


def reload(
    incident: Annotated[
        str | None, typer.Argument(help="An id, its beginning, or `latest`.")
    ] = None,
    all_open: Annotated[
        bool, typer.Option("--all-open", help="Every incident and maintenance that is not over.")
    ] = False,
    as_json: AsJson = False,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Let running incidents and planned work go on under the policy in force."""
    if (incident is None) is not all_open:
        usage("name an incident, or give --all-open")
    with open_gateway(data_dir) as client:
        ids = [find(client, incident)["id"]] if incident else _all_open(client)
        results = [_adopt(client, one) for one in ids]
    refused = [r for r in results if r["result"] == "refused"]
    if as_json:
        emit(results, True)
    elif results:
        emit(results, False)
    else:
        emit("no incident or maintenance is open", False)
    if refused:
        fail("; ".join(f"{r['incident']}: {r['reason']}" for r in refused))


def list_policies(as_json: AsJson = False, data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """The policies that ruled new incidents, newest first."""
    with open_gateway(data_dir) as client:
        history = call(client, "GET", "/api/policy", params={"limit": 1000})["history"]
    emit(history, as_json)


def show(
    policy: Named = IN_FORCE, as_json: AsJson = False, data_dir: DataDir = DEFAULT_DATA_DIR
) -> None:
    """A whole policy, as a file that can be changed and applied."""
    found = _named(policy, data_dir)
    content = found.model_dump(mode="json")
    if as_json:
        emit({"hash": found.hash, "policy": content}, True)
        return
    sys.stdout.write(f"# Policy {found.hash}\n")
    sys.stdout.write(yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=100))


def diff(
    old: Named, new: Named, as_json: AsJson = False, data_dir: DataDir = DEFAULT_DATA_DIR
) -> None:
    """What differs between two policies, value by value."""
    found = [c.model_dump() for c in changes(_named(old, data_dir), _named(new, data_dir))]
    if found or as_json:
        emit(found, as_json)
    else:
        emit("no difference", False)


def _load(file: Path) -> Policy:
    try:
        return load_policy(file)
    except BadInput as error:
        for line in str(error).splitlines():
            sys.stderr.write(one_line(line) + "\n")
        raise typer.Exit(1) from None


def _named(name: str, data_dir: Path) -> Policy:
    """The policy that a person means by a hash, a file, or `active`."""
    if name != IN_FORCE and not _HASH.fullmatch(name):
        return _load(Path(name))
    path = "/api/policy" if name == IN_FORCE else f"/api/policy/{name}"
    with open_gateway(data_dir) as client:
        return read_policy(call(client, "GET", path)["policy"])


def _all_open(client: httpx2.Client) -> list[str]:
    return [*_open(client, "/api/incidents"), *_open(client, "/api/maintenances")]


def _open(client: httpx2.Client, path: str) -> list[str]:
    ids: list[str] = []
    cursor = None
    while True:
        params: dict[str, Any] = {"open": True} | ({"cursor": cursor} if cursor else {})
        page = call(client, "GET", path, params=params)
        ids += [item["id"] for item in page["items"]]
        cursor = page["next"]
        if cursor is None:
            return ids


def _adopt(client: httpx2.Client, incident_id: str) -> dict[str, str | None]:
    """One incident's answer: a refusal of one must not keep the others from being asked."""
    try:
        response = client.post(f"/api/incidents/{incident_id}/policy", json={})
    except httpx2.HTTPError:
        return _result(incident_id, "refused", "the gateway gave no answer")
    if response.is_success:
        return _result(incident_id, "adopted", None)
    reason = problem_line(response)
    same = response.headers.get("content-type", "").startswith("application/problem") and str(
        response.json().get("type", "")
    ).endswith(":same_policy")
    return _result(incident_id, "already" if same else "refused", reason)


def _result(incident_id: str, result: str, reason: str | None) -> dict[str, str | None]:
    return {"incident": incident_id, "result": result, "reason": reason}
