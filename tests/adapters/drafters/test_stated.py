"""What a human states during an incident is told where it belongs, and nothing where it is not."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from adapters.drafters.amounts import length
from adapters.drafters.catalog import Catalog
from adapters.drafters.templates import TemplateDrafter
from domain.message import Channel, DraftText, Facts, Moment
from domain.ports import DraftRequest
from domain.validation import validate_text
from runtime.policy_file import load_policy

CONTENT = Path(__file__).parents[3] / "content"
POLICY = load_policy(CONTENT / "policy/default.yaml")
CATALOG, DRAFTER = Catalog(CONTENT), TemplateDrafter(CONTENT)
URL = "https://status.acme.example"
AT = datetime(2026, 11, 21, 9, 5, tzinfo=UTC)
NOTES = {
    "cause": "A change of ours made some payments fail.",
    "fixed": "We have undone the change for some of you.",
    "workaround": "Please use the bank transfer form for now.",
    "prevention": "We now test such changes for longer.",
}
GOING_ON = (Moment.INITIAL, Moment.UPDATE, Moment.ESCALATION, Moment.PARTIAL_RECOVERY)
LETTERS = (
    Channel.EMAIL, Channel.STATUS_PAGE, Channel.SLACK, Channel.TEAMS, Channel.TICKET,
    Channel.INTERNAL,
)  # fmt: skip
CREDIT = {"credit_applied": "next_invoice"}


def facts(moment: Moment, *keys: str, **changes: Any) -> Facts:
    keys = keys or ("payments",)
    values: dict[str, Any] = {
        "incident_id": "inc_abcdefghijkl", "moment": moment, "number": 3, "severity": "P1",
        "stage": "identified", "category": "local_degradation", "components": keys,
        "component_names": {
            x: tuple(POLICY.component(k).names[x] for k in keys) for x in POLICY.locales
        },
        "times": {"impact_start": AT, "next_update": AT + timedelta(hours=1)},
        "links": {"status": URL, "incident": f"{URL}/incidents/inc_abcdefghijkl"},
    }  # fmt: skip
    return Facts.model_validate(values | changes)


async def write(what: Facts, locale: str) -> dict[Channel, DraftText]:
    request = DraftRequest(facts=what, channels=tuple(Channel), locales=(locale,))
    written = {text.channel: text for text in await DRAFTER.write(request, POLICY)}
    for text in written.values():
        assert validate_text(text, what, POLICY) == (), text
    return written


@pytest.mark.parametrize("locale", POLICY.locales)
@pytest.mark.parametrize("moment", [*GOING_ON, Moment.EXTENDED, Moment.EXECUTIVE])
async def test_each_fact_is_told_where_it_was_stated(moment: Moment, locale: str) -> None:
    without = await write(facts(moment), locale)
    eta = {"eta": AT + timedelta(hours=3)}
    known = facts(moment, notes=NOTES, times=facts(moment).times | eta)
    for channel, text in (await write(known, locale)).items():
        told = [key for key, note in NOTES.items() if note in text.text]
        if channel in LETTERS:
            assert {"cause", "fixed", "workaround"} <= set(told), (channel, text.text)
        elif moment is not Moment.EXECUTIVE:
            assert "workaround" in told, (channel, text.text)
        assert "prevention" not in told, "the end is the time for that"
        repaired = "[[time:eta]]" in text.text
        # An expected repair that has passed is what makes it an extended one.
        due = moment is not Moment.EXTENDED or channel is Channel.INTERNAL
        if channel in LETTERS:
            assert repaired is due, (channel, text.text)
        assert "[[time:eta]]" not in without[channel].text
    if moment in GOING_ON:
        # Where there is no room for both, what the customer can do comes first.
        when = await write(facts(moment, times=facts(moment).times | eta), locale)
        assert "[[time:eta]]" in when[Channel.SMS].text
        assert "[[time:eta]]" in when[Channel.IN_APP].text


@pytest.mark.parametrize("locale", POLICY.locales)
async def test_the_end_tells_cause_repair_and_prevention(locale: str) -> None:
    mail = (await write(facts(Moment.RESOLUTION, notes=NOTES), locale))[Channel.EMAIL].text
    assert all(NOTES[key] in mail for key in ("cause", "fixed", "prevention"))
    assert NOTES["workaround"] not in mail
    later = {**NOTES, "fixed": "The change is undone for all."}
    mail = (await write(facts(Moment.RESOLUTION, notes=later), locale))[Channel.EMAIL].text
    assert later["fixed"] in mail and NOTES["fixed"] not in mail, "the last word on it"


@pytest.mark.parametrize("locale", POLICY.locales)
async def test_a_list_begins_below_its_label(locale: str) -> None:
    steps = "- Please keep the page open.\n- Please do not pay twice."
    mail = (await write(facts(Moment.UPDATE, notes={"workaround": steps}), locale))[Channel.EMAIL]
    assert "\n\n- Please keep the page open.\n" in mail.text, mail.text
    assert mail.html is not None and "<li>Please keep the page open.</li>" in mail.html


async def test_advice_is_whole_or_not_there() -> None:
    advice = "Please use the form. " * 20
    short = await write(facts(Moment.UPDATE, notes={"workaround": advice}), "en")
    for channel in (Channel.SMS, Channel.IN_APP, Channel.SOCIAL):
        assert "Please use" not in short[channel].text, short[channel].text
    assert advice.strip() in short[Channel.EMAIL].text


@pytest.mark.parametrize("locale", POLICY.locales)
async def test_a_humans_words_end_once(locale: str) -> None:
    for message in ("Exports are waiting for us", "Exports are waiting for us."):
        notes = {"message": message, "locale": "de" if locale != "de" else "en"}
        for channel in (Channel.SMS, Channel.IN_APP):
            text = (await write(facts(Moment.UPDATE, notes=notes), locale))[channel].text
            end = re.search(r"waiting for us(.*?)(?=[\[ ](?!\()|[^ -~\u00a0]{5})", text)
            assert end is not None and len(re.findall("[.。]", end[1])) <= 1, text
            assert not re.search(r"\. [(\uff08][^)\uff09]*[)\uff09][.。]", text), text


@pytest.mark.parametrize(
    ("locale", "figure", "by_plan"),
    [
        ("en", "credit you 10% of your monthly fee on your next", "Depending on your plan, we"),
        ("de", "Ihnen 10 % Ihrer monatlichen Gebühr mit Ihrer", "Je nach Tarif"),
        ("fr", "10\u00a0% de votre abonnement mensuel sur votre", "Selon votre formule"),
        ("es", "el 10\u00a0% de su cuota mensual en su", "Según su plan"),
        ("pt-BR", "Creditaremos 10% da sua mensalidade na sua", "Conforme o seu plano"),
        ("ja", "次回のご請求額から、月額料金の10%", "ご契約のプランに応じて"),
        ("nl", "U krijgt 10% van uw maandbedrag terug via", "Afhankelijk van uw abonnement"),
        ("it", "canone mensile (10%) nella prossima fattura", "In base al suo piano"),
    ],
)
@pytest.mark.parametrize("moment", [Moment.RESOLUTION, Moment.POST_MORTEM])
async def test_an_approved_credit_is_told(
    moment: Moment, locale: str, figure: str, by_plan: str
) -> None:
    async def told(numbers: dict[str, float], notes: dict[str, str]) -> str:
        what = facts(moment, numbers=numbers, notes=notes)
        return (await write(what, locale))[Channel.EMAIL].text

    one = {"credit_percent": 10.0}
    assert figure in await told(one, CREDIT)
    assert figure in await told(one | {"credit_percent_pro": 10.0}, CREDIT)
    for numbers in ({"credit_percent_pro": 10.0, "credit_percent_enterprise": 25.0},
                    one | {"credit_percent_enterprise": 25.0}):  # fmt: skip
        mail = await told(numbers, CREDIT)
        assert by_plan in mail and "25" not in mail and "10" not in mail
    nothing = await told({}, {})
    for numbers, notes in ((one, {}), ({}, CREDIT), (one, {"credit_applied": "by_plan"}),
                           ({"credit_percent_pro": 0.0}, CREDIT)):  # fmt: skip
        assert await told(numbers, notes) == nothing


@pytest.mark.parametrize("locale", POLICY.locales)
async def test_the_report_tells_the_credit_as_the_end_did(locale: str) -> None:
    for numbers in ({"credit_percent": 10.0}, {"credit_percent_pro": 10.0}):
        lines = []
        for moment in (Moment.RESOLUTION, Moment.POST_MORTEM):
            without, written = [
                await write(facts(moment, numbers=given, notes=notes), locale)
                for given, notes in (({}, {}), (numbers, CREDIT))
            ]
            for channel in (Channel.EMAIL, Channel.STATUS_PAGE):
                said = set(written[channel].text.splitlines())
                lines.append(said - set(without[channel].text.splitlines()))
        assert len(lines[0]) == 1 and all(line == lines[0] for line in lines), lines


@pytest.mark.parametrize(
    ("locale", "minutes", "expected"),
    [
        ("en", 0, "less than a minute"), ("en", 1440, "1 day"), ("en", 1448, "1 day 8 minutes"),
        ("en", 1568, "1 day 2 hours 8 minutes"), ("en", 10741, "7 days 11 hours"),
        ("en", 2909, "2 days"), ("en", 2911, "2 days 1 hour"),
        ("de", 10741, "7 Tage 11 Stunden"), ("de", 1568, "1 Tag 2 Stunden 8 Minuten"),
        ("fr", 10741, "7\u00a0jours 11\u00a0heures"), ("es", 1568, "1 día, 2 horas y 8 minutos"),
        ("pt-BR", 10741, "7 dias e 11 horas"), ("ja", 10741, "7日間と11時間"),
        ("nl", 1568, "1 dag, 2 uur en 8 minuten"), ("it", 1568, "1 giorno, 2 ore e 8 minuti"),
    ],
)  # fmt: skip
def test_a_long_time_is_told_in_days(locale: str, minutes: float, expected: str) -> None:
    assert length(minutes, CATALOG, locale) == expected


@pytest.mark.parametrize("locale", POLICY.locales)
@pytest.mark.parametrize("minutes", [0, 1568, 2911, 10741])
async def test_every_length_of_time_may_be_said(locale: str, minutes: int) -> None:
    times = {"impact_start": AT, "restored_at": AT + timedelta(minutes=minutes, seconds=20)}
    numbers = {"duration_minutes": minutes}
    for moment in (Moment.RESOLUTION, Moment.POST_MORTEM):
        mail = (await write(facts(moment, times=times, numbers=numbers), locale))[Channel.EMAIL]
        assert length(minutes, CATALOG, locale) in mail.text


@pytest.mark.parametrize(
    ("locale", "whole", "part"),
    [
        ("en", "Affected customers: all", "about 99.9%"),
        ("de", "Betroffene Kunden: alle", "etwa 99,9 %"),
        ("fr", "Clients touchés\u00a0: tous", "environ 99,9\u00a0%"),
        ("es", "Clientes afectados: todos", "cerca del 99,9\u00a0%"),
        ("pt-BR", "Clientes afetados: todos", "cerca de 99,9%"),
        ("ja", "影響を受けているお客様\uff1aすべて", "約99.9%"),
        ("nl", "Getroffen klanten: alle", "ongeveer 99,9%"),
        ("it", "Clienti interessati: tutti", "circa 99,9%"),
    ],
)
async def test_a_hundred_percent_are_all(locale: str, whole: str, part: str) -> None:
    for share, said in ((100, whole), (99.9, part)):
        what = facts(Moment.INITIAL, numbers={"share_percent": share})
        assert said in (await write(what, locale))[Channel.EMAIL].text


@pytest.mark.parametrize(
    ("locale", "moment", "one", "two"),
    [
        ("de", Moment.RESOLUTION, "Betroffen war: ", "Betroffen waren: "),
        ("de", Moment.POST_MORTEM, "Betroffener Dienst: ", "Betroffene Dienste: "),
        ("de", Moment.FALSE_ALARM, "Der Dienst funktionierte.", "Die Dienste funktionierten."),
        ("en", Moment.POST_MORTEM, "Affected service: ", "Affected services: "),
        ("en", Moment.FALSE_ALARM, "the service was working", "the services were working"),
        ("fr", Moment.RESOLUTION, "Service touché\u00a0: ", "Services touchés\u00a0: "),
        ("es", Moment.POST_MORTEM, "Servicio afectado: ", "Servicios afectados: "),
        ("pt-BR", Moment.INITIAL, "Serviço afetado: ", "Serviços afetados: "),
        ("nl", Moment.POST_MORTEM, "Getroffen dienst: ", "Getroffen diensten: "),
        ("it", Moment.INITIAL, "Servizio interessato: ", "Servizi interessati: "),
        ("it", Moment.RESOLUTION, "Servizio interessato: ", "Servizi interessati: "),
        ("it", Moment.POST_MORTEM, "Servizio interessato: ", "Servizi interessati: "),
    ],
)
async def test_a_label_agrees_with_how_many_there_are(
    locale: str, moment: Moment, one: str, two: str
) -> None:
    for keys, said in ((("payments",), one), (("payments", "rest-api"), two)):
        mail = (await write(facts(moment, *keys), locale))[Channel.EMAIL].text
        assert said in mail, mail


@pytest.mark.parametrize(
    ("locale", "now", "over"),
    [
        ("de", "arbeiten können", "arbeiten konnten"), ("nl", "u niet kunt", "u niet kon"),
        ("it", "questo causa", "questo ha causato"),
        ("ja", "おかけしております", "おかけいたしました"),
    ],
)  # fmt: skip
async def test_an_apology_is_in_the_past_once_it_has_eased(
    locale: str, now: str, over: str
) -> None:
    for moment in (Moment.INITIAL, Moment.UPDATE):
        for stage, said, other in (("identified", now, over), ("monitoring", over, now)):
            mail = (await write(facts(moment, stage=stage), locale))[Channel.EMAIL].text
            assert said in mail and other not in mail, mail
    back = facts(Moment.UPDATE, stage="monitoring", notes={"previous_stage": "resolved"})
    assert now in (await write(back, locale))[Channel.EMAIL].text


async def test_without_a_service_german_speaks_of_several_everywhere() -> None:
    what = facts(Moment.RESOLUTION, components=(), component_names={})
    mail = (await write(what, "de"))[Channel.EMAIL]
    assert mail.subject == "Behoben: unsere Dienste" and "bei unseren Diensten" in mail.text


@pytest.mark.parametrize("locale", POLICY.locales)
async def test_a_reports_timeline_is_in_the_order_of_events(locale: str) -> None:
    order = ("impact_start", "mitigated_at", "announced_at", "identified_at", "restored_at")
    times = {key: AT + timedelta(minutes=9 * n) for n, key in enumerate(order)}
    mail = (await write(facts(Moment.POST_MORTEM, times=dict(reversed(times.items()))), locale))[
        Channel.EMAIL
    ]
    rows = re.findall(r"\[\[time:(\w+)\]\]", mail.text)
    assert tuple(rows[-len(order) :]) == order
    assert mail.html is not None and mail.html.count("<table") == 3, "facts, events, link"
