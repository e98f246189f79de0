"""What every section of the policy is made of: strict models, durations, later keys."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)([smhdw])")


def parse_duration(value: object) -> timedelta:
    """Read `30m`, `48h`, `1h30m`, `20s`; anything else is left for pydantic to judge."""
    if isinstance(value, timedelta):
        return value
    if not isinstance(value, str):
        raise ValueError("allowed: a duration like 20s, 30m, 48h, 7d")
    text = value.strip()
    if not text or _DURATION.sub("", text):
        raise ValueError("allowed: a duration like 20s, 30m, 48h, 7d")
    return timedelta(seconds=sum(float(n) * _UNITS[u] for n, u in _DURATION.findall(text)))


def format_duration(value: timedelta) -> str:
    """The shortest exact form that `parse_duration` reads back."""
    seconds = value.total_seconds()
    for unit in ("w", "d", "h", "m"):
        if seconds and seconds % _UNITS[unit] == 0:
            return f"{int(seconds // _UNITS[unit])}{unit}"
    return f"{seconds:.6f}".rstrip("0").rstrip(".") + "s"


Duration = Annotated[timedelta, BeforeValidator(parse_duration), PlainSerializer(format_duration)]


class Strict(BaseModel):
    """A policy section: unknown keys are refused, values don't change."""

    model_config = ConfigDict(frozen=True, extra="forbid")


# What is empty and came after a policy was stored is not written, so that it keeps its hash.
_T = TypeVar("_T")
Later = Annotated[_T, Field(exclude_if=lambda given: not given)]
