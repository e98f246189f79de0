"""Policy sections about what is owed to colleagues: who responds, who is told, and by when.

Each came after policies were stored: without it an incident goes on as it did before.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import AwareDatetime, Field

from domain.policy_base import Duration, Later, Strict
from domain.signal import Severity, Share


class Duties(Strict):
    """What a severity asks of colleagues; `tell` are roles, `engage_within` counts from the
    confirmation of the impact to the first act of a human."""

    engage_within: Later[Duration | None] = None
    war_room: Later[bool] = False
    tell: Later[tuple[str, ...]] = ()
    executive_every: Later[Duration | None] = None


class Assessment(Strict):
    """By when cause, expected end and affected share should be stated, from confirmation."""

    within: Duration


class Extended(Strict):
    """When an outage counts as extended: `after` its start, while no expected end lies ahead."""

    severities: tuple[Severity, ...]
    after: Duration
    update_every: Duration


class Trust(Strict):
    """When relaxing a gate is proposed: of the last `window` drafts of a category, the share of
    those approved as they were written is at least `unedited`.

    A human accepts by writing the gate and, under `accepted`, the category with the time of the
    acceptance. After a bad send since then the category's messages wait for approval again.
    """

    window: Annotated[int, Field(ge=1)]
    unedited: Share
    accepted: Later[dict[str, AwareDatetime]] = Field(default_factory=dict)
