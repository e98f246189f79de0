"""What a report on edits may show: wording, never facts and never names."""

from __future__ import annotations

import pytest

from domain.edits import changes, vocabulary, without_facts, words
from domain.message import Channel, DraftText, Facts, Moment

FACTS = Facts(
    incident_id="inc_a", moment=Moment.INITIAL, severity="P1", stage="investigating",
    category="local_degradation", components=("payments",),
    component_names={"en": ("Payment processing",), "de": ("Zahlungsabwicklung",)},
    notes={"message": "Jane Miller found the cause.\nIt is known."}, names=("Acme Cloud",),
)  # fmt: skip
BEFORE = "We are sorry for the disruption. Our engineers are looking for the cause of it."
KNOWN = vocabulary([BEFORE, "Please try again later. Wir bitten um Entschuldigung für die Störung"])


def text(words_: str, locale: str = "en", subject: str | None = None) -> DraftText:
    return DraftText(channel=Channel.EMAIL, locale=locale, subject=subject, text=words_)


def found(before: str, after: str, locale: str = "en") -> list[tuple[str, str]]:
    made = changes(text(before, locale), text(after, locale), FACTS, KNOWN)
    return [(change.kind, change.phrase) for change in made]


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        (BEFORE, []),
        (BEFORE.replace("are sorry", "apologise"), [("removed", "are sorry"),
                                                    ("added", "apologise")]),
        (BEFORE + " Please call Jane Miller at Globex.",
         [("added", "please call [name] at [name]")]),
        (BEFORE + " Write to jane@customer.example or +49 30 1234567.",
         [("added", "[name] to [link] or [number]")]),
        (BEFORE + " Jane Miller found the cause.", []),
        (BEFORE + " 17 of 20 at 14:05 UTC", [("added", "[number] of [number] at [number] [name]")]),
        (BEFORE + " payment processing [[time:next_update]] https://x.example/a", []),
        (BEFORE.replace("disruption", "trouble"), [("removed", "disruption"),
                                                   ("added", "trouble")]),
    ],
)  # fmt: skip
def test_phrases_are_without_facts_and_names(after: str, expected: list[tuple[str, str]]) -> None:
    assert found(BEFORE, after) == expected


@pytest.mark.parametrize(
    ("locale", "before", "after", "secret"),
    [
        ("de", "Wir bitten um Entschuldigung.", "Frau Schröder bittet um Entschuldigung.",
         "schröder"),
        ("ja", "調査しています。", "山田太郎が調査しています。", "山田"),
        ("fr", "Nous cherchons.", "Nous cherchons avec Zoé Dupont-Moreau.", "dupont"),
        ("es", "Estamos trabajando.", "Ángel está trabajando.", "ángel"),
    ],
)  # fmt: skip
def test_a_name_stays_out_in_every_script(
    locale: str, before: str, after: str, secret: str
) -> None:
    shown = " ".join(phrase for _, phrase in found(before, after, locale)).lower()
    assert secret not in shown and "[name]" in shown


def test_what_a_human_stated_is_a_fact() -> None:
    assert words(without_facts("So: Jane Miller found the cause. At Acme Cloud.", FACTS)) == [
        "So", "[fact]", "At", "[fact]",
    ]  # fmt: skip


def test_a_long_text_is_compared_in_bounded_time() -> None:
    long = "word " * 40_000
    made = list(changes(text(long), text(long.replace("word", "term")), FACTS, KNOWN))
    assert {change.kind for change in made} == {"removed", "added"}
    assert all(len(change.phrase.split()) <= 13 for change in made)
