"""Which alerts planned work explains; pure. What it does not explain opens an incident."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from pydantic import BaseModel, ConfigDict

from domain.classification import SignalClass
from domain.incident import Stage
from domain.maintenance import Impact
from domain.policy import Policy


class Window(BaseModel):
    """Planned work that is not over and whose start has come."""

    model_config = ConfigDict(frozen=True)

    id: str
    impact: Impact
    starts_at: datetime
    ends_at: datetime
    stage: Stage
    dry_run: bool
    components: tuple[str, ...]
    regions: tuple[str, ...] = ()


def window_for(
    windows: Iterable[Window], alert: SignalClass, policy: Policy, now: datetime
) -> Window | None:
    """The first window that explains the alert (PRODUCT 1).

    It must be on the window's components, parts of them included, in its regions, and no worse
    than what the work's declared impact explains. An alert without a region speaks of all, so only
    work everywhere explains it; one without a component is explained by nothing.
    """
    plan = policy.maintenance
    if plan is None or not alert.components or alert.category in plan.never_folds:
        return None
    for window in windows:
        worst = getattr(plan.folds, window.impact.value)
        if (
            _is_open(window, plan.start == "auto", now)
            and set(alert.components) <= set(policy.with_children(window.components))
            and _covers(window.regions, alert.regions)
            and alert.severity.rank >= worst.rank
        ):
            return window
    return None


def _is_open(window: Window, by_itself: bool, now: datetime) -> bool:
    """It is under way until somebody says that it is over; its start may be seconds late."""
    if window.stage is Stage.IN_PROGRESS:
        return True
    due = window.stage is Stage.SCHEDULED and window.starts_at <= now < window.ends_at
    return by_itself and due


def _covers(window: tuple[str, ...], alert: tuple[str, ...]) -> bool:
    return not window or (bool(alert) and set(alert) <= set(window))
