"""SLA credits to the minute and to the cent."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from pydantic import ValidationError

from domain.credits import Band, CreditPolicy, Span, band_for, credit, felt, outage
from domain.signal import Severity

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
POLICY = CreditPolicy(
    currency="USD",
    severities=(Severity.P1,),
    bands={
        "pro": (
            Band(over=timedelta(hours=2), percent=Decimal(5)),
            Band(over=timedelta(hours=8), percent=Decimal(10)),
        )
    },
)


def span(case: str, begin: float, end: float) -> Span:
    """Minutes after noon."""
    return Span(case=case, begin=NOON + timedelta(minutes=begin), end=NOON + timedelta(minutes=end))


@pytest.mark.parametrize(
    ("minutes", "percent"), [(120, None), (120.5, 5), (480, 5), (481, 10), (10_000, 10)]
)
def test_a_band_begins_after_its_limit(minutes: float, percent: int | None) -> None:
    band = band_for(POLICY, "pro", timedelta(minutes=minutes))
    assert (band.percent if band else None) == percent
    assert band_for(POLICY, "free", timedelta(minutes=minutes)) is None
    assert band_for(POLICY, None, timedelta(minutes=minutes)) is None


def test_overlaps_count_once_and_a_gap_ends_an_outage() -> None:
    spans = [span("b", 60, 180), span("a", 0, 90), span("far", 181, 300), span("in", 10, 20)]
    group = outage("b", spans)
    assert [s.case for s in group] == ["a", "in", "b"]
    assert felt(group) == timedelta(minutes=180)
    assert [s.case for s in outage("far", spans)] == ["far"]
    assert [s.case for s in outage("far", [*spans, span("bridge", 180, 181)])] == [
        "a", "in", "b", "bridge", "far",
    ]  # fmt: skip
    assert outage("unknown", spans) == ()


def test_planned_work_does_not_count() -> None:
    spans, planned = [span("a", 0, 180)], [span("m", 30, 60), span("m2", 50, 70)]
    assert felt(spans, planned) == timedelta(minutes=140)
    assert felt(spans, [span("m", -10, 500)]) == timedelta()
    assert credit(POLICY, "acc", "pro", Decimal(100), (spans[0],), (span("m", 0, 60),)) is None


def test_the_working_adds_up() -> None:
    found = credit(POLICY, "acc", "pro", Decimal("99.90"), (span("a", 0, 130),))
    assert found is not None
    # Five percent of 99.90 are 4.995: half a cent rounds up.
    assert (found.amount, found.currency) == (Decimal("5.00"), "USD")
    assert (found.working.minutes, found.working.over_minutes) == (130, 120)
    assert found.working.monthly_fee == Decimal("99.90")


def test_an_outage_is_paid_once_and_a_month_never_more_than_its_fee() -> None:
    spans = (span("a", 0, 300), span("b", 200, 500))
    more = credit(POLICY, "acc", "pro", Decimal(100), spans, before=Decimal(5), month=Decimal(5))
    assert more is not None and more.amount == Decimal("5.00")
    assert credit(POLICY, "acc", "pro", Decimal(100), spans, before=Decimal(10)) is None
    capped = credit(POLICY, "acc", "pro", Decimal(100), spans, month=Decimal(97))
    assert capped is not None and capped.amount == Decimal(3) and capped.working.room == 3
    assert credit(POLICY, "acc", "pro", Decimal(100), spans, month=Decimal(100)) is None


def test_an_unknown_fee_is_no_zero() -> None:
    found = credit(POLICY, "acc", "pro", None, (span("a", 0, 130),))
    assert found is not None and found.amount is None and found.percent == 5
    assert credit(POLICY, "acc", "pro", Decimal(0), (span("a", 0, 130),)) is None


def test_bands_that_do_not_rise_are_refused() -> None:
    hour = timedelta(hours=1)
    with pytest.raises(ValidationError, match="longer and more each time"):
        CreditPolicy(
            currency="USD",
            severities=(Severity.P1,),
            bands={"pro": (Band(over=hour, percent=Decimal(5)),) * 2},
        )
