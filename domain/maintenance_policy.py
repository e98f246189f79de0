"""The maintenance section of the policy: shapes only, every figure stands in `content/policy`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from domain.policy_base import Duration, Strict
from domain.signal import Severity


class Folding(Strict):
    """The worst alert that a declared impact explains: what is worse opens an incident."""

    unavailable: Severity
    degraded: Severity
    none: Severity


class MaintenancePlan(Strict):
    """When customers hear of planned work, and what is asked of staff meanwhile (PRODUCT 9).

    `remind_gap`: no reminder so soon after customers were told something. `tell_again_every`: how
    often customers hear that it goes on past its end while nobody answers. `credit_after`: how
    long past the end that was announced a credit is considered. `buffer`: the share suggested on
    top of an estimate. `quiet_days` of activity are looked at to find the quietest hours, which
    `least_activity` readings at least must support. `folds` and `never_folds` (categories) say
    which alerts in a window belong to it.
    """

    remind_before: tuple[Duration, ...]
    remind_gap: Duration
    start: Literal["auto", "human"] = "auto"
    ask_before_end: Duration
    warn_before_end: Duration
    tell_again_every: Duration
    credit_after: Duration
    objections_before: Duration
    buffer: Annotated[float, Field(ge=0, le=5)]
    longest: Duration
    furthest: Duration
    quiet_days: Annotated[int, Field(ge=1, le=366)]
    least_activity: Annotated[int, Field(ge=1)]
    banner_before: Duration
    folds: Folding
    never_folds: tuple[str, ...] = ()
