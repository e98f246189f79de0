"""Reading a recording: signals in our own shape, and what the real operator said.

A folder (or one file) with JSON: an object or an array of signals per file, `.jsonl` with one per
line, and objects with `messages` for what was really said. A signal is the generic one of the
webhook; a recording may add `received_at` and `source`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from adapters import registry
from adapters.payload import KEY_LENGTH, instant
from domain.backtest_record import ActualMessage
from domain.errors import BadInput, FieldError
from domain.signal import Key
from runtime.backtest.world import Recorded

SUFFIXES = (".json", ".jsonl", ".ndjson")
LINES = (".jsonl", ".ndjson")
# The label that says which recorded incident a signal was part of.
INCIDENT_LABEL = "incident"
TIME = "a time like 2026-03-01T12:00:00Z"
STAGES = (
    *("investigating", "identified", "monitoring", "resolved", "update", "postmortem"),
    *("scheduled", "in_progress", "verifying", "completed"),
)
ENDED = frozenset({"resolved", "completed"})
# Promises are counted on from a time, which must not run out of the calendar.
LAST_YEAR = 2200
SHOWN = 80


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    incident: Key = Field(description="the name of an incident, a text of 1 to 200 characters")
    at: AwareDatetime = Field(description=TIME)
    stage: str = Field(description=", ".join(STAGES))


@dataclass
class Recording:
    """All that a folder holds; `remarks` are keys with how often each applies."""

    signals: list[Recorded] = field(default_factory=list)
    actual: list[ActualMessage] = field(default_factory=list)
    remarks: dict[str, int] = field(default_factory=dict)

    def _remark(self, key: str) -> None:
        self.remarks[key] = self.remarks.get(key, 0) + 1

    def add(self, item: Any, where: str) -> None:
        """Take in an object of a file; raises BadInput with file, place, field and value."""
        if isinstance(item, dict) and "messages" in item:
            self.actual += _messages(item["messages"], where)
            return
        if not isinstance(item, dict):
            allowed = "an object: a signal, or one with `messages`"
            raise _bad(where, [FieldError(field="signal", value=_shown(item), allowed=allowed)])
        self.signals += list(_signals(dict(item), where))

    def _time_ends(self) -> None:
        """An end that only says when it began came when the operator said so, if that is known."""
        began = {one.alert: one.at for one in self.signals if one.signal.status == "firing"}
        said = {m.incident: m.at for m in sorted(self.actual, key=_at) if m.stage in ENDED}
        for place, one in enumerate(self.signals):
            start = began.get(one.alert)
            if one.timed or one.signal.status != "resolved" or start is None or one.at > start:
                continue
            end = said.get(one.incident)
            if end is None or end <= start:
                self._remark("end_without_time")
            else:
                self.signals[place] = replace(one, at=end)

    def check(self, path: Path) -> None:
        """What can only be said of the whole; raises BadInput when there is no signal."""
        if not self.signals:
            raise BadInput(f"{path}: holds no signal; allowed: {', '.join(SUFFIXES)} with signals")
        self._time_ends()
        known = {one.incident for one in self.signals}
        strange = {message.incident for message in self.actual} - known
        if strange:
            self.remarks["said_without_signal"] = len(strange)


def read_recording(path: Path) -> Recording:
    """Everything under a folder, files in the order of their names; raises BadInput."""
    if path.is_dir():
        files = sorted(p for p in path.iterdir() if p.suffix in SUFFIXES and p.is_file())
    elif path.exists():
        files = [path]
    else:
        raise BadInput(f"{path}: does not exist; allowed: a folder or file of recorded signals")
    found = Recording()
    for file in files:
        for item, where in _items(file):
            found.add(item, where)
    found.check(path)
    return found


def _items(file: Path) -> Iterator[tuple[Any, str]]:
    """The objects of a file, each with the place where it stands."""
    try:
        text = file.read_text("utf-8-sig")
    except OSError as error:
        raise BadInput(f"{file}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError as error:
        raise BadInput(f"{file}: byte {error.start + 1} is not UTF-8") from None
    if file.suffix in LINES:
        for number, line in enumerate(text.splitlines(), start=1):
            if line.strip():
                yield _json(line, f"{file}, line {number}"), f"{file}, line {number}"
        return
    content = _json(text, str(file))
    if isinstance(content, list):
        for number, item in enumerate(content, start=1):
            yield item, f"{file}, item {number}"
    else:
        yield content, str(file)


def _json(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise BadInput(f"{where}: not JSON ({error.msg}, {place})") from None
    except (RecursionError, ValueError) as error:
        raise BadInput(f"{where}: not JSON that can be read ({type(error).__name__})") from None


def _signals(item: dict[str, Any], where: str) -> Iterator[Recorded]:
    given = item.pop("received_at", None)
    source = item.pop("source", None) if "specversion" not in item else None
    received = instant(given)
    if given is not None and received is None:
        fault = FieldError(field="received_at", value=_shown(given), allowed=TIME)
        raise _bad(where, [fault])
    if source is not None and not (isinstance(source, str) and 0 < len(source) <= KEY_LENGTH):
        allowed = f"the name of a monitor, a text of 1 to {KEY_LENGTH} characters"
        fault = FieldError(field="source", value=_shown(source), allowed=allowed)
        raise _bad(where, [fault])
    try:
        parsed = _generic().parse(json.dumps(item).encode())
    except BadInput as error:
        raise _bad(where, error.errors, str(error)) from None
    for signal in parsed:
        at: datetime | None = received or signal.started_at
        if at is not None and at.year > LAST_YEAR:
            raise _bad(where, [FieldError(field="received_at", value=str(at), allowed=TIME)])
        if at is None:
            fault = FieldError(field="received_at", value=None, allowed=f"{TIME}, or started_at")
            raise _bad(where, [fault])
        named = signal.model_copy(update={"source": source}) if source else signal
        name = signal.labels.get(INCIDENT_LABEL) or signal.dedup_key
        yield Recorded(named, at, name, timed=received is not None)


def _at(message: ActualMessage) -> datetime:
    return message.at


def _messages(items: Any, where: str) -> Iterator[ActualMessage]:
    if not isinstance(items, list):
        fault = FieldError(field="messages", value=_shown(items), allowed="a list of messages")
        raise _bad(where, [fault])
    for number, item in enumerate(items):
        try:
            message = _Message.model_validate(item)
        except ValidationError as error:
            raise _bad(where, [_fault(number, dict(e)) for e in error.errors()]) from None
        stage = message.stage.strip().lower().replace(" ", "_")
        if stage not in STAGES:
            allowed = ", ".join(STAGES)
            field_name = f"messages.{number}.stage"
            fault = FieldError(field=field_name, value=_shown(message.stage), allowed=allowed)
            raise _bad(where, [fault])
        yield ActualMessage(incident=message.incident, at=message.at, stage=stage)


def _fault(number: int, error: dict[str, Any]) -> FieldError:
    name = str(error["loc"][0]) if error["loc"] else ""
    info = _Message.model_fields.get(name)
    allowed = (info.description if info else None) or "an object with incident, at and stage"
    path = ".".join(part for part in ("messages", str(number), name) if part)
    value = None if error["type"] == "missing" else _shown(error["input"])
    return FieldError(field=path, value=value, allowed=allowed)


@cache
def _generic() -> Any:
    spec = registry.get("monitor", "generic")
    return spec.build(spec.settings.model_construct() if spec.settings else None)


def _bad(where: str, errors: list[FieldError], reason: str = "cannot be used") -> BadInput:
    return BadInput(f"{where}: {reason}", errors)


def _shown(value: object) -> str:
    return repr(value)[:SHOWN]
