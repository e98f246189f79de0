"""Which language a text is in, told by small words that stand alone or, in Japanese, do not."""

from __future__ import annotations

import pytest

from domain.message import Channel, DraftText, Facts, Moment
from domain.policy import Policy
from domain.rules.base import Passage
from domain.rules.language import guess, right_language, scores

FACTS = Facts(
    incident_id="inc_abcdefghijkl", moment=Moment.UPDATE, number=2, severity="P1",
    stage="investigating", category="local_degradation", components=("payments",),
    component_names={"en": ("Payment processing",), "ja": ("決済処理",)},
    notes={"message": "All card payments of the shop are failing for the moment."},
)  # fmt: skip
ENGLISH = "We have found the cause of the problems and are working on the repair."
TEXTS = {
    "en": ENGLISH,
    "de": "Wir haben die Ursache der Störung gefunden und arbeiten an der Behebung.",
    "ja": "決済処理の問題について原因を特定し、復旧作業を進めております。",
    "nl": "We hebben de oorzaak van de storing gevonden en werken aan het herstel.",
    "it": "Abbiamo individuato la causa dei problemi e stiamo lavorando al ripristino.",
}


def found(policy: Policy, text: str, locale: str) -> bool:
    draft = DraftText(channel=Channel.EMAIL, locale=locale, subject="x", text=text)
    return any(right_language(Passage(draft, "text", text, FACTS, policy)))


@pytest.mark.parametrize("said", TEXTS)
@pytest.mark.parametrize("meant", TEXTS)
def test_a_text_in_another_language_is_found(policy: Policy, meant: str, said: str) -> None:
    assert found(policy, TEXTS[said], meant) is (meant != said)


@pytest.mark.parametrize("language", TEXTS)
def test_the_language_of_a_note_is_guessed(policy: Policy, language: str) -> None:
    assert guess(TEXTS[language], policy.tone.stop_words) == language


@pytest.mark.parametrize(
    ("note", "expected"),
    [
        ("一部のカード決済で失敗", "ja"),
        ("カード決済", "ja"),
        ("Visa、Mastercardのカード決済", "ja"),
        ("The カード button of the shop is missing on the page.", "en"),
        ("银行卡支付失败", None),
        ("", None),
    ],
)
def test_a_note_of_few_words_is_known_by_its_letters(
    policy: Policy, note: str, expected: str | None
) -> None:
    assert guess(note, policy.tone.stop_words) == expected


@pytest.mark.parametrize(
    ("text", "locale", "wrong"),
    [
        ("我们已经找到支付处理问题的原因,目前正在进行修复工作。", "ja", True),
        ("Card payments restored. Duration: fifty minutes.", "ja", True),
        ("決済処理とREST API、GraphQL API、Slackで問題が発生しております。", "ja", False),
        ("Мы нашли причину сбоя и работаем над устранением.", "it", True),
        ("Merci Łukasz, café und Ångström zijn é à ü ñ õ.", "nl", False),
        ("Acme Cloud: OK", "ja", False),
        (f"次のとおりお知らせいたします。{FACTS.notes['message']}、原文のまま。", "ja", False),
        ("", "ja", False),
    ],
)  # fmt: skip
def test_letters_give_a_language_away(policy: Policy, text: str, locale: str, wrong: bool) -> None:
    assert found(policy, text, locale) is wrong


def test_words_that_neighbours_share_prove_nothing(policy: Policy) -> None:
    text = "Un incident touche le service de paiement. Point non promis, mais encore non fait."
    assert scores(text, policy.tone.stop_words)["it"] >= 3, "or the text shows nothing"
    assert not found(policy, text, "fr")
    assert found(policy, "Os pagamentos não funcionam, mas estamos vendo isso com você.", "es")
    assert found(
        policy, "Los pagos no funcionan, pero estamos en ello y la causa es otra.", "pt-BR"
    )


def test_a_particle_counts_wherever_it_stands() -> None:
    words = {"ja": ("の", "から", "まで"), "en": ("the",)}
    assert scores("月曜から金曜までの障害", words) == {"ja": 3, "en": 0}
