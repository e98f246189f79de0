"""A monitoring alert in one shape, whatever the source."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

Key = Annotated[str, StringConstraints(min_length=1, max_length=200)]
Share = Annotated[float, Field(ge=0, le=1)]


class SignalStatus(StrEnum):
    FIRING = "firing"
    RESOLVED = "resolved"


class Severity(StrEnum):
    """P1 is the worst. Ordered by `rank`, not by text."""

    P1 = "P1"
    P2 = "P2"
    P3 = "P3"
    P4 = "P4"

    @property
    def rank(self) -> int:
        """1 for P1 … 4 for P4; a smaller rank is worse."""
        return int(self.value[1])

    def worst(self, other: Severity | None) -> Severity:
        return self if other is None or self.rank <= other.rank else other


class Signal(BaseModel):
    """One alert from one source, normalised (PRODUCT 1).

    `external_id` names the delivery (unique with `source`), `dedup_key` the alert.
    `components` and `services` are as the source named them: policy maps them to keys.
    """

    model_config = ConfigDict(frozen=True)

    source: Key
    external_id: Key
    dedup_key: Key
    status: SignalStatus
    title: Annotated[str, StringConstraints(min_length=1, max_length=1000)]
    description: Annotated[str, StringConstraints(max_length=20_000)] = ""
    components: tuple[Key, ...] = ()
    services: tuple[Key, ...] = ()
    regions: tuple[Key, ...] = ()
    severity: Severity | None = None
    affected_share: Share | None = None
    customer_impact: bool | None = None
    metrics: dict[str, float] = Field(default_factory=dict)
    started_at: AwareDatetime | None = None
    url: Annotated[str, StringConstraints(max_length=2000)] | None = None
    labels: dict[str, str] = Field(default_factory=dict)


class AlertBatch(BaseModel):
    """What a run of stored signals means for their incident: bounded, whatever their number.

    Free of outside text, because it enters workflow history. `watermark` is the highest inbox
    sequence number folded in; `firing` counts the incident's dedup keys that still fire. What is
    said of severity, category and scope comes from alerts that fire: `severity` None means that
    none did, then empty `regions` say nothing; otherwise they mean every region.
    """

    model_config = ConfigDict(frozen=True)

    watermark: int
    received: int
    firing: int
    severity: Severity | None = None
    severity_stated: bool = False
    category: str | None = None
    confirms: bool = False
    affected_share: Share | None = None
    components: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()
    started_at: datetime | None = None
    sources: tuple[str, ...] = ()
    firing_sources: tuple[str, ...] = ()
    """Sources of all the incident's alerts that fire, those of earlier batches too."""
    reasons: tuple[str, ...] = ()
    relates: tuple[str, ...] = ()
    """Other open incidents that an alert in it belongs to just as well."""
