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


# Where regions bring their own prepositions, or a list its own endings, in one language only.
OWN = {"unnamed_region", "and_more_affected", "and_one_more_affected", "duration_of_days"}
MAINTENANCE_STAGES = {"scheduled", "in_progress", "completed", "cancelled"}


def fields(text: str) -> set[str]:
    return set(re.findall(r"\{(\w+)\}", text))


@pytest.mark.parametrize("locale", CATALOG.locales)
@pytest.mark.parametrize("section", SECTIONS)
def test_every_language_has_the_same_words(locale: str, section: str) -> None:
    english, other = (getattr(CATALOG.words(x), section) for x in ("en", locale))
    assert other.keys() - OWN == english.keys()
    for key, text in english.items():
        assert fields(other[key]) == fields(text), key


@pytest.mark.parametrize("locale", CATALOG.locales)
def test_every_key_of_the_domain_has_a_word(locale: str, policy: Policy) -> None:
    words = CATALOG.words(locale)
    assert set(words.stages) == {s.value for s in Stage} | MAINTENANCE_STAGES
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


@pytest.mark.parametrize(
    ("locale", "one", "two", "many"),
    [
        ("en", "1 hour", "2 minutes", "21 hours"), ("de", "1 Stunde", "2 Minuten", "21 Stunden"),
        ("fr", "1\u00a0heure", "2\u00a0minutes", "21\u00a0heures"),
        ("es", "1 hora", "2 minutos", "21 horas"), ("pt-BR", "1 hora", "2 minutos", "21 horas"),
        ("ja", "1時間", "2分", "21時間"), ("nl", "1 uur", "2 minuten", "21 uur"),
        ("it", "1 ora", "2 minuti", "21 ore"),
    ],
)  # fmt: skip
def test_a_unit_agrees_with_its_number(locale: str, one: str, two: str, many: str) -> None:
    assert CATALOG.counted("hour", 1, locale, "1") == one
    assert CATALOG.counted("minute", 2, locale, "2") == two
    assert CATALOG.counted("hour", 21, locale, "21") == many


def test_a_strangers_language_is_resolved_and_not_kept_for_ever() -> None:
    assert [CATALOG.resolve(x) for x in ("de-CH", "pt", "xx", "")] == ["de", "pt-BR", "en", "en"]
    for n in range(3000):
        assert CATALOG.resolve(f"x{n}") == "en"
    assert CATALOG.resolve("fr-BE") == "fr"


def test_an_unknown_key_reads_as_itself() -> None:
    assert CATALOG.line("sent_to_moon", {}) == "Sent to moon"
