"""A status page's history as signals: what one's own past looks like to a policy.

Reads the Statuspage public API v2 (`incidents.json`), a plain array of its incidents, or one
incident per line. Each becomes an alert that fires when it began and resolves when it ended, and
what was said of it; words stay where they are.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from pydantic import AliasChoices, AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from domain.errors import BadInput, FieldError
from domain.policy import Policy
from domain.signal import Severity
from runtime.backtest.signals import INCIDENT_LABEL, STAGES

# Names the components of incidents that name none, and of names that nothing else maps.
ANY = "*"
SHOWN = 80


class _Named(BaseModel):
    model_config = ConfigDict(frozen=True)

    name: str


class _Update(BaseModel):
    model_config = ConfigDict(frozen=True)

    at: AwareDatetime = Field(validation_alias=AliasChoices("display_at", "at", "created_at"))
    status: str


class _Incident(BaseModel):
    """An incident as the status page tells it, as far as it is of use here."""

    model_config = ConfigDict(frozen=True)

    id: str
    name: str = Field(validation_alias=AliasChoices("name", "title"))
    impact: str = "none"
    started_at: AwareDatetime = Field(validation_alias=AliasChoices("started_at", "created_at"))
    resolved_at: AwareDatetime | None = None
    components: tuple[_Named | str, ...] = ()
    updates: tuple[_Update, ...] = Field(
        validation_alias=AliasChoices("incident_updates", "updates")
    )

    @property
    def parts(self) -> tuple[str, ...]:
        """The components by name."""
        return tuple(c if isinstance(c, str) else c.name for c in self.components)


@dataclass
class Converted:
    """Signals and messages as they are written to files; `unknown` names with their number."""

    signals: list[dict[str, Any]] = field(default_factory=list)
    messages: list[dict[str, Any]] = field(default_factory=list)
    unknown: dict[str, int] = field(default_factory=dict)
    unnamed: int = 0


def read_history(path: Path) -> list[_Incident]:
    """The incidents of a file; raises BadInput that names line or item, and field."""
    try:
        text = path.read_text("utf-8-sig")
    except OSError as error:
        raise BadInput(f"{path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError as error:
        raise BadInput(f"{path}: byte {error.start + 1} is not UTF-8") from None
    try:
        content: Any = json.loads(text)
        items = content.get("incidents", [content]) if isinstance(content, dict) else content
        places = [f"{path}, incident {n}" for n in range(1, len(items) + 1)]
    except (json.JSONDecodeError, TypeError):
        lines = [(n, line) for n, line in enumerate(text.splitlines(), 1) if line.strip()]
        places = [f"{path}, line {n}" for n, _ in lines]
        items = [_line(line, place) for (_, line), place in zip(lines, places, strict=True)]
    found = [_incident(item, place) for item, place in zip(items, places, strict=True)]
    if not found:
        raise BadInput(f"{path}: holds no incident; allowed: incidents.json of a Statuspage")
    return found


def read_mapping(path: Path, policy: Policy) -> dict[str, str]:
    """Names of components on the status page → keys of the policy; raises BadInput."""
    try:
        given = yaml.safe_load(path.read_text("utf-8-sig"))
    except (OSError, UnicodeError, yaml.YAMLError) as error:
        raise BadInput(f"{path}: cannot be read ({' '.join(str(error).split())})") from None
    if not isinstance(given, dict):
        raise BadInput(f"{path}: allowed: one `name on the page: component of the policy` per line")
    known = policy.component_keys()
    faults = [
        FieldError(field=str(name), value=str(key)[:SHOWN], allowed=", ".join(sorted(known)))
        for name, key in given.items()
        if key not in known
    ]
    if faults:
        raise BadInput(f"{path}: names what the policy does not have", faults)
    return {str(name).casefold(): str(key) for name, key in given.items()}


def convert(
    incidents: Sequence[_Incident], policy: Policy, mapping: Mapping[str, str]
) -> Converted:
    """Signals and messages of these incidents.

    An impact becomes the severity that the policy shows as that impact. What customers were told
    had been confirmed, so the signals state customer impact.
    """
    severities = {plan.statuspage_impact: s for s, plan in policy.severities.items()}
    names = _names(policy) | dict(mapping)
    out = Converted()
    for incident in incidents:
        parts = tuple(dict.fromkeys(_part(name, names, out) for name in incident.parts))
        if not parts:
            out.unnamed += 1
            parts = (names[ANY],) if ANY in names else ()
        severity = severities.get(incident.impact, Severity.P4)  # type: ignore[call-overload]  # any text is looked up
        told = sorted(incident.updates, key=lambda update: update.at)
        began = min([incident.started_at, *(update.at for update in told)])
        common = {
            "dedup_key": incident.id,
            "title": incident.name,
            "components": list(parts),
            "severity": severity.value,
            "customer_impact": True,
            "started_at": began.isoformat(),
            "labels": {INCIDENT_LABEL: incident.id},
        }
        out.signals.append(
            {
                "id": f"{incident.id}-start",
                "status": "firing",
                "received_at": began.isoformat(),
                **common,
            }
        )
        ended = incident.resolved_at
        if ended is not None:
            at = max(ended, began).isoformat()
            end = {"id": f"{incident.id}-end", "status": "resolved", "received_at": at}
            out.signals.append(end | common)
        for update in told:
            stage = update.status.strip().lower().replace(" ", "_")
            out.messages.append(
                {
                    "incident": incident.id,
                    "at": update.at.isoformat(),
                    "stage": stage if stage in STAGES else "update",
                }
            )
    return out


def write(converted: Converted, folder: Path) -> tuple[Path, Path]:
    """Write `signals.jsonl` and `actual.json`; an existing one of them is never overwritten."""
    signals, actual = folder / "signals.jsonl", folder / "actual.json"
    for path in (signals, actual):
        if path.exists():
            raise BadInput(f"{path}: stands there already; allowed: a new or empty folder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lines = (json.dumps(signal, ensure_ascii=False) + "\n" for signal in converted.signals)
        signals.write_text("".join(lines), "utf-8")
        said = {"messages": converted.messages}
        actual.write_text(json.dumps(said, ensure_ascii=False, indent=1) + "\n", "utf-8")
    except OSError as error:
        raise BadInput(f"{folder}: cannot be written ({error.strerror})") from None
    return signals, actual


def _names(policy: Policy) -> dict[str, str]:
    """What a page may call a component: its key, its name in any language, a service behind it."""
    found: dict[str, str] = {}
    for component in policy.component_list():
        for name in (component.key, *component.names.values()):
            found.setdefault(name.casefold(), component.key)
    for service, key in policy.services.items():
        found.setdefault(service.casefold(), key)
    return found


def _part(name: str, names: Mapping[str, str], out: Converted) -> str:
    """The key behind a name; a name that nothing maps stays, so that the report can show it."""
    known = names.get(name.strip().casefold())
    if known is None:
        out.unknown[name] = out.unknown.get(name, 0) + 1
    return known or names.get(ANY) or name


def _line(line: str, place: str) -> Any:
    try:
        return json.loads(line)
    except ValueError as error:
        raise BadInput(f"{place}: not JSON ({error})") from None


def _incident(item: Any, place: str) -> _Incident:
    try:
        return _Incident.model_validate(item)
    except ValidationError as error:
        faults = [
            FieldError(
                field=".".join(str(part) for part in e["loc"]) or "incident",
                value=None if e["type"] == "missing" else repr(e["input"])[:SHOWN],
                allowed=e["msg"],
            )
            for e in error.errors(include_url=False)
        ]
        raise BadInput(f"{place}: not an incident of a status page", faults) from None
