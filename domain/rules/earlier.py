"""Words that the rules of 0.2.0 had built in, for the policies of that time.

They say nothing of lengths of time or figures of speech, and incidents that began under one go on
under it. A policy of today that has its own words is judged by those alone.
"""

from __future__ import annotations

from typing import Any

from domain.policy_tone import Tone

_WORDS: dict[str, Any] = {
    "spans": {
        "en": {
            "ahead": ["in", "within", "within the next", "in the next", "in about", "less than",
                      "under", "about", "after"],
            "counts": {"a": 1, "an": 1, "one": 1, "two": 2, "three": 3, "five": 5, "ten": 10,
                       "fifteen": 15, "twenty": 20, "thirty": 30, "half an": 0.5},
            "units": {"minute": "1m", "minutes": "1m", "min": "1m", "mins": "1m", "h": "1h",
                      "hour": "1h", "hours": "1h", "day": "1d", "days": "1d", "week": "1w",
                      "weeks": "1w"},
        },
        "de": {
            "ahead": ["in", "innerhalb von", "in etwa", "binnen", "nach", "in den nächsten"],
            "counts": {"ein": 1, "einer": 1, "zwei": 2, "drei": 3, "fünf": 5, "zehn": 10,
                       "fünfzehn": 15, "zwanzig": 20, "dreißig": 30},
            "units": {"minute": "1m", "minuten": "1m", "min": "1m", "stunde": "1h",
                      "stunden": "1h", "h": "1h", "tag": "1d", "tage": "1d", "tagen": "1d",
                      "woche": "1w", "wochen": "1w"},
        },
    },
    "fixed": ["24/7"],
    "gaps": ["insert", "your", "name", "time", "date", "link", "company", "customer"],
}  # fmt: skip


def complete(tone: Tone) -> Tone:
    """The tone itself, or with the words of then where it is one of 0.2.0."""
    if tone.spans or not tone.fix:
        return tone
    return tone.model_copy(update={k: getattr(Tone.model_validate(_WORDS), k) for k in _WORDS})
