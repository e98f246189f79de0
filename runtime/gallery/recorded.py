"""Incidents that another company recorded: their times and components as facts of ours."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from datetime import timedelta
from pathlib import Path

import yaml
from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from domain.errors import BadInput
from domain.message import Facts, Moment
from domain.policy import Policy
from domain.policy_sections import Component
from domain.signal import Severity
from runtime.gallery.cases import PUBLIC_URL


class Entry(BaseModel):
    """One entry of a recorded incident."""

    model_config = ConfigDict(frozen=True)

    at: AwareDatetime
    status: str
    message: str


class Record(BaseModel):
    """One line of the file, as far as it is of use here."""

    model_config = ConfigDict(frozen=True)

    id: str
    impact: str
    started_at: AwareDatetime
    resolved_at: AwareDatetime | None = None
    downtime_start: AwareDatetime | None = None
    downtime_end: AwareDatetime | None = None
    components: tuple[str, ...] = ()
    updates: tuple[Entry, ...]


class Chosen(BaseModel):
    """One of the twenty: which mail of which incident, and why this one."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    entry: int
    kind: str


class Mapping(BaseModel):
    """`content/gallery/recorded.yaml`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    severities: dict[str, Severity]
    moments: dict[str, Moment]
    maintenance: dict[str, Moment]
    stages: dict[str, tuple[str, ...]]
    regions: dict[str, tuple[str, ...]]
    twenty: tuple[Chosen, ...]


def load_mapping(content_dir: Path) -> Mapping:
    """How recorded words are read."""
    path = content_dir / "gallery" / "recorded.yaml"
    return Mapping.model_validate(yaml.safe_load(path.read_text("utf-8")))


def read_records(path: Path) -> list[Record]:
    """The incidents of a JSONL file; raises BadInput with the line at fault."""
    records = []
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeError) as error:
        raise BadInput(f"{path}: cannot be read ({error})") from None
    for number, line in enumerate(lines, start=1):
        try:
            records.append(Record.model_validate(json.loads(line)))
        except (ValueError, ValidationError) as error:
            reason = str(error).splitlines()[0]
            raise BadInput(f"{path}, line {number}: not a recorded incident ({reason})") from None
    return records


def with_components(policy: Policy, records: Iterable[Record]) -> Policy:
    """The policy of a company that has the recorded components, named alike in every language."""
    names = dict.fromkeys(name for record in records for name in record.components)
    components = tuple(
        Component(key=_key(name), names=dict.fromkeys(policy.locales, name)) for name in names
    )
    return policy.model_copy(update={"components": components})


def story(record: Record, mapping: Mapping, policy: Policy) -> list[tuple[Entry, Facts]]:
    """The facts of each message that the incident or maintenance would have been told in."""
    if record.impact == "maintenance":
        return _planned(record, mapping, policy)
    severity = mapping.severities[record.impact]
    began = min(record.downtime_start or record.started_at, record.updates[0].at)
    base = Facts(
        incident_id=f"inc_{record.id}",
        moment=Moment.INITIAL,
        severity=severity,
        stage="investigating",
        category="local_degradation",
        components=tuple(_key(name) for name in record.components),
        component_names=dict.fromkeys(policy.locales, record.components),
        times={"impact_start": began},
        links={"status": PUBLIC_URL, "incident": f"{PUBLIC_URL}/incidents/inc_{record.id}"},
    )
    told, stage, number = [], "investigating", 0
    regions: tuple[str, ...] = ()
    for entry in record.updates:
        moment = mapping.moments[entry.status]
        stage = _stage(entry.message, mapping.stages) or stage
        regions = _regions(entry.message, mapping.regions) or regions
        number += moment is Moment.UPDATE
        facts = base.model_copy(update={"moment": moment, "regions": regions})
        if moment is Moment.RESOLUTION:
            end = max(record.downtime_end or entry.at, began)
            minutes = int((end - began) / timedelta(minutes=1) + 0.5)
            changes: dict[str, object] = {
                "stage": "resolved",
                "times": {"impact_start": began, "restored_at": end},
                "numbers": {"duration_minutes": minutes},
            }
        else:
            every = policy.severities[severity].update_every
            due = {} if every is None else {"next_update": entry.at + every}
            changes = {
                "stage": "investigating" if moment is Moment.INITIAL else stage,
                "number": max(number, 1),
                "times": {"impact_start": began, **due},
                "numbers": {"update_number": max(number, 1)},
            }
        told.append((entry, facts.model_copy(update=changes)))
    return told


def _planned(record: Record, mapping: Mapping, policy: Policy) -> list[tuple[Entry, Facts]]:
    """A maintenance: announced, begun and ended when the entries say so; no end was planned."""
    moments = [(entry, mapping.maintenance[entry.status]) for entry in record.updates]
    began = next(e.at for e, moment in moments if moment is Moment.MAINTENANCE_START)
    told = []
    for entry, moment in moments:
        times = {"starts_at": began}
        stage = "scheduled"
        if moment is Moment.MAINTENANCE_DONE:
            stage, times = "completed", {"started_at": began, "ended_at": entry.at}
        elif entry.at >= began:
            moment, stage = Moment.MAINTENANCE_START, "in_progress"
            times["started_at"] = began
        facts = Facts(
            incident_id=f"mnt_{record.id}",
            moment=moment,
            severity=mapping.severities[record.impact],
            stage=stage,
            category="maintenance",
            components=tuple(_key(name) for name in record.components),
            component_names=dict.fromkeys(policy.locales, record.components),
            regions=_regions(entry.message, mapping.regions),
            times=times,
            links={"status": PUBLIC_URL, "incident": f"{PUBLIC_URL}/maintenance/mnt_{record.id}"},
        )
        told.append((entry, facts))
    return told


def _stage(message: str, words: dict[str, tuple[str, ...]]) -> str | None:
    said = message.lower()
    found = [stage for stage, listed in words.items() if any(word in said for word in listed)]
    return found[-1] if found else None


def _regions(message: str, words: dict[str, tuple[str, ...]]) -> tuple[str, ...]:
    said = message.lower()
    return tuple(key for key, listed in words.items() if any(word in said for word in listed))


def _key(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def pick(records: Sequence[Record], chosen: Chosen) -> tuple[Record, int]:
    """One of the twenty; raises BadInput where the file does not have it."""
    for record in records:
        if record.id == chosen.id and -len(record.updates) <= chosen.entry < len(record.updates):
            return record, chosen.entry
    raise BadInput(f"incident {chosen.id} has no entry {chosen.entry} in this file")
