"""SLA credits: what an account is owed for an outage, with the working shown; pure.

An outage of an account is every incident it felt that overlaps another one, taken together, less
the times that policy excludes. Its length picks a band of the account's plan; the band is a share
of the monthly fee. What was credited for the same outage before is taken off, and no month gives
back more than its fee (PRODUCT 8).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from itertools import pairwise
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from domain.policy_base import Duration, Strict
from domain.signal import Severity

CENT = Decimal("0.01")
HUNDRED = Decimal(100)
# The key of a percentage that the whole audience gets, in place of those by plan.
EVERYBODY = "*"


class Band(Strict):
    """An outage longer than `over` gives back `percent` of the monthly fee."""

    over: Duration
    percent: Annotated[Decimal, Field(gt=0, le=100)]


class CreditPolicy(Strict):
    """Who is owed what: bands by plan, shortest first; a plan without bands is owed nothing.

    Incidents of other severities don't count. `applied` says when a credit takes effect.
    """

    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
    severities: tuple[Severity, ...]
    bands: dict[str, tuple[Band, ...]]
    applied: Literal["next_invoice"] = "next_invoice"

    @model_validator(mode="after")
    def _rise(self) -> CreditPolicy:
        for plan, bands in self.bands.items():
            for lower, upper in pairwise(bands):
                if upper.over <= lower.over or upper.percent <= lower.percent:
                    raise ValueError(
                        f"bands.{plan}: {upper.percent} % over {upper.over} follows "
                        f"{lower.percent} % over {lower.over}; allowed: longer and more each time"
                    )
        return self


class Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)


class Span(Frozen):
    """A time during which a case (an incident, a maintenance) was felt; the end is not in it."""

    case: str
    begin: datetime
    end: datetime

    @property
    def length(self) -> timedelta:
        return max(self.end - self.begin, timedelta())


class Working(Frozen):
    """How an amount came about, for whoever approves it and whoever asks in two years.

    `spans` are the incidents that make the outage, `excluded` the times that do not count,
    `minutes` what is left of it, `before` what the same outage gave back already, `room` what the
    month still allows; both are None where the fee is not known.
    """

    spans: tuple[Span, ...]
    excluded: tuple[Span, ...] = ()
    minutes: float
    over_minutes: float
    monthly_fee: Decimal | None
    before: Decimal | None
    room: Decimal | None


class Credit(Frozen):
    """What is proposed for one account; `amount` is None where its fee is not known."""

    account_id: str
    plan: str
    percent: Decimal
    amount: Decimal | None
    currency: str
    working: Working


def outage(case: str, spans: Iterable[Span]) -> tuple[Span, ...]:
    """The spans that overlap the one of `case`, directly or through others, earliest first."""
    ordered = sorted(spans, key=lambda s: (s.begin, s.end, s.case))
    group: list[Span] = []
    until: datetime | None = None
    for span in ordered:
        if until is not None and span.begin > until:
            if any(s.case == case for s in group):
                break
            group = []
            until = None
        group.append(span)
        until = span.end if until is None else max(until, span.end)
    return tuple(group) if any(s.case == case for s in group) else ()


def felt(spans: Iterable[Span], excluded: Iterable[Span] = ()) -> timedelta:
    """How long at least one span was under way, without the excluded times."""
    return _union(spans, tuple(excluded))


def _union(spans: Iterable[Span], excluded: Sequence[Span]) -> timedelta:
    marks: list[tuple[datetime, int, int]] = []
    for span in spans:
        if span.end > span.begin:
            marks += [(span.begin, 1, 0), (span.end, -1, 0)]
    for span in excluded:
        if span.end > span.begin:
            marks += [(span.begin, 0, 1), (span.end, 0, -1)]
    total, down, out = timedelta(), 0, 0
    at: datetime | None = None
    for instant, change, less in sorted(marks):
        if at is not None and down > 0 and out == 0:
            total += instant - at
        at, down, out = instant, down + change, out + less
    return total


def band_for(policy: CreditPolicy, plan: str | None, length: timedelta) -> Band | None:
    """The band that an outage reaches; exactly as long as a band's limit is not over it."""
    reached = [b for b in policy.bands.get(plan or "", ()) if length > b.over]
    return reached[-1] if reached else None


def credit(
    policy: CreditPolicy,
    account_id: str,
    plan: str,
    monthly_fee: Decimal | None,
    spans: tuple[Span, ...],
    excluded: tuple[Span, ...] = (),
    before: Decimal = Decimal(0),
    month: Decimal = Decimal(0),
) -> Credit | None:
    """What an account is owed for an outage; None for nothing.

    `before` was credited for the same outage, `month` is everything credited in its month, that
    included; amounts are in the currency's units with two decimals, half a cent rounds up.
    """
    length = felt(spans, excluded)
    band = band_for(policy, plan, length)
    if band is None:
        return None
    amount = room = None
    if monthly_fee is not None:
        room = max(monthly_fee - month, Decimal(0))
        whole = (monthly_fee * band.percent / HUNDRED).quantize(CENT, ROUND_HALF_UP)
        amount = min(whole - before, room)
        if amount <= 0:
            return None
    return Credit(
        account_id=account_id,
        plan=plan,
        percent=band.percent,
        amount=amount,
        currency=policy.currency,
        working=Working(
            spans=spans,
            excluded=excluded,
            minutes=length.total_seconds() / 60,
            over_minutes=band.over.total_seconds() / 60,
            monthly_fee=monthly_fee,
            before=before if monthly_fee is not None else None,
            room=room,
        ),
    )


def credit_numbers(percents: Mapping[str, str]) -> dict[str, float]:
    """Approved credits as facts: one figure where the whole audience gets it, else by plan."""
    if EVERYBODY in percents:
        return {"credit_percent": float(percents[EVERYBODY])}
    return {f"credit_percent_{plan}": float(percent) for plan, percent in percents.items()}
