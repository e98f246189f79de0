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
    ],
)
def test_date_time_and_zone(locale: str, zone: str, now: datetime, expected: str) -> None:
    assert instant(AT, locale, zone, now) == expected


def test_a_document_has_the_date_without_a_comma_in_japanese() -> None:
    assert full(AT, "ja") == "2026年11月21日 14:30 UTC"
    assert full(AT, "it") == "21 nov 2026, 14:30 UTC"
