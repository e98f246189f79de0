"""Notes to executives in every language: short when nothing changed, or a letter to send on."""

from __future__ import annotations

import pytest

from domain.message import Channel, DraftText, Moment
from domain.ports import DraftRequest
from domain.validation import validate_text
from tests.adapters.drafters.test_languages import DRAFTER, POLICY, facts

pytestmark = pytest.mark.filterwarnings("error")


async def note(locale: str, **notes: str) -> DraftText:
    told = facts(Moment.EXECUTIVE, notes=notes, severity="P1")
    request = DraftRequest(facts=told, channels=(Channel.INTERNAL,), locales=(locale,))
    (text,) = await DRAFTER.write(request, POLICY)
    assert not validate_text(text, told, POLICY)
    return text


@pytest.mark.parametrize("locale", POLICY.locales)
async def test_forms_are_told_apart(locale: str) -> None:
    usual = (await note(locale)).text
    short = (await note(locale, form="unchanged")).text
    letter = (await note(locale, form="personal")).text
    assert len(short) < len(usual)
    assert len({usual, short, letter}) == 3
    assert "[[time:impact_start]]" in letter and "[[time:next_update]]" in letter
    assert not {"unchanged", "personal]"} & set(short.split())


async def test_the_letter_names_what_customers_can_do() -> None:
    said = await note("en", form="personal", workaround="Please pay by bank transfer.")
    assert "What you can do meanwhile: Please pay by bank transfer." in said.text
