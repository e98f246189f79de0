"""An instant as each language writes it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from adapters.drafters.times import full, instant

AT = datetime(2026, 11, 21, 14, 30, tzinfo=UTC)
LATER = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("locale", "zone", "now", "expected"),
    [
        ("ja", "Asia/Tokyo", AT, "23:30 JST\uff0814:30 UTC\uff09"),
        ("ja", "Asia/Tokyo", LATER, "2026年11月21日 23:30 JST\uff0814:30 UTC\uff09"),
        ("ja-JP", "UTC", LATER, "2026年11月21日 14:30 UTC"),
        ("nl", "Europe/Amsterdam", AT, "15:30 CET (14:30 UTC)"),
        ("nl-BE", "Europe/Brussels", LATER, "21 nov 2026, 15:30 CET (14:30 UTC)"),
        ("it", "Europe/Rome", LATER, "21 nov 2026, 15:30 CET (14:30 UTC)"),
        ("en", "UTC", LATER, "Nov 21, 2026, 14:30 UTC"),
        ("de-AT", "Europe/Vienna", LATER, "21. Nov. 2026, 15:30 MEZ (14:30 UTC)"),
        ("fr-CA", "America/Montreal", AT, "09:30 HNE (14:30 UTC)"),
        ("es", "America/Bogota", AT, "09:30 UTC-05:00 (14:30 UTC)"),
        ("pt-BR", "America/Sao_Paulo", LATER, "21 de nov. de 2026, 11:30 BRT (14:30 UTC)"),
    ],
)
def test_date_time_and_zone(locale: str, zone: str, now: datetime, expected: str) -> None:
    assert instant(AT, locale, zone, now) == expected


def test_a_document_has_the_date_without_a_comma_in_japanese() -> None:
    assert full(AT, "ja") == "2026年11月21日 14:30 UTC"
    assert full(AT, "it") == "21 nov 2026, 14:30 UTC"


@pytest.mark.parametrize(
    ("locale", "zone", "at", "expected"),
    [
        ("de", "Europe/Berlin", datetime(2026, 10, 25, 0, 30, tzinfo=UTC),
         "02:30 MESZ (00:30 UTC)"),
        ("de", "Europe/Berlin", datetime(2026, 10, 25, 1, 30, tzinfo=UTC), "02:30 MEZ (01:30 UTC)"),
        ("en", "America/New_York", datetime(2026, 11, 1, 5, 30, tzinfo=UTC),
         "01:30 EDT (05:30 UTC)"),
        ("en", "America/New_York", datetime(2026, 11, 1, 6, 30, tzinfo=UTC),
         "01:30 EST (06:30 UTC)"),
        ("nl", "Europe/Amsterdam", datetime(2026, 3, 29, 1, 0, tzinfo=UTC),
         "03:00 CEST (01:00 UTC)"),
        ("en-GB", "Europe/London", datetime(2026, 10, 25, 0, 30, tzinfo=UTC),
         "01:30 BST (00:30 UTC)"),
        ("en-GB", "Europe/London", datetime(2026, 10, 25, 1, 30, tzinfo=UTC), "01:30 UTC"),
    ],
)  # fmt: skip
def test_the_hour_that_comes_twice_is_told_apart(
    locale: str, zone: str, at: datetime, expected: str
) -> None:
    assert instant(at, locale, zone, at) == expected


@pytest.mark.parametrize(
    ("locale", "zone", "expected"),
    [
        ("en", "America/New_York", "20:40 EST (Nov 22, 2026, 01:40 UTC)"),
        ("fr", "Europe/Paris", "22 nov. 2026, 02:40 CET (01:40 UTC)"),
        ("ja", "Asia/Tokyo", "2026年11月22日 10:40 JST\uff0801:40 UTC\uff09"),
        ("es", "UTC", "22 nov 2026, 01:40 UTC"),
    ],
)
def test_a_time_past_midnight_says_whose(locale: str, zone: str, expected: str) -> None:
    assert instant(datetime(2026, 11, 22, 1, 40, tzinfo=UTC), locale, zone, AT) == expected


def test_what_is_remembered_is_not_told_on_another_day() -> None:
    tomorrow = AT.replace(day=22)
    assert instant(AT, "en", "UTC", AT) == "14:30 UTC"
    assert instant(AT, "en", "UTC", tomorrow) == "Nov 21, 2026, 14:30 UTC"
    assert instant(AT, "en", "UTC", AT, exact=True) == "14:30 UTC"
    assert instant(AT.replace(second=7), "en", "UTC", AT, exact=True) == "14:30:07 UTC"
    assert instant(AT.replace(second=7), "en", "UTC", AT) == "14:30 UTC"
