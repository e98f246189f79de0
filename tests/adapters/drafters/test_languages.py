"""The catalogue is whole in every language of the shipped policy, and all say the same facts."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from adapters.drafters.catalog import Catalog
from adapters.drafters.facts import LEVELS, FactWords
from adapters.drafters.lists import enumerated, listed
from adapters.drafters.templates import TemplateDrafter
from domain.locales import nearest
from domain.message import Channel, DraftText, Facts, Moment
from domain.ports import DraftRequest
from domain.rules.length import filled_length
from domain.validation import validate_text
from gateway.words import catalogs, choose_locale, words
from runtime.policy_file import load_policy

CONTENT = Path(__file__).parents[3] / "content"
POLICY = load_policy(CONTENT / "policy/default.yaml")
OTHERS = [locale for locale in POLICY.locales if locale != "en"]
DRAFTER = TemplateDrafter(CONTENT)
MOMENTS = list(Moment)
URL = "https://status.acme.example"
LINKS = {"status": URL, "incident": f"{URL}/incidents/inc_abcdefghijkl", "report": f"{URL}/r"}
AT = datetime(2026, 11, 21, 9, 5, tzinfo=UTC)
TIMES = {
    key: AT.replace(hour=hour)
    for hour, key in enumerate(
        ("impact_start", "announced_at", "identified_at", "mitigated_at", "partial_recovery_at",
         "restored_at", "next_update", "eta", "report_due", "promised", "published_at"),
        start=9,
    )
}  # fmt: skip
NUMBERS = {
    "share_percent": 12.5, "duration_minutes": 85.0, "accounts": 1200.0, "recipients": 3400.0,
    "error_rate_percent": 7.3,
}  # fmt: skip
PLACEHOLDER = re.compile(r"\[\[(?:name|\w+:\w+)\]\]")
FIGURE = re.compile(r"\d+(?:[.,\u00a0\u202f]\d+)*")
# Where regions bring their own prepositions, or a list its own endings, in one language only.
OWN = {"unnamed_region", "and_more_affected", "and_one_more_affected", "duration_of_days"}
TIGHT = {Channel.SMS, Channel.SOCIAL, Channel.IN_APP}


def facts(moment: Moment, **changes: Any) -> Facts:
    components = ("payments", "integrations")
    named = {
        locale: tuple(POLICY.component(key).names[locale] for key in components)
        for locale in POLICY.locales
    }
    values: dict[str, Any] = {
        "incident_id": "inc_abcdefghijkl", "moment": moment, "number": 3, "severity": "P1",
        "stage": "identified", "category": "local_degradation", "components": components,
        "component_names": named, "links": LINKS, "times": TIMES, "numbers": NUMBERS,
    }  # fmt: skip
    return Facts.model_validate(values | changes)


async def write(what: Facts, locale: str) -> dict[Channel, DraftText]:
    request = DraftRequest(facts=what, channels=tuple(Channel), locales=(locale,))
    return {text.channel: text for text in await DRAFTER.write(request, POLICY)}


def cases(moment: Moment) -> Iterator[Facts]:
    """What a customer may read of one moment: each severity, stage and way of being short."""
    for severity in ("P1", "P4"):
        yield facts(moment, severity=severity)
    for stage in ("investigating", "monitoring"):
        yield facts(moment, stage=stage, regions=("us", "eu", "apac"))
    yield facts(moment, holding=True, times={k: TIMES[k] for k in ("next_update", "promised")})
    yield facts(moment, category="security")
    yield facts(moment, components=(), component_names={}, numbers={}, times={}, links={})


def figures(text: str) -> Counter[str]:
    """How often each number stands in a text, however the language groups its digits."""
    found = FIGURE.findall(PLACEHOLDER.sub("", text))
    return Counter(
        re.sub(r"[\u00a0\u202f]|[.,](?=\d{3}\b)", "", f).replace(",", ".") for f in found
    )


def keys(value: Any) -> Any:
    return {k: keys(v) for k, v in value.items()} if isinstance(value, dict) else None


@pytest.mark.parametrize("locale", OTHERS)
def test_every_template_and_word_is_there(locale: str) -> None:
    def files(name: str) -> set[str]:
        return {p.name for p in (CONTENT / "templates" / name).glob("*.j2")}

    assert files(locale) == files("en")
    for folder in ("locales", "pages"):
        english, other = (
            yaml.safe_load((CONTENT / folder / f"{name}.yaml").read_text("utf-8"))
            for name in ("en", locale)
        )
        for own in OWN:
            other.get("phrases", {}).pop(own, None)
        assert keys(other) == keys(english), folder
    assert locale in POLICY.company.signature
    for component in POLICY.component_list():
        if component.visible:
            assert locale in component.names and locale in component.impact, component.key
    for table in (POLICY.jargon, POLICY.tone.stop_words, POLICY.tone.fix):
        assert locale in table
    # Japanese puts its courtesy behind the name.
    assert locale in POLICY.tone.greetings or locale == "ja"


@pytest.mark.parametrize("locale", OTHERS)
@pytest.mark.parametrize("moment", MOMENTS)
async def test_every_text_says_what_english_says(moment: Moment, locale: str) -> None:
    for what in cases(moment):
        english, other = await write(what, "en"), await write(what, locale)
        for channel, text in other.items():
            where = f"{channel.value} {what.severity} {what.stage}"
            assert validate_text(text, what, POLICY) == (), where
            assert filled_length(text.text, what) <= POLICY.length_limits[channel], where
            for part in ("text", "html", "subject"):
                said, meant = getattr(text, part) or "", getattr(english[channel], part) or ""
                assert set(PLACEHOLDER.findall(said)) == set(PLACEHOLDER.findall(meant)), where
                # A short channel may name fewer components, and then says how many more.
                if channel not in TIGHT and part == "text":
                    assert figures(said) == figures(meant), (where, said)
                assert not re.search(r"  | [.,](?!\w)|\.\.(?!\.)|None", said), said


@pytest.mark.parametrize("moment", MOMENTS)
async def test_french_spaces_do_not_break_and_cost_no_sms(moment: Moment) -> None:
    for what in (facts(moment, regions=("us",)), facts(moment, holding=True)):
        for channel, text in (await write(what, "fr")).items():
            for said in (text.subject or "", text.text):
                bare = re.sub(r"Acme Cloud:|https?://\S+", "", PLACEHOLDER.sub("", said))
                if channel is Channel.SMS:
                    assert not set("\u00a0\u202f\u2019") & set(said), said
                else:
                    assert not re.search(r"(?<!\u00a0)[:;?!%](?!\w)", bare), said
                    assert "'" not in bare, said


@pytest.mark.parametrize(
    ("locale", "keys", "expected"),
    [
        ("fr", ("us", "eu"), "aux États-Unis et en Europe"),
        ("fr", ("uk",), "dans la région UK"),
        ("es", ("apac", "uk"), "en Asia-Pacífico y en la región UK"),
        ("pt-BR", ("us", "apac"), "nos Estados Unidos e na Ásia-Pacífico"),
        ("it", ("us", "eu"), "negli Stati Uniti e in Europa"),
        ("it", ("uk",), "nella regione UK"),
        ("en", ("uk",), "UK"),
    ],
)
def test_regions_stand_with_their_own_preposition(
    locale: str, keys: tuple[str, ...], expected: str
) -> None:
    catalog, what = Catalog(CONTENT), facts(Moment.UPDATE, regions=keys)
    said = FactWords(what, POLICY, catalog, locale, Channel.EMAIL, LEVELS[0]).regions()
    assert said == expected


@pytest.mark.parametrize(
    ("names", "locale", "expected"),
    [
        (("API", "Integraciones"), "es", "API e Integraciones"),
        (("API", "Inicio", "Histórico"), "es", "API, Inicio e Histórico"),
        (("API", "Hielo"), "es-MX", "API y Hielo"),
        (("Integraciones", "API"), "es", "Integraciones y API"),
        (("Inicio",), "es", "Inicio"),
        (("API", "Integrações"), "pt-BR", "API e Integrações"),
        ((), "fr", ""),
    ],
)
def test_a_list_reads_as_people_say_it(names: tuple[str, ...], locale: str, expected: str) -> None:
    assert listed(names, locale) == expected


@pytest.mark.parametrize(
    ("wanted", "found"),
    [("pt-BR", "pt-BR"), ("pt_br", "pt-BR"), ("pt", "pt-BR"), ("pt-PT", "pt-BR"), ("fr-CA", "fr"),
     ("es-419", "es"), ("xx", None), ("", None)],
)  # fmt: skip
def test_a_reader_gets_the_nearest_language(wanted: str, found: str | None) -> None:
    offered = ("en", "fr", "es", "pt-BR")
    assert nearest(wanted, offered) == found
    header = {"accept-language": f"xx, {wanted};q=0.8, en;q=0.1"}
    assert choose_locale(offered, {}, header) == (found or "en")


def test_pages_are_in_every_language_and_write_their_dates() -> None:
    assert set(POLICY.locales) <= set(catalogs())
    at = datetime(2026, 11, 21, 14, 5, tzinfo=UTC)
    assert words("fr").moment(at) == "21 nov. 2026, 14:05\u00a0UTC"
    assert words("es").moment(at) == "21 nov 2026, 14:05\u00a0UTC"
    assert words("pt-BR").moment(at) == "21 de nov. de 2026, 14:05\u00a0UTC"


@pytest.mark.parametrize(
    ("names", "locale", "expected"),
    [
        (("API", "Login"), "de", "API, Login"),
        (("決済処理", "API"), "ja", "決済処理、API"),
        (("API",), "fr", "API"),
        ((), "fr", ""),
    ],
)
def test_a_list_that_goes_on_has_no_and(names: tuple[str, ...], locale: str, expected: str) -> None:
    assert enumerated(names, locale) == expected


@pytest.mark.parametrize("locale", OTHERS)
@pytest.mark.parametrize("moment", MOMENTS)
async def test_no_english_is_left(moment: Moment, locale: str) -> None:
    for what in cases(moment):
        english, other = await write(what, "en"), await write(what, locale)
        for channel, text in other.items():
            theirs = {english[channel].subject, *sentences(english[channel].text)}
            left = theirs & {text.subject, *sentences(text.text)} - {None}
            # "API: API" is a name in every language, and so is a placeholder.
            assert not [s for s in left if s and len(re.findall(r"[A-Za-z]{2,}", s)) > 2], left


def sentences(text: str) -> set[str]:
    bare = PLACEHOLDER.sub("", text)
    return {s.strip() for s in re.split(r"[\n.:\uff1a。]", bare)}
