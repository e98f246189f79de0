"""A cut text ends where a reader would pause, and never inside a letter or a link."""

from __future__ import annotations

import unicodedata

import pytest

from adapters.drafters.shorten import shorten, whole

FAMILY = "\U0001f468\u200d\U0001f469\u200d\U0001f467"
FLAG = "\U0001f1e9\U0001f1ea"


@pytest.mark.parametrize(
    ("text", "limit", "expected"),
    [
        ("short enough", 12, "short enough"),
        ("We have undone the change, and all is well.", 28, "We have undone the change…"),
        ("We have undone the change: all is well.", 27, "We have undone the change…"),
        ("We have undone the change (again).", 28, "We have undone the change…"),
        # A half link leads nowhere.
        ("Please see https://status.acme.example/incidents/1 now.", 30, "Please see…"),
        ("詳しくはhttps://status.acme.example/incidents/1をご覧ください", 24, "詳しくは…"),
        ("https://status.acme.example/incidents/1", 30, ""),
        ("設定の変更により、システムに負荷がかかりました。変更を元に戻しております。", 30,
         "設定の変更により、システムに負荷がかかりました。…"),
        # No pause near: between two letters.
        ("決済処理の設定変更を元に戻す作業を現在進めておりますのでお待ちください", 23,
         "決済処理の設定変更を元に戻す作業を現在進めて…"),
        ("anything", 5, ""),
        ("", 5, ""),
    ],
)  # fmt: skip
def test_cut(text: str, limit: int, expected: str) -> None:
    assert shorten(text, limit) == expected
    assert len(expected) <= max(limit, len(text) if text == expected else 0)


@pytest.mark.parametrize("letter", ["e\u0301", "か\u3099", FAMILY, FLAG, "\U0001f44d\U0001f3fd"])
def test_a_letter_stays_whole(letter: str) -> None:
    text = letter * 40
    for limit in range(21, 60):
        cut = shorten(text, limit)
        assert len(cut) <= limit
        assert cut.removesuffix("…") == letter * (len(cut) // len(letter)), repr(cut)
    for end in range(len(text)):
        assert whole(text, end) % len(letter) == 0


def test_no_mark_is_left_alone() -> None:
    text = unicodedata.normalize("NFD", "Réouverture prévue à l\u2019été, très bientôt, en vérité")
    for limit in range(21, len(text)):
        cut = shorten(text, limit).removesuffix("…")
        rest = text[len(cut) :]
        assert text.startswith(cut) and not unicodedata.combining(rest[0])
