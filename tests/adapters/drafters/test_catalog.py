"""The catalogs are complete, and a line is a sentence whatever is missing."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from adapters.drafters.catalog import Catalog
from domain.incident import Stage
from domain.message import Channel, Moment
from domain.policy import Policy
from domain.signal import Severity

ROOT = Path(__file__).parents[3]
CATALOG = Catalog(ROOT / "content")
SECTIONS = (
    "regions", "stages", "moments", "channels", "impact_levels", "mail", "phrases", "timeline",
)  # fmt: skip


def fields(text: str) -> set[str]:
    return set(re.findall(r"\{(\w+)\}", text))


@pytest.mark.parametrize("locale", CATALOG.locales)
@pytest.mark.parametrize("section", SECTIONS)
def test_every_language_has_the_same_words(locale: str, section: str) -> None:
    english, other = (getattr(CATALOG.words(x), section) for x in ("en", locale))
    # Where regions bring their own prepositions, one without a name needs a phrase.
    assert other.keys() - {"unnamed_region"} == english.keys()
    for key, text in english.items():
        assert fields(other[key]) == fields(text), key


@pytest.mark.parametrize("locale", CATALOG.locales)
def test_every_key_of_the_domain_has_a_word(locale: str, policy: Policy) -> None:
    words = CATALOG.words(locale)
    assert set(words.stages) == {s.value for s in Stage}
    assert set(words.moments) == {m.value for m in Moment}
    assert set(words.channels) == {c.value for c in Channel}
    assert set(words.impact_levels) == {s.value for s in Severity}
    assert set(policy.regions) <= set(words.regions)


def test_every_note_of_the_plan_has_a_sentence() -> None:
    source = "".join((ROOT / f"domain/{n}.py").read_text("utf-8") for n in ("plan", "step"))
    used = set(re.findall(r"(?:\.note|Note)\(\s*(?:key=)?\"(\w+)\"", source))
    used |= {"promise_kept", "promise_missed", "post_mortem_published", "post_mortem_completed"}
    assert used and used <= set(CATALOG.words("en").timeline)


@pytest.mark.parametrize("locale", CATALOG.locales)
def test_missing_data_makes_a_shorter_line(locale: str) -> None:
    for key in CATALOG.words(locale).timeline:
        line = CATALOG.line(key, {}, locale)
        assert line and not re.search(r"[{}\[\]]", line), line


def test_a_line_is_in_words() -> None:
    data = {"old": "P3", "severity": "P1", "by": "ada", "reason": "it got worse [really] {by}"}
    expected = "Severity changed from P3 to P1 by ada: it got worse [really] {by}"
    assert CATALOG.line("severity_changed", data) == expected
    data = {"version": "3", "moment": "resolution"}
    assert CATALOG.line("draft_ready", data) == "Draft 3 (all-clear) is ready"
    assert CATALOG.line("draft_ready", data, "de-CH") == "Entwurf 3 (Entwarnung) liegt vor"
    due = {"due": "2026-11-21T14:05:00+00:00"}
    assert CATALOG.line("promise_made", due) == ("Next update promised by Nov 21, 2026, 14:05 UTC")
    exact = {"due": "2026-11-21T14:05:20+00:00"}
    assert CATALOG.line("promise_made", exact).endswith("14:05:20 UTC"), "kept by the second"
    assert CATALOG.line("post_mortem_due", exact).endswith("14:05 UTC")
    sent = {"moment": "update", "version": "2", "channels": "email, status_page", "by": "ada"}
    assert CATALOG.line("broadcast_started", sent) == (
        "Sending update (draft 2) by e-mail, status page; allowed by ada"
    )
    assert CATALOG.line("stage_changed", {"old": "investigating", "stage": "resolved"}) == (
        "Stage changed from Investigating to Resolved"
    )


def test_an_unknown_key_reads_as_itself() -> None:
    assert CATALOG.line("sent_to_moon", {}) == "Sent to moon"
